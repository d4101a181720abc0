"""The demo as a newcomer runs it, with half its videos: a model that finds held-out clips from their captions."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from eval.uvrb.files import read_report
from infra.lake import dropped, open_tables
from shards.manifest import verify
from shards.records import TASKS

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(2400),  # the longest of all: it trains
    pytest.mark.usefixtures("shared_prefect"),
]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("demo")
    environment = {**os.environ, "PREFECT_HOME": str(folder / "prefect")}
    command = [sys.executable, "-m", "flows.cli", "demo", "--out", str(folder / "out"), "--videos", "300"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "out", done.stdout


def test_text_finds_video_five_times_better_than_chance(demo: tuple[Path, str]) -> None:
    scores = json.loads((demo[0] / "model" / "eval" / "heldout.json").read_text())
    tasks = {task["task"]: task for task in scores["tasks"]}
    assert set(tasks) <= set(TASKS)
    assert tasks["T2V"]["queries"] >= 30
    assert tasks["T2V"]["R@1"] >= 5 * tasks["T2V"]["chance R@1"]


def test_of_films_that_all_differ_none_is_taken_for_a_copy(demo: tuple[Path, str]) -> None:
    """Shapes on plain grounds are as alike as films get."""
    with open_tables(str(demo[0] / "lake")) as tables:
        [clips] = tables.query("SELECT count(*) AS clips FROM in_perceptual")
        assert clips["clips"] >= 350
        assert dropped(tables, "perceptual") == []


def test_it_prints_the_funnel_the_release_and_the_scores(demo: tuple[Path, str]) -> None:
    folder, printed = demo
    for words in ("funnel", "captions", "| T2V |", "R@1", "chance", "Promoted: "):
        assert words in printed
    manifest = next(line.split()[-1] for line in printed.splitlines() if line.strip().startswith("release "))
    verify(manifest)
    named = [
        line.split()[-1]
        for line in printed.splitlines()
        if line.strip().startswith(("preview ", "curves ", "scores ", "verdict ", "uvrb "))
    ]
    assert [Path(path).exists() for path in named] == [True] * 5
    curves = (folder / "model" / "curves.png").read_bytes()
    assert curves.startswith(b"\x89PNG")


def test_the_model_has_nine_abilities_and_finds_videos_by_a_frame(demo: tuple[Path, str]) -> None:
    report = read_report(str(demo[0] / "abilities" / "uvrb.json"))
    assert report.abilities.missing == {}
    chance = {scores.dataset: scores.chance for scores in report.datasets}
    assert report.scores["MSRVTT-I2V"] > 5 * chance["MSRVTT-I2V"]


def test_a_trained_model_can_be_scored_again(demo: tuple[Path, str], tmp_path: Path) -> None:
    release = next((demo[0] / "lake" / "releases").glob("*/manifest.json")).parent
    command = ["eval", "--model", str(demo[0] / "model"), "--data", str(release), "--out", str(tmp_path)]
    subprocess.run([sys.executable, "-m", "flows.cli", *command], capture_output=True, check=True)
    assert (tmp_path / "heldout.json").read_bytes() == (demo[0] / "model" / "eval" / "heldout.json").read_bytes()
