"""The one place where pixels become videos and images."""

from __future__ import annotations

import io
import itertools
import tempfile
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray
from PIL import Image

from infra.errors import RowError

# One x264 thread: the bytes must not depend on the number of cores, and workers share them anyway.
# Key frames at fixed distances only, so that a reader can seek by arithmetic.
_X264 = {"preset": "veryfast", "x264-params": "threads=1:lookahead_threads=1:scenecut=0:open_gop=0"}


def encode_image(frame: NDArray[np.uint8], quality: int = 90) -> bytes:
    """A JPEG of an RGB picture uint8 [h, w, 3]; `quality` on Pillow's scale of 1-95."""
    buffer = io.BytesIO()
    Image.fromarray(frame).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def encode_video(frames: Iterable[NDArray[np.uint8]], fps: Fraction | int, crf: int = 23, gop_s: float = 1.0) -> bytes:
    """An H.264 MP4 (yuv420p, index in front) of RGB frames uint8 [h, w, 3], all of one size.

    The same frames give the same bytes. `fps` is exact; `gop_s` is the distance of key frames in
    seconds; an odd width or height loses its last column or row (yuv420p has none).
    Raises RowError `encode_failed` without frames, or when the file does not hold every frame.
    """
    pictures = (VideoFrame.from_ndarray(np.ascontiguousarray(_even(frame)), format="rgb24") for frame in frames)
    data, _ = write_mp4(pictures, Fraction(fps), crf, gop_s)
    return data


def _even(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = frame.shape[:2]
    return frame[: height - height % 2, : width - width % 2]


def write_mp4(frames: Iterable[VideoFrame], fps: Fraction, crf: int, gop_s: float) -> tuple[bytes, int]:
    """The MP4 of `frames` shown at `fps`, and how many frames it holds (counted in the finished file).

    Raises RowError `encode_failed` without frames, or when the file does not hold every frame.
    """
    frames = iter(frames)
    first = next(frames, None)
    if first is None:
        raise RowError("encode_failed", "there is no frame to encode")
    with tempfile.TemporaryDirectory(prefix="uvr-encode-") as folder:
        path = Path(folder) / "clip.mp4"  # a real file: the index can only be moved in front by re-reading it
        written = _encode_into(path, itertools.chain([first], frames), first, fps, crf, gop_s)
        data = path.read_bytes()
    held = count_frames(data)
    if held != written:
        raise RowError("encode_failed", f"{written} frames went into the encoder, {held} are in the file")
    return data, held


def _encode_into(
    path: Path, frames: Iterator[VideoFrame], first: VideoFrame, fps: Fraction, crf: int, gop_s: float
) -> int:
    with av.open(str(path), "w", format="mp4", options={"movflags": "+faststart", "fflags": "+bitexact"}) as output:
        stream = output.add_stream("libx264", rate=fps, options={**_X264, "crf": str(crf)})
        stream.width, stream.height, stream.pix_fmt = first.width, first.height, "yuv420p"
        stream.codec_context.thread_count = 1
        stream.codec_context.gop_size = max(1, round(fps * Fraction(gop_s)))
        stream.codec_context.time_base = 1 / fps
        count = 0
        for count, frame in enumerate(frames, start=1):
            frame.pts, frame.time_base = count - 1, 1 / fps
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return count


def count_frames(data: bytes) -> int:
    """Number of coded video frames in a file, by reading its packets (nothing is decoded)."""
    with av.open(io.BytesIO(data), "r") as container:
        return sum(packet.size > 0 for packet in container.demux(video=0))
