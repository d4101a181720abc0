"""The one place where videos and images become pixels."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass

import av
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from infra.errors import RowError
from infra.media.probe import open_video

Frames = NDArray[np.uint8]


def decode_image(data: bytes) -> Frames:
    """An encoded still picture as RGB, uint8 [h, w, 3].

    Raises RowError `not_an_image` when the bytes hold no readable picture.
    """
    try:
        with Image.open(io.BytesIO(data)) as image:
            return np.asarray(image.convert("RGB"))
    except (UnidentifiedImageError, OSError) as error:
        raise RowError("not_an_image", f"{len(data)} bytes that hold no readable picture: {error}") from error


def to_rgb(frame: VideoFrame) -> Frames:
    """A decoded frame as it is shown (rotation applied): RGB, uint8 [h, w, 3]."""
    return upright(np.asarray(frame.to_ndarray(format="rgb24"), np.uint8), frame.rotation)


def upright(picture: Frames, rotation: int) -> Frames:
    """`picture` turned by FFmpeg's display rotation (degrees counter-clockwise, a multiple of 90)."""
    return np.ascontiguousarray(np.rot90(picture, k=round(rotation / 90) % 4))


def sample_frames(
    source: str | bytes, count: int, start_s: float | None = None, end_s: float | None = None
) -> tuple[Frames, NDArray[np.float64]]:
    """Exactly `count` frames spread evenly over [start_s, end_s): RGB uint8 [count, h, w, 3] and their times.

    Times are seconds from the first frame, float64 [count], never decreasing: evenly spaced instants
    from the first to the last frame of the span, each answered by the frame nearest to it, so a
    variable frame rate is honoured and a frame repeats where there are fewer than `count`. A span
    between two frames is answered by the frame on show in it.
    Raises RowError: what `open_video` raises, `no_frames`, or `damaged` when a wanted frame cannot be decoded.
    """
    with open_video(source) as (container, stream):
        index = _index(container, stream)
        wanted = _spread(index.times, count, start_s, end_s)
        pictures = _pick(container, stream, index, sorted(set(wanted)))
        return np.stack([pictures[i] for i in wanted]), index.times[wanted]


@dataclass(frozen=True)
class _Index:
    """Every coded frame in the order of presentation, times in seconds from the first."""

    pts: NDArray[np.int64]
    dts: NDArray[np.int64]
    is_key: NDArray[np.bool_]
    times: NDArray[np.float64]


def _index(container: InputContainer, stream: VideoStream) -> _Index:
    entries = []
    try:
        for packet in container.demux(stream):
            pts = packet.dts if packet.pts is None else packet.pts
            if packet.size and pts is not None and not packet.is_corrupt:
                entries.append((pts, pts if packet.dts is None else packet.dts, packet.is_keyframe))
    except av.FFmpegError:
        pass  # the packets before the damage are the index; asking for more raises when it is decoded
    if not entries:
        raise RowError("no_frames", "the container lists no frame that can be read")
    table = np.array(sorted(entries), np.int64)
    pts, dts = table[:, 0], table[:, 1]
    return _Index(pts, dts, table[:, 2].astype(bool), (pts - pts[0]) * float(stream.time_base or 1))


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


def _pick(container: InputContainer, stream: VideoStream, index: _Index, wanted: list[int]) -> dict[int, Frames]:
    """The wanted frames (ascending indices), decoding no more than their groups of pictures."""
    keys = np.flatnonzero(index.is_key)
    pictures: dict[int, Frames] = {}
    frames: Iterator[VideoFrame] = iter(())
    shown: VideoFrame | None = None
    for i in wanted:
        key = int(keys[max(0, int(np.searchsorted(keys, i, side="right")) - 1)]) if len(keys) else 0
        if shown is None or _pts(shown) < index.pts[key]:
            frames, shown = _from_key(container, stream, index, key)
        while shown is not None and _pts(shown) < index.pts[i]:
            shown = next(frames, None)
        if shown is None:
            raise RowError("damaged", f"the frame at {index.times[i]:.3f} s cannot be decoded")
        pictures[i] = to_rgb(shown)
    return pictures


def _from_key(
    container: InputContainer, stream: VideoStream, index: _Index, key: int
) -> tuple[Iterator[VideoFrame], VideoFrame | None]:
    """Frames from key frame `key` on, and the first of them.

    Containers are indexed by decoding time, so a seek to a presentation time can land one key frame
    too late; then the decoding time and at last the beginning are tried.
    """
    for offset in (index.pts[key], index.dts[key], min(index.dts[0], index.pts[0])):
        container.seek(int(offset), stream=stream)
        frames = _decoded(container, stream)
        first = next(frames, None)
        if first is not None and _pts(first) <= index.pts[key]:
            break
    return frames, first


def _decoded(container: InputContainer, stream: VideoStream) -> Iterator[VideoFrame]:
    try:
        yield from container.decode(stream)
    except av.FFmpegError:
        return


def _pts(frame: VideoFrame) -> int:
    pts = frame.dts if frame.pts is None else frame.pts
    return 0 if pts is None else pts
