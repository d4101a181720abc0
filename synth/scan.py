"""Stage `scan`: one decode of the whole video at low resolution, for all that is asked of its pictures.

Shot transitions, brightness, contrast, sharpness and motion a few times a second, fingerprints,
and how much of the video could be decoded at all.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import ClassVar

import cv2
import numpy as np
import pyarrow as pa
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange
from numpy.typing import NDArray

from infra.errors import RowError
from infra.media.fingerprint import Fingerprinter
from infra.media.probe import open_video
from infra.media.reader import FrameReader, middle_luma, small_bgr, small_luma
from infra.stage import Row, RowStage, Work, Workspace, each
from synth.measures import (
    blockiness,
    brightness_contrast,
    changed_share,
    flat_share,
    motion,
    picture_share,
    sharpness,
)
from synth.overlay import text_share
from synth.shift import global_shift, shift_picture
from synth.transitions import CutDetector, DissolveDetector, Interval, merged

_CUT_SIDE = 54  # short side of the pictures that cuts are looked for in; content scores do not change with it
_SAMPLE_SIDE = 256  # short side of the pictures that are measured: what a model sees at most
_CROP_SIDE = 512  # of the full-resolution pictures that blocks are looked for in
_THUMB = (32, 18)  # (width, height) in which motion and dissolves are looked for
_MAX_FPS = 30.5  # frames closer together are decoded but not looked at
MEASURES = (
    "times",
    "brightness",
    "contrast",
    "sharpness",
    "motion",
    "changed",
    "shift_x",
    "shift_y",
    "picture",
    "blockiness",
    "flat",
    "text",
)  # of every sample, as columns
_MIN_TAIL_S = 0.5  # a shorter difference between declared and decoded length is rounding


@dataclass(frozen=True)
class Scan(RowStage):
    """Decodes every frame once and keeps going through damage.

    Quarantined: `too_few_frames` (fewer than two), `truncated` or `damaged` when less than
    `min_decoded_share` of the video can be decoded. Otherwise the damaged spans are told apart, so that
    whole clips survive.
    """

    samples_per_s: float = 4.0
    adaptive_threshold: float = 3.0  # a cut's change over the mean change of the four frames around it
    # Change of HSV between two frames, mean over pixels and channels. PySceneDetect's default of 15
    # misses slide changes; at 13 a page that fills with text begins to count.
    min_content: float = 14.0
    min_shot_s: float = 0.6
    min_decoded_share: float = 0.5

    name: ClassVar[str] = "scan"
    version: ClassVar[int] = 3
    needs: ClassVar[tuple[str, ...]] = ("source", "declared_frames", "duration_s")
    schema: ClassVar[pa.Schema] = pa.schema(
        [
            ("decoded_frames", pa.int64()),
            ("end_s", pa.float64()),  # end of the last frame that was decoded
            ("lost_share", pa.float64()),  # of the declared frames or seconds, whichever says less
            ("cut_starts", pa.list_(pa.float64())),  # transitions, ascending: a hard cut starts and ends
            ("cut_ends", pa.list_(pa.float64())),  # at the first frame of the new shot
            ("damaged_starts", pa.list_(pa.float64())),
            ("damaged_ends", pa.list_(pa.float64())),
            ("times", pa.list_(pa.float64())),  # the samples; the lists below go with them
            ("brightness", pa.list_(pa.float32())),  # mean luma, 0-255
            ("contrast", pa.list_(pa.float32())),  # its standard deviation
            ("sharpness", pa.list_(pa.float32())),  # |Laplacian| of the hardest edges at 256 px, 0-255
            ("motion", pa.list_(pa.float32())),  # mean absolute difference from the sample before, 0-255
            ("changed", pa.list_(pa.float32())),  # share of the pixels that differ from the sample before
            ("shift_x", pa.list_(pa.float32())),  # of the whole picture since the sample before, in short sides
            ("shift_y", pa.list_(pa.float32())),
            ("picture", pa.list_(pa.float32())),  # share of the picture inside black bars
            ("blockiness", pa.list_(pa.float32())),  # steps at 8 x 8 block borders over steps beside them
            ("flat", pa.list_(pa.float32())),  # share without any gradient
            ("text", pa.list_(pa.float32())),  # share covered by lines of text
            ("prints", pa.binary()),  # what the video shows, twice a second: infra.media.fingerprint
        ]
    )
    unit_rows: ClassVar[int] = 8
    deadline_s: ClassVar[float] = 1800.0  # a two-hour film; also ends a decoder that loops on damage

    def open(self, workspace: Workspace) -> Work:
        return each(partial(scan_row, self, workspace))


def scan_row(settings: Scan, workspace: Workspace, row: Row) -> Iterable[Row]:
    """The scanned row of one video; raises RowError when too little of it can be decoded."""
    with open_video(workspace.path(row["source"])) as (container, stream):
        reader = FrameReader(container, stream, fast=True)
        seen = _watch(settings, reader)
    length_s = row["duration_s"]
    damaged = _damage(reader, length_s)
    lost = _lost_share(row["declared_frames"], reader.decoded_frames, length_s, reader.end_s, damaged)
    _judge(settings, row["declared_frames"], reader, length_s, lost)
    yield {
        "key": row["key"],
        "parent": row["key"],
        "decoded_frames": reader.decoded_frames,
        "end_s": reader.end_s,
        "lost_share": round(lost, 6),
        "damaged_starts": [start for start, _ in damaged],
        "damaged_ends": [end for _, end in damaged],
        **seen,
    }


def _watch(settings: Scan, reader: FrameReader) -> Row:
    """Everything that is looked for in the pictures of one pass."""
    cuts = CutDetector(settings.adaptive_threshold, settings.min_content, settings.min_shot_s)
    dissolves = DissolveDetector()
    samples = Samples()
    prints = Fingerprinter()
    next_s, next_sample = 0.0, 0
    for time_s, frame in reader.frames():
        if time_s < next_s:
            continue
        next_s = time_s + 1 / _MAX_FPS
        picture = small_bgr(frame, _CUT_SIDE)
        cuts.add(time_s, picture)
        prints.add(time_s, picture, frame.rotation)
        if time_s * settings.samples_per_s >= next_sample - 1e-3:
            next_sample = int(time_s * settings.samples_per_s + 1e-3) + 1
            dissolves.add(time_s, samples.add(time_s, frame))
    transitions = merged([(cut_s, cut_s) for cut_s in cuts.finish()] + dissolves.finish())
    edges = [0.0, *(time_s for transition in transitions for time_s in transition), reader.end_s]
    shots = list(zip(edges[::2], edges[1::2], strict=True))
    return {
        "prints": prints.finish(reader.end_s, shots),
        "cut_starts": [start for start, _ in transitions],
        "cut_ends": [end for _, end in transitions],
        **samples.columns,
    }


@dataclass
class Samples:
    """The measures of a few pictures a second, as columns."""

    columns: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in MEASURES})
    _before: NDArray[np.uint8] | None = None
    _changes: Changes = field(default_factory=lambda: Changes())

    def add(self, time_s: float, frame: VideoFrame) -> NDArray[np.uint8]:
        """Measure one frame; returns its thumbnail, grey uint8 [18, 32]."""
        luma = small_luma(frame, _SAMPLE_SIDE)
        full_range = frame.color_range == ColorRange.JPEG or not frame.format.name.startswith("yuv4")
        brightness, contrast = brightness_contrast(luma, full_range)
        thumb = np.asarray(cv2.resize(luma, _THUMB, interpolation=cv2.INTER_AREA), np.uint8)
        values = {
            "times": time_s,
            "brightness": round(brightness, 2),
            "contrast": round(contrast, 2),
            "sharpness": sharpness(luma),
            "motion": 0.0 if self._before is None else round(motion(self._before, thumb), 4),
            **self._changes.add(luma),
            "picture": round(picture_share(luma), 4),
            "blockiness": round(blockiness(middle_luma(frame, _CROP_SIDE)), 3),
            "flat": round(flat_share(luma), 4),
            "text": round(text_share(luma), 4),
        }
        for name, value in values.items():
            self.columns[name].append(value)
        self._before = thumb
        return thumb


@dataclass
class Changes:
    """What changed since the sample before: how much of the picture, and where the whole of it moved."""

    _luma: NDArray[np.uint8] | None = None
    _small: NDArray[np.float32] | None = None

    def add(self, luma: NDArray[np.uint8]) -> dict[str, float]:
        """Measures of the next sample, uint8 [h, w]; 0.0 for the first."""
        small = shift_picture(luma)
        changed, (x, y) = 0.0, (0.0, 0.0)
        if self._luma is not None and self._small is not None:
            changed, (x, y) = changed_share(self._luma, luma), global_shift(self._small, small)
        self._luma, self._small = luma, small
        height, width = luma.shape
        short = min(width, height)
        return {
            "changed": round(changed, 6),
            "shift_x": round(x * width / short, 4),
            "shift_y": round(y * height / short, 4),
        }


def _damage(reader: FrameReader, length_s: float) -> list[Interval]:
    """Spans that cannot be shown as they were meant: broken pictures, and the tail that is missing."""
    whole_s = max(length_s, reader.end_s)
    spans = [(start, min(end, whole_s)) for start, end in reader.damaged]
    if reader.end_s < length_s - _MIN_TAIL_S:
        spans.append((reader.end_s, length_s))
    return merged(span for span in spans if span[0] < span[1])


def _lost_share(
    declared_frames: int, decoded_frames: int, length_s: float, end_s: float, damaged: list[Interval]
) -> float:
    """The share of the video that was not decoded, by frames or by seconds, whichever says less.

    An edit list hides frames that the container counts, and rounding shortens the length: only a loss
    that both show is one. A container that does not count frames leaves the seconds.
    """
    by_time = max(0.0, 1 - end_s / length_s) if length_s else 0.0
    if not declared_frames:
        return by_time
    by_frames = max(0.0, 1 - decoded_frames / declared_frames)
    return by_frames if damaged else min(by_time, by_frames)


def _judge(settings: Scan, declared_frames: int, reader: FrameReader, length_s: float, lost: float) -> None:
    decoded = reader.decoded_frames
    if decoded < 2:
        raise RowError("too_few_frames", f"decoded {decoded} of {declared_frames or 'uncounted'} declared frames")
    if 1 - lost >= settings.min_decoded_share:
        return
    if declared_frames:
        seen = f"decoded {decoded} of {declared_frames} declared frames ({decoded / declared_frames:.0%})"
    else:
        seen = f"decoded {reader.end_s:.1f} of {length_s:.1f} declared seconds ({reader.end_s / length_s:.0%})"
    missing_tail = length_s - reader.end_s >= lost * length_s / 2
    raise RowError("truncated" if missing_tail else "damaged", seen)
