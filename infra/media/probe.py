"""What a video file says about itself: container, codec, size, length.

`open_video` is the one place where videos are opened for reading; what FFmpeg says about a broken
file becomes a RowError with a stable reason here.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from infra.errors import RowError
from infra.media.magic import HEAD_BYTES, begins_like_video


@dataclass(frozen=True)
class MediaInfo:
    """Facts of one video file, from its container; one frame is decoded for the rotation.

    `width` and `height` are display pixels after rotation; `rotation_deg` is the clockwise turn that
    a player makes, in [0, 360); `fps` is the average rate, 0.0 where unknown; `declared_frames` is 0
    where the container does not count them (webm, mkv); `duration_s` is the video stream's own where
    the container gives it.
    """

    container: str
    codec: str
    width: int
    height: int
    rotation_deg: int
    fps: float
    duration_s: float
    declared_frames: int
    has_audio: bool


def probe(path: str) -> MediaInfo:
    """Facts of the video at a local path.

    Raises RowError: what `open_video` raises, and `no_frames` when not one frame can be decoded.
    """
    with open_video(path) as (container, stream):
        rotation = _rotation(container, stream)
        turned = rotation % 180 == 90
        size = (stream.height, stream.width) if turned else (stream.width, stream.height)
        return MediaInfo(
            container=container.format.name.split(",")[0],
            codec=stream.codec_context.name,
            width=size[0],
            height=size[1],
            rotation_deg=-rotation % 360,
            fps=float(frame_rate(stream)),
            duration_s=duration_s(container, stream),
            declared_frames=stream.frames,
            has_audio=bool(container.streams.audio),
        )


def packets_id(path: str) -> str:
    """32 hex digits of the SHA-256 of the encoded video packets, whatever container they are in.

    Empty where the packets cannot be read to their end. MPEG-TS frames H.264 differently from MP4 and
    Matroska, so a re-mux from or to it has another id. Raises what `open_video` raises.
    """
    with open_video(path) as (container, stream):
        digest = hashlib.sha256(stream.codec_context.name.encode())
        try:
            for packet in container.demux(stream):
                digest.update(packet)
        except av.FFmpegError:
            return ""
    return digest.hexdigest()[:32]


def _rotation(container: InputContainer, stream: VideoStream) -> int:
    """Display rotation in degrees counter-clockwise; PyAV tells it of decoded frames only."""
    for packet in container.demux(stream):
        try:
            for frame in packet.decode():
                return frame.rotation
        except av.FFmpegError:
            continue
    raise RowError("no_frames", "the container opens, but not one frame of it can be decoded")


def frame_rate(stream: VideoStream) -> Fraction:
    """Average frames a second, 0 where the container does not tell."""
    return stream.average_rate or stream.guessed_rate or Fraction(0)


def duration_s(container: InputContainer, stream: VideoStream) -> float:
    """Seconds of video: the stream's own length, else the container's, 0.0 where neither is known."""
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    if container.duration is None:
        return 0.0
    # A container's duration counts from its own zero; a stream may start a little after it.
    start = float((stream.start_time or 0) * (stream.time_base or 0))
    return max(0.0, container.duration / av.time_base - max(0.0, start))


@contextmanager
def open_video(source: str | bytes) -> Iterator[tuple[InputContainer, VideoStream]]:
    """The container of `source` (a local path or a file's bytes) and its first video stream, one decoder thread.

    Raises RowError: missing_file, empty_file, not_a_video, unreadable_container, no_video_stream; and
    `damaged` for what FFmpeg raises while the container is in use.
    """
    try:
        container = av.open(io.BytesIO(source) if isinstance(source, bytes) else source, "r")
    except FileNotFoundError as error:
        raise RowError("missing_file", "the file is not there (any more)") from error
    except av.FFmpegError as error:
        raise _refusal(source, error) from error
    with container:
        streams = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
        if not streams:
            kinds = ", ".join(sorted({s.type for s in container.streams})) or "no stream"
            raise RowError("no_video_stream", f"the file holds {kinds}, but no video")
        stream = streams[0]
        if stream.codec_context is None or not stream.width:
            raise RowError("unreadable_container", "the video stream has no readable header")
        stream.thread_type = "NONE"
        stream.codec_context.thread_count = 1
        try:
            yield container, stream
        except av.FFmpegError as error:
            raise RowError("damaged", f"reading the container broke off: {error.strerror}") from error


def _refusal(source: str | bytes, error: av.FFmpegError) -> RowError:
    """Why FFmpeg could not open `source`, told apart by its size and its first bytes."""
    if isinstance(source, bytes):
        head, size = source[:HEAD_BYTES], len(source)
    else:
        size = Path(source).stat().st_size
        with Path(source).open("rb") as file:
            head = file.read(HEAD_BYTES)
    if size == 0:
        return RowError("empty_file", "the file has zero bytes")
    if begins_like_video(head):
        seen = f"the container's index is missing or broken ({size} bytes): {error.strerror}"
        return RowError("unreadable_container", seen)
    return RowError("not_a_video", f"no known video container begins with {head[:8]!r} ({size} bytes)")
