"""An evaluation set is indexed once, and no run releases what it shows or says."""

import json
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from filters.evaluation_sets import INDEX
from flows.aside import run_aside
from flows.recipe import Recipe, read_recipe
from infra.errors import UsageError
from infra.lake import dropped
from infra.sample_world.write import write_world
from infra.tables import chain_links
from shards.manifest import load_manifest
from synth.ingest import list_sources

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("shared_prefect")]

SAID = "a large purple star goes round and round above a quiet green field while the camera slowly zooms out"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("evaluation")
    write_world(str(folder / "videos"), 6, seed=5)
    return folder


@pytest.fixture(scope="module")
def index(world: Path) -> Path:
    """Two of the videos and two texts are the evaluation set `held`."""
    chosen = sorted((world / "videos").rglob("*.mp4"))[:2]
    (world / "held.csv").write_text("path\n" + "".join(f"{path}\n" for path in chosen))
    (world / "said.jsonl").write_text(json.dumps({"text": SAID}) + "\n" + json.dumps({"text": "a man"}) + "\n")
    places = ["--lake", str(world / "scans"), "--out", str(world / "held.parquet")]
    given = ["--name", "held", "--videos", str(world / "held.csv"), "--texts", str(world / "said.jsonl")]
    command = [sys.executable, "-m", "flows.cli", "index", *given, *places, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == {"index": places[-1], "videos": 2, "unread": 0, "texts": 2}
    return world / "held.parquet"


def checked(index: Path) -> Recipe:
    return read_recipe(None, [f'evaluation.sets=["{index}"]'])


def test_what_could_not_be_read_can_be_asked_about(tmp_path: Path) -> None:
    (tmp_path / "broken.mp4").write_text("no video")
    lake, out = str(tmp_path / "scans"), str(tmp_path / "x.parquet")
    command = [sys.executable, "-m", "flows.cli"]
    given = ["index", "--name", "x", "--videos", str(tmp_path), "--lake", lake, "--out", out]
    done = subprocess.run([*command, *given], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f"uvr quarantine --lake {lake}" in done.stderr.splitlines()[-1]
    asked = subprocess.run([*command, "quarantine", "--lake", lake, "--json"], capture_output=True, check=True)
    assert [row["reason"] for row in json.loads(asked.stdout)] == ["not_a_video"]


def test_an_index_holds_what_videos_show_and_texts_say(index: Path) -> None:
    table = pq.read_table(index)
    assert table.schema == INDEX
    assert [len(prints) > 0 for prints in table["prints"].to_pylist()] == [False, True, True]
    assert table["texts"].to_pylist()[0] == [SAID, "a man"]


def test_clips_that_an_evaluation_set_shows_are_dropped(index: Path, world: Path) -> None:
    chain = checked(index).chain()
    stages = chain[: [stage.name for stage in chain].index("decontaminate") + 1]
    held = set((world / "held.csv").read_text().split()[1:])
    listed = list_sources(str(world / "videos"))
    with run_aside(checked(index), stages, listed, str(world / "lake")) as done:
        gone = dropped(done.tables, "decontaminate")
        left = {row["source"] for row in done.tables.query("SELECT source FROM out_decontaminate")}
    assert {row["source"] for row in gone} == held
    assert {row["reason"] for row in gone} == {"in_evaluation_set"}
    for row in gone:
        assert (row["detail"]["evaluation_set"], row["detail"]["evaluation_source"]) == ("held", row["source"])
        assert row["detail"]["kind"] == "same bytes"
    assert len(left) >= 3
    assert not left & held


def test_a_release_tells_what_each_set_cost_it(index: Path, world: Path) -> None:
    lake = str(world / "released")
    command = [sys.executable, "-m", "flows.cli", "run", "--videos", str(world / "videos"), "--lake", lake]
    done = subprocess.run(
        [*command, "--set", f'evaluation.sets=["{index}"]'], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    facts = load_manifest(done.stdout.splitlines()[-1]).facts
    [row] = facts["decontamination"]
    clips = next(stage for stage in facts["funnel"] if stage["name"] == "decontaminate")["dropped"]
    expected = {"evaluation_set": "held", "stage": "decontaminate", "kind": "same bytes", "clips": clips, "items": 2}
    assert row == expected
    assert f"evaluation set held: {clips} clips removed ({clips} same bytes)" in done.stdout


def test_what_a_recipe_does_not_check_is_said(index: Path) -> None:
    assert [stage.name for stage in checked(index).chain() if "decontaminate" in stage.name] == [
        "decontaminate",
        "decontaminate_texts",
    ]
    assert len(checked(index).unchecked()) == 1
    assert [words.split()[0] for words in Recipe().unchecked()] == ["semantic", "evaluation"]
    with pytest.raises(UsageError, match=r"\[evaluation\]"):
        read_recipe(None, [f'decontaminate.sets=["{index}"]'])


def test_another_index_redoes_what_it_decides(index: Path, world: Path) -> None:
    """The file's content counts, not its name."""
    stage = next(stage for stage in checked(index).chain() if stage.name == "decontaminate")
    before = stage.fingerprint([])
    content = index.read_bytes()
    pq.write_table(pq.read_table(index).slice(1), index)
    assert stage.fingerprint([]) != before
    index.write_bytes(content)
    assert stage.fingerprint([]) == before


def test_an_evaluation_set_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no evaluation set at"):
        chain_links(checked(tmp_path / "none.parquet").chain())
    command = [sys.executable, "-m", "flows.cli", "index", "--name", "x", "--lake", str(tmp_path), "--out", "x.parquet"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "--videos, --texts or both" in done.stderr
