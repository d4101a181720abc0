"""Frames taken from a video already: packed into one file, they give what the video gives."""

import io
import zipfile

import numpy as np
import pytest
from gve_sides import INPUTS, TEXTS, clip, frames
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from infra.errors import RowError
from infra.media.decode import decode_image, sample_frames
from infra.media.encode import encode_image
from infra.media.frames import PackedFrames, pack_frames
from shards.records import Side
from train.gve import Gve
from train.settings import TinySettings

GREYS = [np.full((28, 42, 3), 20 * number, np.uint8) for number in range(10)]


def png(picture: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG")
    return buffer.getvalue()


PACKED = pack_frames([png(grey) for grey in GREYS])


def greys(*arguments: float | None) -> list[int]:
    """Which of the greys are sampled."""
    pictures, times = sample_frames(PACKED, *arguments)
    assert pictures.dtype == np.uint8
    found = (pictures[:, 0, 0, 0] // 20).tolist()
    assert times.tolist() == found
    return found


def test_the_same_frames_are_the_same_bytes_and_the_bytes_are_the_frames():
    encoded = [png(grey) for grey in GREYS]
    assert pack_frames(encoded) == PACKED
    assert len(PACKED) < sum(map(len, encoded)) + 150 * len(encoded)
    packed = PackedFrames(PACKED)
    assert [packed.read(number) for number in range(len(packed))] == encoded


def test_frames_are_spread_as_those_of_a_video():
    assert greys(10) == list(range(10))
    assert greys(4) == [0, 3, 6, 9]
    assert greys(1) == [0]
    assert greys(20) == sorted(greys(20))
    assert set(greys(20)) == set(range(10))
    assert greys(2, 3.0, 8.0) == [3, 7]


def test_a_clip_and_its_own_frames_are_embedded_alike():
    model = Gve.tiny(TEXTS, TinySettings(layers=2, vocab_size=320), INPUTS, seed=3)
    video = clip(56, 84, seed=1)
    taken, _ = sample_frames(video, 6)
    lossless = pack_frames([png(picture) for picture in taken])
    assert np.array_equal(sample_frames(lossless, 4)[0], sample_frames(video, 4)[0])
    other = pack_frames([png(picture) for picture in frames(56, 84, seed=2)])
    of_video, of_frames, of_others = model.embed([Side(TEXTS[0], video=one) for one in (video, lossless, other)])
    assert np.abs(of_video - of_frames).max() < 1e-5
    assert np.abs(of_video - of_others).max() > 1e-3


def foreign(method: int = zipfile.ZIP_STORED, encrypted: bool = False) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        archive.writestr("a.pkl", b"no picture" * 9)
    data = buffer.getvalue()
    at = data.index(b"PK\x01\x02") + 8  # the flags in the directory
    return data[:at] + bytes([data[at] | encrypted]) + data[at + 1 :]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (PACKED[:-30], "unreadable_container"),
        (PACKED[:40], "unreadable_container"),
        (PACKED.replace(b"IDAT", b"IDOT"), "damaged"),
        (foreign(), "damaged"),
        (foreign(zipfile.ZIP_DEFLATED), "not_a_video"),
        (foreign(encrypted=True), "not_a_video"),
        (pack_frames([b""]), "damaged"),
        (pack_frames([encode_image(GREYS[0])[:300]]), "damaged"),
        (pack_frames([png(GREYS[0])[:60]]), "damaged"),
        (pack_frames([png(GREYS[0]), png(GREYS[1][:14])]), "damaged"),
    ],
)
def test_bad_frames_are_refused_as_bad_videos_are(data: bytes, reason: str):
    with pytest.raises(RowError) as refused:
        sample_frames(data, 4)
    assert refused.value.reason == reason


def test_no_frames_are_no_video():
    with pytest.raises(RowError, match="no_frames"):
        pack_frames([])


NOISE = np.random.default_rng(4).integers(0, 256, (28, 42, 3), dtype=np.uint8)


def test_a_picture_with_a_broken_chunk_is_refused():
    """Pillow calls it a SyntaxError."""
    data = bytearray(png(NOISE))
    at = data.index(b"IDAT") - 4
    data[at : at + 4] = (10).to_bytes(4)  # a chunk that ends too early: noise stands where the next one's name should
    with pytest.raises(RowError, match="not_an_image"):
        decode_image(bytes(data))


@settings(max_examples=300)
@given(st.integers(0, len(PACKED) - 1), st.integers(0, 255), st.booleans())
@example(1502, 99, True)  # a frame said to begin before the file
def test_whatever_byte_is_damaged_gives_frames_or_a_refusal(at: int, value: int, jpeg: bool):
    data = bytearray(pack_frames([encode_image(grey) for grey in GREYS[:2]]) if jpeg else PACKED)
    data[at % len(data)] = value
    try:
        pictures, _ = sample_frames(bytes(data), 3)
    except RowError:
        return
    assert pictures.shape == (3, 28, 42, 3)


@settings(max_examples=300)
@given(st.integers(0, 200), st.integers(0, 255), st.sampled_from([png(NOISE), encode_image(NOISE)]))
def test_whatever_byte_of_a_frame_is_damaged_gives_frames_or_a_refusal(at: int, value: int, frame: bytes):
    data = pack_frames([frame[:at] + bytes([value]) + frame[at + 1 :]])
    try:
        outcome = str(len(sample_frames(data, 2)[0]))
    except RowError as refused:
        outcome = refused.reason
    assert outcome in ("2", "damaged")
