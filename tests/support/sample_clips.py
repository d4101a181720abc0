"""Little videos with known content, and the front of the chain as one call."""

import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from filters.picture import Quality, judge
from infra.stage import Drop, Row
from infra.workspace import LakeWorkspace
from synth.probe import probe_row
from synth.scan import Scan, scan_row
from synth.spans import Spans, span_rows

Frames = list[NDArray[np.uint8]]


def shot(seed: int, frames: int, height: int = 90, width: int = 160) -> Frames:
    """A pan over a colourful, grainy texture that only `seed` decides, RGB."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 220, (6, 24, 3), dtype=np.uint8)
    wide = cv2.resize(coarse, (2 * width + frames, height), interpolation=cv2.INTER_CUBIC)
    wide = cv2.add(wide, rng.integers(0, 16, (*wide.shape[:2], 1), dtype=np.uint8).repeat(3, axis=2))
    return [np.ascontiguousarray(wide[:, i : i + width]) for i in range(frames)]


def mixed(a: Frames, b: Frames) -> Frames:
    """A dissolve from `a` to `b`, as long as both."""
    shares = (np.arange(len(a)) + 0.5) / len(a)
    return [((1 - s) * x + s * y).astype(np.uint8) for s, x, y in zip(shares, a, b, strict=True)]


@contextmanager
def _own_priority() -> Iterator[None]:
    """Undo what SVT-AV1 does to a process of root: it makes it real-time, and with it all that the process starts."""
    policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    yield
    os.sched_setscheduler(0, policy, parameters)


def write_video(
    path: Path,
    frames: Sequence[NDArray[np.uint8]],
    codec: str = "libx264",
    fps: int = 25,
    gop: int = 25,
    times_ms: Iterable[int] | None = None,
    rotation_deg: int = 0,
    options: dict[str, str] | None = None,
) -> Path:
    """Encode RGB frames with any codec; `times_ms` makes the rate variable, `rotation_deg` is clockwise.

    The same frames give the same file: x264 is kept from code that reads memory it never wrote (infra/media/encode.py).
    """
    same = {"x264-params": "cpu-independent=1"} if codec == "libx264" else {}
    with _own_priority(), av.open(str(path), "w") as output:
        stream = output.add_stream(codec, rate=fps, options={**same, **(options or {})})
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "rgb8" if codec == "gif" else "yuv420p"
        stream.codec_context.gop_size = gop
        stream.codec_context.time_base = Fraction(1, 1000) if times_ms else 1 / stream.average_rate
        if rotation_deg:
            stream.set_display_rotation(-rotation_deg)
        ticks = list(times_ms) if times_ms else range(len(frames))
        for tick, picture in zip(ticks, frames, strict=True):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture)).reformat(format=stream.pix_fmt)
            frame.pts, frame.time_base = tick, stream.codec_context.time_base
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


def damage(source: Path, target: Path, start_s: float, end_s: float) -> Path:
    """A copy of a video whose packets shown in [start_s, end_s) hold noise."""
    with av.open(str(source)) as container:
        spots = [
            (packet.pos, packet.size)
            for packet in container.demux(video=0)
            if packet.size and start_s <= float(packet.pts * packet.time_base) < end_s
        ]
    shutil.copy(source, target)
    rng = np.random.default_rng(0)
    with target.open("r+b") as file:
        for position, size in spots:
            file.seek(position + 8)  # behind the length and the type of the first unit
            file.write(rng.bytes(max(0, size - 8)))
    return target


def scanned(path: Path, scan: Scan | None = None) -> Row:
    """The row of a video after probe and scan; raises RowError as they do."""
    workspace = LakeWorkspace(str(path.parent), "scan")
    row: Row = {"key": path.name, "source": str(path)}
    row |= next(iter(probe_row(workspace, row)))
    row |= next(iter(scan_row(scan or Scan(), workspace, row)))
    return row


def clips(path: Path, quality: Quality | None = None) -> tuple[list[Row], list[Drop]]:
    """The clips of a video that pass the quality filter, with the columns of every stage, and the drops."""
    video = scanned(path)
    spans = span_rows(Spans(), video)
    if isinstance(spans, Drop):
        return [], [spans]
    kept, dropped = [], []
    for span in spans:
        answer = judge(quality or Quality(), video | span)
        if isinstance(answer, Drop):
            dropped.append(answer)
        else:
            kept.append(video | span | next(iter(answer)))
    return kept, dropped
