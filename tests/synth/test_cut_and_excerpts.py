"""Clips, frames and sub-clips as files, checked by reading them back."""

from io import BytesIO
from pathlib import Path
from random import Random

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sample_clips import clips, damage, shot, write_video

from infra.errors import RowError
from infra.media.decode import decode_image, sample_frames
from infra.media.probe import probe
from infra.stage import Row
from infra.workspace import LakeWorkspace
from synth.cut import Cut, cut_row
from synth.excerpts import Excerpts, excerpt_row, subclip_frames


def made(lake: Path, row: Row, folder: str = "cut") -> Row:
    """The row of a clip after cut and excerpts."""
    workspace = LakeWorkspace(str(lake), folder)
    row = row | next(iter(cut_row(Cut(), workspace, row)))
    return row | next(iter(excerpt_row(Excerpts(), workspace, row)))


def test_clips_of_a_real_video_are_what_their_rows_say(real_videos: Path, tmp_path: Path) -> None:
    path = real_videos / "webrtc_chrome_ad.webm"
    kept, _ = clips(path)
    assert len(kept) >= 4
    for row in kept[1:3]:
        row = made(tmp_path, row)
        data = (tmp_path / row["clip_path"]).read_bytes()
        info = probe(str(tmp_path / row["clip_path"]))
        assert (info.codec, info.has_audio, info.rotation_deg) == ("h264", False, 0)
        assert (info.width, info.height, info.declared_frames) == (480, 270, row["clip_frames"])
        assert info.fps == pytest.approx(row["clip_fps"])
        assert info.duration_s == pytest.approx(row["clip_duration_s"], abs=1e-3)
        assert row["clip_duration_s"] == pytest.approx(row["end_s"] - row["start_s"], abs=2 / row["clip_fps"])
        with av.open(BytesIO(data)) as container:
            assert sum(1 for _ in container.decode(video=0)) == row["clip_frames"]
        ours, at = sample_frames(data, 5)
        every, times = sample_frames(str(path), 400, row["start_s"], row["end_s"])
        theirs = every[[int(np.abs(times - times[0] - t).argmin()) for t in at]]
        assert np.abs(ours.astype(int) - theirs).mean() < 6

        # the excerpts lie inside the clip and show what the clip shows
        picture = decode_image((tmp_path / row["frame_path"]).read_bytes())
        twin = sample_frames(data, 1, row["frame_time_s"] - 0.005, row["frame_time_s"] + 0.005)[0][0]
        assert np.abs(picture.astype(int) - twin).mean() < 4
        part = probe(str(tmp_path / row["subclip_path"]))
        assert part.duration_s == pytest.approx(row["subclip_end_s"] - row["subclip_start_s"], abs=1e-3)
        first = sample_frames(str(tmp_path / row["subclip_path"]), 1)[0][0]
        twin = sample_frames(data, 1, row["subclip_start_s"] - 0.005, row["subclip_start_s"] + 0.005)[0][0]
        assert np.abs(first.astype(int) - twin).mean() < 6


def test_the_same_clip_gives_the_same_bytes(tmp_path: Path) -> None:
    ((row,), _) = clips(write_video(tmp_path / "a.mp4", shot(1, 80, 144, 256)))
    once, again = made(tmp_path, row, "once"), made(tmp_path, row, "again")
    for name in ("clip_path", "frame_path", "subclip_path"):
        assert once[name].startswith("once/")
        assert row["key"] in once[name]
        assert (tmp_path / once[name]).read_bytes() == (tmp_path / again[name]).read_bytes()
    assert {k: v for k, v in once.items() if "path" not in k} == {k: v for k, v in again.items() if "path" not in k}


def test_a_frame_is_not_drawn_from_the_dark(tmp_path: Path) -> None:
    half = [np.zeros((90, 160, 3), np.uint8)] * 60 + shot(2, 60)
    path = write_video(tmp_path / "half.mp4", half)
    workspace = LakeWorkspace(str(tmp_path), "half")
    span = {"key": "0" * 16, "source": str(path), "start_s": 0.0, "end_s": 4.8}
    row = span | next(iter(cut_row(Cut(), workspace, span)))
    bright = 0
    for i in range(8):
        drawn = next(iter(excerpt_row(Excerpts(), workspace, row | {"key": f"{i:016x}"})))
        bright += decode_image((tmp_path / drawn["frame_path"]).read_bytes()).mean() > 50
    assert bright >= 7  # chance alone would give 4


def test_damage_inside_a_span_is_a_fault_of_the_row(tmp_path: Path) -> None:
    whole = write_video(tmp_path / "whole.mp4", shot(3, 150))
    hurt = damage(whole, tmp_path / "hurt.mp4", 2.2, 2.6)
    workspace = LakeWorkspace(str(tmp_path), "cut")
    spoilt = {"key": "a", "source": str(hurt), "start_s": 1.0, "end_s": 4.0}
    with pytest.raises(RowError, match="damaged"):
        list(cut_row(Cut(), workspace, spoilt))
    for start, end in ((0.0, 2.0), (3.0, 6.0)):  # the seconds before and behind are whole
        row = next(iter(cut_row(Cut(), workspace, spoilt | {"start_s": start, "end_s": end})))
        assert row["clip_frames"] == (end - start) * 25
    with pytest.raises(RowError, match="damaged"):  # the span goes on where the file ends
        list(cut_row(Cut(), workspace, {"key": "a", "source": str(whole), "start_s": 4.0, "end_s": 8.0}))


@given(st.integers(2, 900), st.sampled_from([1.0, 10.505, 24.0, 29.97, 30.0]), st.integers(0, 1000))
def test_a_sub_clip_is_a_proper_part(frames: int, fps: float, seed: int) -> None:
    first, last = subclip_frames(Excerpts(), frames, fps, Random(seed))
    assert 0 <= first < last <= frames
    assert last - first < frames
    length_s, clip_s = (last - first) / fps, frames / fps
    assert length_s <= 10 + 1 / fps
    if clip_s >= 4:
        assert 2 - 1 / fps <= length_s <= clip_s / 2 + 1 / fps
    else:
        assert length_s == pytest.approx(clip_s / 2, abs=1 / fps)
