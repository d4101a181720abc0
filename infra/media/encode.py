"""The one place where pixels become videos and images. The same input gives the same bytes."""

from __future__ import annotations

import io
import itertools
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Interpolation, VideoReformatter
from numpy.typing import NDArray
from PIL import Image

from infra.errors import RowError
from infra.media.probe import frame_rate, open_video
from infra.media.reader import FrameReader, upright

# Written into every file made here, so that a reader knows a clip of our own.
OWN_MARK = "universal-video-retrieval"

# One thread: the bytes must not depend on the number of cores, and workers share them anyway.
# cpu-independent: x264's AVX-512 code for macroblock trees reads memory it never wrote, so that the same
# frames give other bytes from one call to the next, and its fast paths differ from CPU to CPU.
# scenecut=0: key frames stand at fixed distances only, so no group of pictures is longer or shorter than asked.
_X264 = {"preset": "veryfast", "x264-params": "threads=1:lookahead_threads=1:cpu-independent=1:scenecut=0:open_gop=0"}
_EXACT = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.BITEXACT  # the same on every CPU

_MAX_FPS = Fraction(30)


@dataclass(frozen=True)
class EncodedClip:
    """A clip cut out of a video: the MP4 and facts counted in it."""

    data: bytes
    frames: int
    width: int
    height: int
    fps: float
    duration_s: float


def encode_image(frame: NDArray[np.uint8], quality: int = 90) -> bytes:
    """A JPEG of an RGB picture uint8 [h, w, 3]; `quality` on Pillow's scale of 1-95."""
    buffer = io.BytesIO()
    Image.fromarray(frame).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def scale_to_height(picture: NDArray[np.uint8], height: int) -> NDArray[np.uint8]:
    """An RGB picture uint8 [h, w, 3] scaled to `height` pixels, its shape kept: uint8 [height, w', 3]."""
    size = (max(1, round(picture.shape[1] * height / picture.shape[0])), height)
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS))


def encode_video(frames: Iterable[NDArray[np.uint8]], fps: Fraction | int, crf: int = 23, gop_s: float = 1.0) -> bytes:
    """An H.264 MP4 (yuv420p, index in front) of RGB frames uint8 [h, w, 3], all of one size.

    `fps` is exact; `gop_s` is the distance of key frames in seconds; an odd width or height loses its
    last column or row (yuv420p has none).
    Raises RowError `encode_failed` without frames, or when the file does not hold every frame.
    """
    return _write_mp4((_yuv(frame) for frame in frames), Fraction(fps), crf, gop_s).data


def encode_clip(path: str, start_s: float, end_s: float, short_side: int, crf: int = 23) -> EncodedClip:
    """The span [start_s, end_s) of a video as an H.264 MP4: upright, without audio, key frames 1 s apart.

    The short side is at most `short_side` pixels and both sides are even. The frame rate is constant:
    the source's average, at most 30; every output frame shows what was on show at its time, so a source
    with a variable rate keeps its speed.
    Raises RowError: what `open_video` raises; `damaged` when the span cannot be decoded whole;
    `encode_failed` when the file does not hold every frame.
    """
    with open_video(path) as (container, stream):
        fps = min(frame_rate(stream).limit_denominator(1001) or Fraction(25), _MAX_FPS)
        reader = FrameReader(container, stream)
        scaled = _Scaler(short_side)
        shown = _constant_rate(reader.frames(start_s), start_s, end_s, fps)
        clip = _write_mp4((scaled(frame) for frame in shown), fps, crf, gop_s=1.0)
        if reader.is_damaged(start_s, end_s) or reader.end_s < end_s - 0.1:
            seen = f"frames of {start_s:.3f}-{end_s:.3f} s cannot be decoded (read up to {reader.end_s:.3f} s)"
            raise RowError("damaged", seen)
    return clip


def _constant_rate(
    frames: Iterator[tuple[float, VideoFrame]], start_s: float, end_s: float, fps: Fraction
) -> Iterator[VideoFrame]:
    """The frame on show at every 1/fps of [start_s, end_s).

    A frame counts from half a period before its time: containers round times (webm to 1 ms), and a
    source that already has this rate must neither repeat nor lose a frame.
    """
    period = float(1 / fps)
    shown: VideoFrame | None = None
    zero_s, slots, slot = start_s, 0, 0
    for time_s, frame in frames:
        if time_s >= end_s - 1e-6:
            break
        if not slots and time_s >= start_s - 1e-6:
            # Slots fall on the source's own frames, unless a frame on show for long covers the start.
            zero_s = time_s if shown is None or time_s - start_s < period else start_s
            slots = max(1, round((end_s - zero_s) * float(fps)))
        while shown is not None and slot < slots and zero_s + slot * period < time_s - period / 2:
            yield shown
            slot += 1
        shown = frame
    slots = slots or max(1, round((end_s - start_s) * float(fps)))  # one frame on show throughout
    if shown is not None:
        yield from itertools.repeat(shown, slots - slot)


class _Scaler:
    """Brings decoded frames to the size, the format and the orientation that are encoded."""

    def __init__(self, short_side: int) -> None:
        self.short_side = short_side
        self.reformatter = VideoReformatter()  # one for all frames: it keeps its tables

    def __call__(self, frame: VideoFrame) -> VideoFrame:
        scale = min(1.0, self.short_side / min(frame.width, frame.height))
        width, height = (max(2, 2 * round(side * scale / 2)) for side in (frame.width, frame.height))
        if frame.rotation:
            small = self.reformatter.reformat(frame, width, height, "rgb24", interpolation=_EXACT, threads=1)
            return _yuv(upright(np.asarray(small.to_ndarray(), np.uint8), frame.rotation))
        return self.reformatter.reformat(
            frame,
            width,
            height,
            "yuv420p",
            interpolation=_EXACT,
            src_color_range=frame.color_range,
            dst_color_range=ColorRange.MPEG,
            threads=1,
        )


def _yuv(picture: NDArray[np.uint8]) -> VideoFrame:
    """An RGB picture as a yuv420p frame, its odd last row or column left out."""
    height, width = picture.shape[:2]
    even = np.ascontiguousarray(picture[: height - height % 2, : width - width % 2])
    return VideoFrame.from_ndarray(even, format="rgb24").reformat(format="yuv420p", interpolation=_EXACT, threads=1)


def _write_mp4(frames: Iterator[VideoFrame], fps: Fraction, crf: int, gop_s: float) -> EncodedClip:
    """The MP4 of yuv420p `frames`, counted in the finished file."""
    first = next(frames, None)
    if first is None:
        raise RowError("encode_failed", "there is no frame to encode")
    with tempfile.TemporaryDirectory(prefix="uvr-encode-") as folder:
        path = Path(folder) / "clip.mp4"  # a real file: the index can only be moved in front by re-reading it
        try:
            written = _encode_into(path, first, frames, fps, crf, gop_s)
        except av.FFmpegError as error:
            raise RowError("encode_failed", f"FFmpeg: {error.strerror}") from error
        data = path.read_bytes()
    held = _count_frames(data)
    if held != written:
        raise RowError("encode_failed", f"{written} frames went into the encoder, {held} are in the file")
    return EncodedClip(data, held, first.width, first.height, float(fps), float(held / fps))


def _encode_into(
    path: Path, first: VideoFrame, rest: Iterator[VideoFrame], fps: Fraction, crf: int, gop_s: float
) -> int:
    with av.open(str(path), "w", format="mp4", options={"movflags": "+faststart", "fflags": "+bitexact"}) as output:
        output.metadata["comment"] = OWN_MARK
        stream = output.add_stream("libx264", rate=fps, options={**_X264, "crf": str(crf)})
        stream.width, stream.height, stream.pix_fmt = first.width, first.height, "yuv420p"
        context = stream.codec_context
        context.thread_count, context.time_base = 1, 1 / fps
        context.gop_size = max(1, round(fps * Fraction(gop_s)))
        # The matrix is kept, not converted, so the file must say which one it is.
        context.colorspace, context.color_primaries, context.color_trc = (
            first.colorspace,
            first.color_primaries,
            first.color_trc,
        )
        written = 0
        for written, frame in enumerate(itertools.chain([first], rest), start=1):
            frame.pts, frame.time_base = written - 1, 1 / fps
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return written


def _count_frames(data: bytes) -> int:
    """Number of coded frames in a file, by reading its packets (nothing is decoded)."""
    with av.open(io.BytesIO(data), "r") as container:
        return sum(packet.size > 0 for packet in container.demux(video=0))
