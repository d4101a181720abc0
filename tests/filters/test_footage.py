"""Film, slides and screen recordings, told apart on real videos, on made ones and on the sample world."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sample_clips import Frames, clips, shot, write_video

from filters.footage import FILM, KINDS, SCREEN, SLIDES, Footage, footage_kind
from filters.picture import Quality
from infra.sample_world.write import write_world

EVERYTHING = Quality(score_only=True)


def kinds(path: Path) -> set[str]:
    """The kinds that the clips of a video are said to be."""
    return {clip["footage"] for clip in clips(path, EVERYTHING)[0]}


def truth(name: str) -> str:
    """By what the samples are: recordings of a tool's screen, a narrated slide show, films of all sorts."""
    return SCREEN if name.startswith("marimo_") else SLIDES if "_slides" in name else FILM


def test_every_real_video_is_what_it_is(real_videos: Path) -> None:
    videos = sorted(path for path in real_videos.iterdir() if path.is_file() and path.suffix != ".csv")
    assert len(videos) > 30
    # sam2_ui_animation.mp4, line drawings that move, counts as film like any animation
    assert {path.name: kinds(path) for path in videos} == {path.name: {truth(path.name)} for path in videos}


def test_the_sample_world_is_film(tmp_path: Path) -> None:
    write_world(str(tmp_path), 16, 5)
    found = [kinds(path) for path in sorted(tmp_path.glob("*.mp4"))]
    assert set().union(*found) == {FILM}


def page(lines: int, seed: int) -> Frames:
    """A drawn page with some lines of text, as one frame."""
    picture = np.full((360, 640, 3), 245, np.uint8)
    letters = np.random.default_rng(seed).integers(97, 123, (12, 30))
    for line in range(lines):
        text = "".join(chr(letter) for letter in letters[line])
        cv2.putText(picture, text, (40, 50 + 26 * line), cv2.FONT_HERSHEY_SIMPLEX, 0.7, (30, 30, 30), 2)
    return [picture]


def pointed(frames: Frames) -> Frames:
    """The same with a pointer that wanders."""
    moved = [frame.copy() for frame in frames]
    for i, frame in enumerate(moved):
        cv2.circle(frame, (60 + 7 * i % 500, 60 + 5 * i % 250), 7, (200, 30, 30), -1)
    return moved


def test_made_slides_screens_and_photo_shows(tmp_path: Path) -> None:
    photos = [picture for seed in range(3) for picture in shot(seed, 1, 360, 640) * 60]
    made = {
        SLIDES: [page(8, seed)[0] for seed in range(3) for _ in range(60)],
        SCREEN: pointed([page(3 + i // 15, 1)[0] for i in range(120)]),
        FILM: shot(1, 120, 360, 640),
    }
    for kind, frames in made.items():
        assert kinds(write_video(tmp_path / f"{kind}.mp4", frames)) == {kind}
    assert kinds(write_video(tmp_path / "photos.mp4", photos)) == {SLIDES}
    assert kinds(write_video(tmp_path / "title.mp4", page(4, 1) * 100)) == {FILM}  # one held page: no show


def test_what_is_not_allowed_is_dropped_and_says_why(real_videos: Path) -> None:
    kept, dropped = clips(real_videos / "marimo_outputs.webm", Quality(allow=(FILM, SLIDES)))
    assert kept == []
    assert [drop.reason for drop in dropped] == [SCREEN]
    assert dropped[0].detail["page_share"] >= dropped[0].detail["min_page_share"]
    assert dropped[0].detail["allow"] == [FILM, SLIDES]
    with pytest.raises(ValueError, match="cartoon"):
        Quality(allow=("cartoon",))


shares = st.floats(0, 1)


@given(shares, shares, shares, st.integers(0, 3))
def test_every_clip_is_of_one_kind(page_share: float, held_share: float, pages_held_share: float, turns: int) -> None:
    row = {
        "page_share": page_share,
        "held_share": held_share,
        "pages_held_share": pages_held_share,
        "page_turns": turns,
    }
    kind = footage_kind(Footage(), row)
    assert kind in KINDS
    assert kind != SLIDES or turns
    assert kind != SCREEN or page_share >= Footage().min_page_share
