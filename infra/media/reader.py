"""Reading a video frame by frame: seeking, going on through damage, small pictures at little cost.

Times are seconds from the video's first frame.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import av
import cv2
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from infra.media.probe import frame_rate

Picture = NDArray[np.uint8]

cv2.setNumThreads(1)  # workers share the cores; one thread each

# 8-bit formats with one byte of luma per pixel in plane 0 and chroma in planes 1 and 2.
_PLANAR = frozenset(f"yuv{full}{chroma}p" for full in ("", "j") for chroma in (420, 422, 440, 444))


def upright(picture: Picture, rotation: int) -> Picture:
    """`picture` turned by FFmpeg's display rotation (degrees counter-clockwise, a multiple of 90)."""
    return np.ascontiguousarray(np.rot90(picture, k=round(rotation / 90) % 4))


def small_size(width: int, height: int, short_side: int) -> tuple[int, int]:
    """(width, height) scaled so that the short side is `short_side` pixels; never larger than it was."""
    scale = min(1.0, short_side / min(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def small_luma(frame: VideoFrame, short_side: int) -> Picture:
    """The luma of a frame at `short_side` pixels, not rotated: uint8 [h, w], in the stream's own range."""
    size = small_size(frame.width, frame.height, short_side)
    if frame.format.name in _PLANAR:
        return _shrink(frame, 0, size)
    return np.asarray(frame.reformat(*size, format="gray", threads=1).to_ndarray(), np.uint8)


def small_bgr(frame: VideoFrame, short_side: int) -> Picture:
    """A frame at `short_side` pixels, not rotated: BGR, uint8 [h, w, 3].

    The three planes are shrunk by reading the four nearest pixels of each target pixel and turned into
    BGR small: swscale on the full frame costs more than decoding it.
    """
    size = small_size(frame.width, frame.height, short_side)
    if frame.format.name in _PLANAR:
        y, u, v = (_shrink(frame, plane, size) for plane in range(3))
        return np.asarray(cv2.cvtColor(cv2.merge((y, v, u)), cv2.COLOR_YCrCb2BGR), np.uint8)
    return np.asarray(frame.reformat(*size, format="bgr24", threads=1).to_ndarray(), np.uint8)


def middle_luma(frame: VideoFrame, side: int) -> Picture:
    """The luma in the middle of a frame at full resolution: uint8 of at most [side, side].

    Not rotated; its first row and column lie on the grid of 8 x 8 blocks that codecs work in.
    """
    if frame.format.name in _PLANAR:
        luma = _plane(frame, 0)
    else:
        luma = np.asarray(frame.reformat(format="gray", threads=1).to_ndarray(), np.uint8)
    top, left = (max(0, length - side) // 16 * 8 for length in luma.shape)
    return luma[top : top + side, left : left + side]


def _plane(frame: VideoFrame, number: int) -> Picture:
    """A view of one plane of a planar frame."""
    part = frame.planes[number]
    pixels: Picture = np.frombuffer(part, np.uint8)  # type: ignore[call-overload]  # PyAV's stub omits the buffer protocol
    return pixels.reshape(part.height, part.line_size)[:, : part.width]


def _shrink(frame: VideoFrame, plane: int, size: tuple[int, int]) -> Picture:
    return np.asarray(cv2.resize(_plane(frame, plane), size, interpolation=cv2.INTER_LINEAR), np.uint8)


@dataclass
class FrameReader:
    """One pass over the frames of a video that keeps going through damage and records where it was.

    While `frames` runs, `decoded_frames` counts, `end_s` is the end of the last frame and `damaged`
    collects spans (start_s, end_s): from the first sign of damage (a packet that cannot be decoded, a
    frame that the decoder had to conceal) to the next intact key frame, since everything between is
    predicted from broken pictures. A span that lasts to the end of what was read ends at infinity.
    `fast` leaves out the deblocking of frames that no other frame refers to: the pictures are a little
    blockier, nothing else depends on them, and decoding is about a tenth cheaper.
    """

    container: InputContainer
    stream: VideoStream
    fast: bool = False
    decoded_frames: int = 0
    end_s: float = 0.0
    damaged: list[tuple[float, float]] = field(default_factory=list)
    _bad_since: float | None = None

    def frames(self, start_s: float | None = None) -> Iterator[tuple[float, VideoFrame]]:
        """(time_s, frame) in the order of presentation, from the key frame before `start_s` on."""
        if self.fast:
            self.stream.codec_context.options = {"skip_loop_filter": "noref"}
        if start_s is not None:
            seek_before(self.container, self.stream, round(start_s / tick(self.stream)) + origin(self.stream))
        for packet in self._packets():
            yield from self._decode(packet)
        if self._bad_since is not None:
            self.damaged.append((self._bad_since, float("inf")))

    def _packets(self) -> Iterator[Packet[VideoStream]]:
        try:
            yield from self.container.demux(self.stream)
        except av.FFmpegError:  # nothing after this can be found any more
            self._spoil(self.end_s)

    def _decode(self, packet: Packet[VideoStream]) -> Iterator[tuple[float, VideoFrame]]:
        try:
            frames = packet.decode()
        except av.FFmpegError:
            at = packet.pts if packet.pts is not None else packet.dts
            self._spoil(self.end_s if at is None else min(self.end_s, (at - origin(self.stream)) * tick(self.stream)))
            return
        for frame in frames:
            time_s = (presentation(frame) - origin(self.stream)) * tick(self.stream)
            if frame.is_corrupt:
                self._spoil(time_s)
            elif frame.key_frame and self._bad_since is not None and time_s > self._bad_since:
                self.damaged.append((self._bad_since, time_s))
                self._bad_since = None
            self.decoded_frames += 1
            length = frame.duration * tick(self.stream) if frame.duration else 1 / float(frame_rate(self.stream) or 25)
            self.end_s = max(self.end_s, time_s + length)
            yield time_s, frame

    def is_damaged(self, start_s: float, end_s: float) -> bool:
        """Whether damage met so far touches [start_s, end_s)."""
        if self._bad_since is not None and self._bad_since < end_s:
            return True
        return any(begin < end_s and end > start_s for begin, end in self.damaged)

    def _spoil(self, since_s: float) -> None:
        if self._bad_since is None:
            self._bad_since = max(0.0, since_s)


def tick(stream: VideoStream) -> float:
    """Seconds per unit of the stream's timestamps."""
    return float(stream.time_base or 1)


def origin(stream: VideoStream) -> int:
    """Timestamp of the stream's first frame."""
    return stream.start_time or 0


def seek_before(container: InputContainer, stream: VideoStream, pts: int) -> None:
    """Go to a key frame shown at or before timestamp `pts`, the last one if the container's index can tell.

    Containers are indexed by decoding time, so a seek can land on a key frame that is shown a few
    frames too late; then two seconds earlier and at last the beginning are tried.
    """
    first = origin(stream)
    for target in (pts, pts - round(2 / tick(stream)), first):
        container.seek(max(first, target), stream=stream)
        landed = next((p for p in container.demux(stream) if p.size), None)
        container.seek(max(first, target), stream=stream)
        if landed is not None and landed.pts is not None and landed.pts <= pts:
            return


def presentation(frame: VideoFrame) -> int:
    """Presentation time of a frame in ticks; its decoding time where the container has no other (AVI)."""
    pts = frame.dts if frame.pts is None else frame.pts
    return 0 if pts is None else pts
