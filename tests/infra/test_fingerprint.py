"""Prints: a regular grid over time, bars taken off, hardly changed by what files go through."""

from pathlib import Path

import numpy as np
import pytest
from copies import boxed, lit, scaled
from hypothesis import given
from hypothesis import strategies as st
from sample_clips import Frames, scanned, shot, write_video

from infra.media.fingerprint import (
    LUMA_CELLS,
    PRINT_BYTES,
    PRINTS_PER_S,
    Fingerprinter,
    clip_prints,
    content_box,
    whole_prints,
)


def prints(frames: Frames, fps: int = 25, rotation: int = 0) -> np.ndarray:
    maker = Fingerprinter()
    for i, frame in enumerate(frames):
        maker.add(i / fps, np.ascontiguousarray(frame[..., ::-1]), rotation)
    end_s = len(frames) / fps
    return np.frombuffer(maker.finish(end_s, [(0.0, end_s)]), np.uint8).reshape(-1, PRINT_BYTES).astype(int)


def test_a_print_is_the_mean_of_half_a_second() -> None:
    flat: Frames = [np.full((54, 96, 3), level, np.uint8) for level in [50] * 12 + [100] * 13 + [200] * 25]
    luma = prints(flat)[:, :LUMA_CELLS]
    assert luma.mean(axis=1) == pytest.approx([(12 * 50 + 0.5 * 100) / 12.5, 100, 200, 200], abs=1)


def test_a_picture_that_is_held_counts_as_long_as_it_is_shown() -> None:
    maker = Fingerprinter()
    for time_s, level in ((0.0, 10), (1.75, 210)):
        maker.add(time_s, np.full((54, 96, 3), level, np.uint8))
    made = np.frombuffer(maker.finish(3.0, [(0.0, 3.0)]), np.uint8).reshape(-1, PRINT_BYTES)
    assert made[:, 0].tolist() == [10, 10, 10, 110, 210, 210]


def test_without_a_picture_there_is_no_print() -> None:
    assert Fingerprinter().finish(0.0, [(0.0, 0.0)]) == b""


@pytest.mark.parametrize(("across", "down"), [(0.33, 0.0), (0.0, 0.33), (0.33, 0.33)])
def test_black_bars_are_taken_off(across: float, down: float) -> None:
    frames = [lit(frame, 0.7, 60) for frame in shot(3, 50, 120, 200)]
    plain, bars = prints(frames), prints([boxed(frame, across, down) for frame in frames])
    assert np.abs(plain - bars)[:, :LUMA_CELLS].mean() < 6


def test_what_is_bright_before_black_keeps_its_place() -> None:
    picture = np.zeros((64, 64), np.uint8)
    picture[20:40, 24:40] = 220
    assert content_box(picture) == (0.0, 1.0, 0.0, 1.0)


def test_bars_are_looked_for_shot_by_shot() -> None:
    frames = [lit(frame, 0.7, 60) for frame in shot(3, 50, 120, 200)]
    maker = Fingerprinter()
    boxes = [boxed(frame, 0.0, 0.33)[20:-20] for frame in frames]
    for i, frame in enumerate(frames + [scaled(box, 1.0, 1.0) for box in boxes]):
        maker.add(i / 25, np.asarray(frame, np.uint8))
    whole = np.frombuffer(maker.finish(4.0, [(0.0, 2.0), (2.0, 4.0)]), np.uint8).reshape(-1, PRINT_BYTES)
    assert whole[:, :LUMA_CELLS].min() > 40


def test_a_turned_video_has_the_prints_of_the_upright_one() -> None:
    frames = shot(4, 25)
    turned = prints([np.rot90(frame, -1) for frame in frames], rotation=90)
    assert np.abs(turned - prints(frames)).max() <= 2


@given(st.floats(0, 100), st.floats(0, 40))
def test_a_clip_has_the_prints_that_show_nothing_else(start_s: float, length_s: float) -> None:
    first, last = whole_prints(start_s, start_s + length_s)
    assert first / PRINTS_PER_S >= start_s - 1e-5
    assert last == first or last / PRINTS_PER_S <= start_s + length_s + 1e-5
    assert last - first >= length_s * PRINTS_PER_S - 2
    many = bytes(300 * PRINT_BYTES)
    assert len(clip_prints(many, start_s, start_s + length_s)) == (last - first) * PRINT_BYTES


def test_prints_of_a_copy_hardly_differ_and_those_of_another_film_do(real_videos: Path) -> None:
    def luma(name: str) -> np.ndarray:
        made = np.frombuffer(scanned(real_videos / name)["prints"], np.uint8).reshape(-1, PRINT_BYTES)
        return made[:17, :LUMA_CELLS].astype(int)

    dog = luma("sam2_dog.mp4")
    assert np.abs(dog - luma("derived_duplicates/dup_sam2_dog_lowres.mp4")).mean() < 2
    assert np.abs(dog - luma("udacity_highway.mp4")).mean() > 30


def test_a_scan_has_prints_for_the_whole_video(tmp_path: Path) -> None:
    row = scanned(write_video(tmp_path / "v.mp4", shot(1, 60) + shot(2, 50)))
    assert len(row["prints"]) == PRINT_BYTES * 9  # 4.4 s: the last one of less than half a second
