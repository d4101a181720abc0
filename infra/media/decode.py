"""Images and sampled frames as pixels. Rotation is applied; times are seconds from the first frame."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import av
import decord
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from infra.errors import RowError
from infra.media.encode import OWN_MARK
from infra.media.frames import PackedFrames, is_packed
from infra.media.probe import open_video
from infra.media.reader import Picture, origin, presentation, seek_before, tick, upright

decord.logging.set_level(decord.logging.QUIET)

SHORT_CLIP: Final = 100  # frames

# What Pillow raises for damaged pictures: a PNG's broken chunks are a SyntaxError to it, or a ValueError.
_UNREADABLE = (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError)


def decode_image(data: bytes) -> Picture:
    """An encoded still picture as RGB, uint8 [h, w, 3].

    Raises RowError `not_an_image` when the bytes hold no readable picture.
    """
    try:
        with Image.open(io.BytesIO(data)) as image:
            return np.asarray(image.convert("RGB"))
    except _UNREADABLE as error:
        raise RowError("not_an_image", f"{len(data)} bytes that hold no readable picture: {error}") from error


def to_rgb(frame: VideoFrame) -> Picture:
    """A decoded frame as it is shown (rotation applied): RGB, uint8 [h, w, 3]."""
    return upright(np.asarray(frame.to_ndarray(format="rgb24", threads=1), np.uint8), frame.rotation)


def sample_frames(
    source: str | bytes, count: int, start_s: float | None = None, end_s: float | None = None
) -> tuple[Picture, NDArray[np.float64]]:
    """Exactly `count` frames spread evenly over [start_s, end_s): RGB uint8 [count, h, w, 3] and their times.

    Times are float64 [count] and never decrease: evenly spaced instants from the first to the last
    frame of the span, each answered by the frame nearest to it, so a variable frame rate is honoured
    and a frame repeats where there are fewer than `count`. A span between two frames is answered by
    the frame on show in it.

    Longer clips that `infra.media.encode` made are read with decord. Everything else is read with PyAV, which gives
    the same pictures: decord 0.6 knows no AV1 or GIF and damaged input can crash it, and its reader takes two to
    three times as long as PyAV for a short clip.
    Frames packed by `infra.media.frames` have no clock: they count as one a second.
    Raises RowError: what `open_video` raises, `no_frames`, or `damaged` when a wanted frame cannot be decoded.
    """
    if isinstance(source, bytes) and is_packed(source):
        return _sample_packed(PackedFrames(source), count, start_s, end_s)
    with open_video(source) as (container, stream):
        index = _index(container, stream)
        wanted = _spread(index.times, count, start_s, end_s)
        if len(index.pts) > SHORT_CLIP and container.metadata.get("comment") == OWN_MARK:
            pictures = _pick_decord(source, index, sorted(set(wanted)))
        else:
            pictures = _pick_av(container, stream, index, sorted(set(wanted)))
    return np.stack([pictures[i] for i in wanted]), index.times[wanted]


def _sample_packed(
    frames: PackedFrames, count: int, start_s: float | None, end_s: float | None
) -> tuple[Picture, NDArray[np.float64]]:
    """The frames that a video of one frame a second would give."""
    times = np.arange(len(frames), dtype=np.float64)
    wanted = _spread(times, count, start_s, end_s)
    pictures = {i: _packed_picture(frames, i) for i in sorted(set(wanted))}
    sizes = {picture.shape for picture in pictures.values()}
    if len(sizes) > 1:
        raise RowError("damaged", f"packed frames of one video differ in size: {sorted(sizes)}")
    return np.stack([pictures[i] for i in wanted]), times[wanted]


def _packed_picture(frames: PackedFrames, number: int) -> Picture:
    try:
        return decode_image(frames.read(number))
    except RowError as error:
        if error.reason != "not_an_image":
            raise
        raise RowError("damaged", f"packed frame {number} of {len(frames)}: {error.message}") from error


@dataclass(frozen=True)
class _Index:
    """Every coded frame in the order of presentation: ticks, is it a key frame, seconds from the first."""

    pts: NDArray[np.int64]
    is_key: NDArray[np.bool_]
    times: NDArray[np.float64]


def _index(container: InputContainer, stream: VideoStream) -> _Index:
    entries = []
    try:
        for packet in container.demux(stream):
            pts = packet.dts if packet.pts is None else packet.pts
            if packet.size and pts is not None and not packet.is_discard:
                entries.append((pts, packet.is_keyframe))
    except av.FFmpegError:
        pass  # the packets before the damage are the index; a wanted frame that is broken raises when decoded
    if not entries:
        raise RowError("no_frames", "the container lists no frame that can be read")
    table = np.array(sorted(entries), np.int64)
    ticks = table[:, 0]
    return _Index(ticks, table[:, 1].astype(bool), ((ticks - origin(stream)) * tick(stream)).astype(np.float64))


def _spread(times: NDArray[np.float64], count: int, start_s: float | None, end_s: float | None) -> list[int]:
    """Indices of the `count` frames nearest to evenly spaced instants of the span."""
    low = 0 if start_s is None else int(np.searchsorted(times, start_s - 1e-6))
    high = len(times) if end_s is None else int(np.searchsorted(times, end_s - 1e-6))
    if low >= high:  # no frame begins inside the span: the one on show before it
        low = max(0, min(low, len(times)) - 1)
        high = low + 1
    instants = np.linspace(times[low], times[high - 1], count)
    after = np.clip(np.searchsorted(times, instants), low, high - 1)
    before = np.maximum(after - 1, low)
    nearest = np.where(instants - times[before] <= times[after] - instants, before, after)
    return [int(i) for i in nearest]


def _pick_av(container: InputContainer, stream: VideoStream, index: _Index, wanted: list[int]) -> dict[int, Picture]:
    """The wanted frames (ascending indices), decoding no more than their groups of pictures."""
    keys = np.flatnonzero(index.is_key)
    pictures: dict[int, Picture] = {}
    frames: Iterator[VideoFrame] = iter(())
    shown: VideoFrame | None = None
    for i in wanted:
        key = int(keys[max(0, int(np.searchsorted(keys, i, side="right")) - 1)]) if len(keys) else 0
        if shown is None or presentation(shown) < index.pts[key]:
            seek_before(container, stream, int(index.pts[key]))
            frames = _decoded(container, stream)
            shown = next(frames, None)
        while shown is not None and presentation(shown) < index.pts[i]:
            shown = next(frames, None)
        if shown is None:
            raise RowError("damaged", f"the frame at {index.times[i]:.3f} s cannot be decoded")
        pictures[i] = to_rgb(shown)
    return pictures


def _decoded(container: InputContainer, stream: VideoStream) -> Iterator[VideoFrame]:
    try:
        yield from container.decode(stream)
    except av.FFmpegError:
        return


def _pick_decord(source: str | bytes, index: _Index, wanted: list[int]) -> dict[int, Picture]:
    """The wanted frames of a clip of our own, whose index is whole and whose frames have one length."""
    reader = decord.VideoReader(io.BytesIO(source) if isinstance(source, bytes) else source, num_threads=1)
    if len(reader) != len(index.pts):
        raise RowError("damaged", f"decord finds {len(reader)} of {len(index.pts)} frames")
    return dict(zip(wanted, reader.get_batch(wanted).asnumpy(), strict=True))
