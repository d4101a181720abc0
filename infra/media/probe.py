"""What a video file says about itself: container, codec, size, length.

`open_video` is the one place where containers are opened; what FFmpeg says about a broken file
becomes a RowError with a stable reason here.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from infra.errors import RowError

# First bytes of the containers whose index can be missing; the rest of FFmpeg's refusals are no video at all.
_CONTAINER_MAGIC = {b"ftyp": 4, b"moov": 4, b"mdat": 4, b"\x1aE\xdf\xa3": 0, b"RIFF": 0, b"GIF8": 0}


@dataclass(frozen=True)
class MediaInfo:
    """Facts of one video file, from its container alone (nothing is decoded but one frame for the rotation).

    `width` and `height` are display pixels after rotation; `rotation_deg` is the clockwise turn, in
    {0, 90, 180, 270}, that the player is asked to make; `declared_frames` is 0 where the container
    does not say (webm, mkv); `fps` is the average frame rate.
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


def _refusal(source: str | bytes, error: Exception) -> RowError:
    """Why FFmpeg could not open `source`, told apart by its size and its first bytes."""
    if isinstance(source, bytes):
        head, size = source[:16], len(source)
    else:
        file = Path(source)
        size = file.stat().st_size
        with file.open("rb") as stream:
            head = stream.read(16)
    if size == 0:
        return RowError("empty_file", "the file has zero bytes")
    if any(head[at : at + len(magic)] == magic for magic, at in _CONTAINER_MAGIC.items()):
        return RowError(
            "unreadable_container", f"the container's index is missing or broken ({size} bytes; FFmpeg: {error})"
        )
    return RowError("not_a_video", f"no known video container begins with {head[:8]!r} ({size} bytes)")


@contextmanager
def open_video(source: str | bytes) -> Iterator[tuple[InputContainer, VideoStream]]:
    """The container of `source` (a local path or a file's bytes) and its first video stream, one decoder thread.

    Raises RowError: missing_file, empty_file, not_a_video, unreadable_container, no_video_stream.
    """
    try:
        container = av.open(io.BytesIO(source) if isinstance(source, bytes) else source, "r")
    except FileNotFoundError as error:
        raise RowError("missing_file", "the file is not there (any more)") from error
    except av.FFmpegError as error:
        raise _refusal(source, error) from error
    with container:
        pictures = [s for s in container.streams.video if not s.disposition & av.stream.Disposition.attached_pic]
        if not pictures:
            kinds = ", ".join(sorted({s.type for s in container.streams})) or "no stream"
            raise RowError("no_video_stream", f"the file holds {kinds}, but no video")
        stream = pictures[0]
        stream.thread_type = "NONE"
        stream.codec_context.thread_count = 1
        yield container, stream
