"""The real sample videos through the whole chain, by the command line alone."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from shards.manifest import load_manifest, verify

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("shared_prefect")]

# file of bad/ -> the reasons that are right for it
BAD = {
    "zero_byte.mp4": {"empty_file"},
    "text_renamed.mp4": {"not_a_video"},
    "audio_only.mp4": {"no_video_stream"},
    "truncated_no_moov.mp4": {"unreadable_container"},
    "truncated.mp4": {"truncated"},
    "one_frame.mp4": {"too_few_frames"},
    "all_black.mp4": {"black"},
    "frozen_frame.mp4": {"static"},
    "corrupt_middle.mp4": {"damaged"},
}

# Half of all frames and most of all pixels, of formats that others have too; other tests scan these as well.
LONG = {
    "intel_people_one_by_one.mp4",
    "marimo_mcp_server.mp4",
    "marimo_outputs.webm",
    "sam2_ui_animation.mp4",
    "video2dataset_slides.mp4",
    "webrtc_chrome_ad.mp4",
    "webrtc_chrome_ad.webm",
}


def uvr(*arguments: str, code: int = 0) -> str:
    done = subprocess.run([sys.executable, "-m", "flows.cli", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout if code == 0 else done.stderr


def uvr_json(*arguments: str) -> Any:
    return json.loads(uvr(*arguments, "--json"))


@pytest.fixture(scope="module")
def videos(real_videos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of real videos without the long ones."""
    folder = tmp_path_factory.mktemp("real") / "videos"
    for path in real_videos.rglob("*"):
        if path.is_file() and path.name not in LONG:
            link = folder / path.relative_to(real_videos)
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(path)
    return folder


@pytest.fixture(scope="module")
def lake(videos: Path) -> Path:
    folder = videos.parent
    os.environ["PREFECT_HOME"] = str(folder / "prefect")
    manifest = uvr("run", "--videos", str(videos), "--lake", str(folder / "lake")).splitlines()[-1]
    verify(manifest)
    return folder / "lake"


def test_sums_reconcile_and_nothing_is_pending(lake: Path, videos: Path) -> None:
    status = uvr_json("status", "--lake", str(lake))
    stages = {stage["name"]: stage for stage in status["stages"]}
    files = [p for p in videos.rglob("*") if p.is_file() and p.suffix != ".csv"]
    assert stages["sources"]["in"] == len(files)
    assert stages["pack"]["out"] == len(load_manifest(status["release"]).shards)
    assert all(stage["pending"] == 0 for stage in stages.values())


def test_every_bad_file_is_turned_away_for_the_right_reason(lake: Path, videos: Path) -> None:
    turned_away: dict[str, set[str]] = {}
    for row in uvr_json("quarantine", "--lake", str(lake)) + uvr_json("dropped", "--lake", str(lake)):
        path = Path(row["source"] or "")
        if path.parent.name == "bad":
            turned_away.setdefault(path.name, set()).add(row["reason"])
    assert turned_away.keys() == {path.name for path in (videos / "bad").iterdir()}
    for name, reasons in BAD.items():
        assert reasons <= turned_away[name], (name, turned_away[name])


def test_damage_says_how_much_was_lost(lake: Path) -> None:
    [row] = [r for r in uvr_json("dropped", "--lake", str(lake)) if r["reason"] == "damaged"]
    assert Path(row["source"]).name == "corrupt_middle.mp4"
    assert 0 < row["detail"]["lost_share"] < 0.5
    assert row["detail"]["decoded_frames"] < row["detail"]["declared_frames"]


def test_every_container_and_codec_gives_clips(lake: Path) -> None:
    for name in ("intel_asl_book.mkv", "moviepy_bunny_opening.webm"):
        story = uvr_json("explain", name, "--lake", str(lake))
        assert {"sources", "probe", "scan", "spans", "cut", "pairs"} <= {row["stage"] for row in story}
    *_, last = uvr_json("explain", "gradio_earth_night_short.avi", "--lake", str(lake))
    assert (last["stage"], last["reason"]) == ("perceptual", "near_duplicate"), "it is a part of a longer film"
    assert Path(json.loads(last["detail"])["duplicate_of_source"]).name == "gradio_earth_night.mp4"
    vfr = uvr_json("explain", "marimo_chart_builder_vfr.mp4", "--lake", str(lake))
    cuts = [row for row in vfr if row["stage"] == "cut" and row["status"] == "out"]
    spans = {row["key"]: row for row in vfr if row["stage"] == "spans"}
    assert cuts
    for cut in cuts:  # timestamps, not frame counts: a clip lasts as long as its span
        span = spans[cut["key"]]
        assert cut["clip_duration_s"] == pytest.approx(span["end_s"] - span["start_s"], abs=0.15)


def test_explain_tells_the_story_of_a_pair(lake: Path) -> None:
    status = uvr_json("status", "--lake", str(lake))
    release = load_manifest(status["release"])
    assert sum(count for by_split in release.pairs().values() for count in by_split.values()) > 20
    story = uvr_json("explain", "sam2_dog.mp4", "--lake", str(lake))
    pair = next(row for row in story if row["stage"] == "sides" and row["status"] == "out")
    told = [row["stage"] for row in uvr_json("explain", pair["key"], "--lake", str(lake))]
    assert told == [
        "sources", "probe", "exact", "rectify", "repeated_captions", "scan", "spans", "quality",
        "perceptual", "cut", "excerpts", "captions", "texts", "queries", "pairs", "sides", "layout",
    ]  # fmt: skip


def test_wrong_usage_and_wrong_ids_say_what_to_do(lake: Path, tmp_path: Path) -> None:
    assert "no videos at" in uvr("run", "--videos", str(tmp_path), "--lake", str(tmp_path / "x"), code=2)
    assert "is not a lake" in uvr("status", "--lake", str(tmp_path), code=2)
    assert "nothing in this lake is called" in uvr("explain", "nonsense", "--lake", str(lake), code=2)
    wrong = uvr("run", "--videos", str(tmp_path), "--lake", str(tmp_path / "x"), "--set", "scan.fsp=1", code=2)
    assert "unknown key scan.fsp" in wrong
    assert "no stage 'skan'" in uvr("quarantine", "--lake", str(lake), "--stage", "skan", code=2)


def test_requeued_rows_are_done_again(lake: Path, videos: Path) -> None:
    before = uvr_json("quarantine", "--lake", str(lake))
    again = [row for row in before if row["reason"] == "empty_file"]
    assert f"{len(again)} rows" in uvr("requeue", "--lake", str(lake), "--reason", "empty_file")
    pending = {stage["name"]: stage["pending"] for stage in uvr_json("status", "--lake", str(lake))["stages"]}
    assert pending["probe"] == len(again)
    uvr("run", "--videos", str(videos), "--lake", str(lake))
    assert uvr_json("quarantine", "--lake", str(lake)) == before
