"""What is measured on pictures: each measure on pictures that were made to have it."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sample_clips import shot

from infra.media.decode import sample_frames
from synth.measures import blockiness, changed_share, flat_share, picture_share
from synth.overlay import text_lines, text_share
from synth.shift import global_shift, shift_picture
from synth.steadiness import longest_hold_s, page_turns, shake

Luma = NDArray[np.uint8]


def grey(picture: NDArray[np.uint8], width: int = 455, height: int = 256) -> Luma:
    small = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), np.uint8)


@pytest.fixture(scope="module")
def scenes(real_videos: Path) -> dict[str, Luma]:
    """One picture of films of many kinds, 455 x 256."""
    names = ("sam2_dog.mp4", "sam2_blocks.mp4", "sam2_juggle.mp4", "udacity_highway.mp4", "gradio_earth_night.mp4")
    return {name: grey(sample_frames(str(real_videos / name), 3)[0][1]) for name in names}


def textured(height: int = 256, width: int = 455) -> Luma:
    """A bright picture full of detail."""
    return np.asarray(np.clip(grey(shot(3, 1, height, width)[0], width, height), 60, 255), np.uint8)


@pytest.mark.parametrize(("rows", "columns"), [(0, 0), (32, 0), (0, 57), (20, 40), (90, 150)])
def test_bars_are_measured(rows: int, columns: int) -> None:
    height, width = 256, 456
    picture = np.full((height, width), 16, np.uint8)
    inside = textured(height - 2 * rows, width - 2 * columns)
    picture[rows : height - rows, columns : width - columns] = inside
    assert picture_share(picture) == pytest.approx(inside.size / picture.size, abs=0.01)
    shrunk = cv2.resize(picture, (305, 171), interpolation=cv2.INTER_AREA)
    assert picture_share(np.asarray(shrunk, np.uint8)) == pytest.approx(inside.size / picture.size, abs=0.03)


def test_a_dark_scene_has_no_bars(scenes: dict[str, Luma]) -> None:
    assert picture_share(np.zeros((256, 455), np.uint8)) == 1.0
    assert picture_share(scenes["gradio_earth_night.mp4"]) == 1.0  # a globe on black
    lamp = np.full((256, 455), 16, np.uint8)
    cv2.circle(lamp, (227, 128), 60, 200, -1)
    assert picture_share(lamp) == 1.0


def test_blocks_are_found_at_every_strength(scenes: dict[str, Luma]) -> None:
    for name in ("sam2_dog.mp4", "udacity_highway.mp4"):
        levels = []
        for quality in (90, 25, 8, 3):
            coded = cv2.imencode(".jpg", scenes[name], [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
            levels.append(blockiness(np.asarray(cv2.imdecode(coded, cv2.IMREAD_GRAYSCALE), np.uint8)))
        assert levels == sorted(levels)
        assert levels[0] < 1.2
        assert levels[-1] > 2.0


def test_no_blocks_where_there_are_none(scenes: dict[str, Luma]) -> None:
    assert all(blockiness(picture) == pytest.approx(1.0, abs=0.15) for picture in scenes.values())
    assert blockiness(np.zeros((256, 256), np.uint8)) == 1.0
    assert blockiness(np.zeros((20, 20), np.uint8)) == 1.0  # too small to tell
    window = np.full((256, 256), 40, np.uint8)
    window[64:192, 64:192] = 220  # an edge that happens to lie on the grid is no block
    assert blockiness(window) == pytest.approx(1.0, abs=0.01)


def written(ground: Luma, lines: int, box: bool) -> Luma:
    picture = ground.copy()
    for line in range(lines):
        top = 40 + 30 * line
        if box:
            picture[top - 16 : top + 8, 40:420] = 20
        cv2.putText(picture, "Nobody expects the quick brown fox", (50, top), cv2.FONT_HERSHEY_SIMPLEX, 0.6, 235, 1)
    return picture


def test_text_grows_with_its_lines(scenes: dict[str, Luma]) -> None:
    plain = np.full((256, 455), 90, np.uint8)
    shares = [text_share(written(plain, lines, False)) for lines in range(6)]
    assert shares == sorted(shares)
    assert shares[0] == 0.0
    assert shares[5] > 0.1
    for name, scene in scenes.items():
        assert text_share(scene) < 0.015, name
        assert text_share(written(scene, 3, True)) > text_share(scene) + 0.05, name  # subtitles on a band


def test_lines_of_text_are_where_they_were_written() -> None:
    lines = text_lines(written(np.full((256, 455), 90, np.uint8), 2, False))
    for left, top, width, height in zip(*lines, strict=True):
        assert left >= 48
        assert left + width <= 425
        middle = top + height / 2
        assert min(abs(middle - 35), abs(middle - 65)) < 8


def test_drawn_ground_is_flat_and_filmed_ground_is_not(scenes: dict[str, Luma]) -> None:
    page = written(np.full((256, 455), 240, np.uint8), 4, False)
    assert flat_share(page) > 0.8
    assert flat_share(scenes["sam2_dog.mp4"]) < 0.3
    assert flat_share(textured()) < 0.1


def test_a_change_is_counted_by_pixels() -> None:
    before = textured()
    after = before.copy()
    after[:64] ^= 0x80
    assert changed_share(before, before) == 0.0
    assert changed_share(before, after) == pytest.approx(0.25, abs=1e-6)
    assert changed_share(before, after[:, 1:]) == 1.0
    noise = np.random.default_rng(1).integers(-5, 6, before.shape)
    assert changed_share(before, np.clip(before + noise, 0, 255).astype(np.uint8)) == 0.0


@pytest.mark.parametrize(("x", "y"), [(0, 0), (5, 0), (0, -7), (-12, 9), (21, 13)])
def test_a_shift_is_found_with_its_direction(scenes: dict[str, Luma], x: int, y: int) -> None:
    scene = scenes["sam2_dog.mp4"]
    before, after = scene[40:216, 60:380], scene[40 - y : 216 - y, 60 - x : 380 - x]
    found = global_shift(shift_picture(np.ascontiguousarray(before)), shift_picture(np.ascontiguousarray(after)))
    assert found == (pytest.approx(x / 320, abs=0.008), pytest.approx(y / 176, abs=0.012))


def test_a_thing_that_moves_on_plain_ground_is_no_camera() -> None:
    before, after = (np.full((256, 455), 120, np.uint8) for _ in range(2))
    cv2.circle(before, (120, 60), 30, 250, -1)
    cv2.circle(after, (140, 60), 30, 250, -1)
    assert global_shift(shift_picture(before), shift_picture(after)) == (0.0, 0.0)
    plain = np.zeros((256, 455), np.uint8)
    assert global_shift(shift_picture(plain), shift_picture(plain)) == (0.0, 0.0)


@given(st.floats(0, 0.1), st.floats(-0.05, 0.05), st.integers(0, 9))
def test_a_steady_course_is_no_shake_and_a_jumpy_one_is(jump: float, pan: float, seed: int) -> None:
    times = np.arange(41) / 4
    path = np.random.default_rng(seed).normal(0, 1, (41, 2)) * jump + pan * np.arange(41)[:, None]
    measured = shake(times, *np.diff(path, axis=0).T)
    assert jump - 1e-9 <= measured <= 5 * jump + 1e-9
    assert shake(times * 4, *np.diff(path, axis=0).T) == 0.0  # samples a second apart: nothing can be told


@given(st.lists(st.booleans(), min_size=1, max_size=40))
def test_the_longest_hold_is_between_two_changes(changed: list[bool]) -> None:
    times = np.arange(len(changed) + 1) / 4
    end_s = float(times[-1]) + 0.25
    hold_s = longest_hold_s(times, np.array(changed), 0.0, end_s)
    assert 0.25 <= hold_s <= end_s
    assert (hold_s == end_s) == (not any(changed))
    more = longest_hold_s(times, np.array(changed) | (times[1:] == times[1]), 0.0, end_s)
    assert more <= hold_s


def turns(*changes: float) -> int:
    shares = np.array(changes)
    return page_turns(shares > 0, shares, 0.02)


def test_a_page_turns_from_one_hold_to_the_next() -> None:
    held = [0.0] * 4
    assert turns(*held) == 0
    assert turns(*held, 0.5, *held) == 1
    assert turns(*held, 0.5, *held, 0.1, 0.1, *held) == 2  # cut, then dissolve
    assert turns(*held, 0.001, *held) == 0  # a cursor
    assert turns(*held, *[0.2] * 20, *held) == 0  # film between two titles
    assert turns(*[0.2] * 20) == 0
    assert turns() == 0
