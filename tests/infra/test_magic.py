"""What media begin with, held against files that FFmpeg and Pillow write."""

import io
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.frame import VideoFrame
from PIL import Image

from infra.errors import RowError
from infra.media.magic import HEAD_BYTES, begins_like_frame, begins_like_image, begins_like_video
from infra.media.probe import probe

PICTURE = np.full((32, 48, 3), 90, np.uint8)
CODECS = {
    "gif": ("gif", "rgb8"),
    "flv": ("flv", "yuv420p"),
    "ogg": ("libvpx", "yuv420p"),
    "webm": ("libvpx", "yuv420p"),
}


def video(form: str) -> bytes:
    """A few frames in one of FFmpeg's formats."""
    codec, pixels = CODECS.get(form, ("mpeg1video" if form.startswith("mpeg") else "mpeg4", "yuv420p"))
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=form) as output:
        stream = output.add_stream(codec, rate=Fraction(25))
        stream.width, stream.height, stream.pix_fmt = 48, 32, pixels
        for number in range(9):
            frame = VideoFrame.from_ndarray(PICTURE, format="rgb24").reformat(format=pixels)
            frame.pts, frame.time_base = number, Fraction(1, 25)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return buffer.getvalue()


@pytest.mark.parametrize(
    "form",
    ["mp4", "mov", "matroska", "webm", "avi", "flv", "ogg", "asf", "mpegts", "mpeg", "mpeg1video", "gif"],
)
def test_videos_of_every_container_begin_like_videos(form: str):
    assert begins_like_video(video(form)[:HEAD_BYTES])


@pytest.mark.parametrize(("form", "is_frame"), [("JPEG", 1), ("PNG", 1), ("WEBP", 0), ("GIF", 0), ("BMP", 0)])
def test_pictures_begin_like_pictures(form: str, is_frame: bool):
    buffer = io.BytesIO()
    Image.fromarray(PICTURE).save(buffer, form)
    assert begins_like_image(buffer.getvalue()[:HEAD_BYTES])
    assert begins_like_frame(buffer.getvalue()[:HEAD_BYTES]) == is_frame


@pytest.mark.parametrize(
    "data", [b"", b"G", b"GIF", b"<!DOCTYPE html>", b"version https://git-lfs", b"\x80\x04pickled"]
)
def test_what_is_no_media_begins_like_none(data: bytes):
    assert not begins_like_video(data)
    assert not begins_like_image(data)


def test_whatever_can_be_probed_begins_like_a_video(real_videos: Path):
    seen = 0
    for path in sorted(real_videos.rglob("*.*")):
        try:
            probe(str(path))
        except RowError:
            continue
        seen += 1
        assert begins_like_video(path.read_bytes()[:HEAD_BYTES]), path.name
    assert seen > 30
