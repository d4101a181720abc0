"""The loop: a diagnosis is written beside a verdict, and the next run of the lake takes over its quotas."""

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import islice
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from made_scores import hits, report, sure
from reached_scores import document, made_scores
from toy_release import toy_pairs, write_release

from eval.diagnosis.steering import last_steering
from eval.heldout import HeldOutReport
from flows.recipe import Recipe, read_recipe
from flows.service.environment import prefect_server
from flows.steering import steered, write_diagnosis
from infra.errors import UsageError
from infra.sample_world.write import write_world
from infra.store import Store
from shards.manifest import Manifest, load_manifest, published, verify
from shards.records import TASKS, UVRD_THOUSANDS

ON = ("diagnosis.apply=true",)
TINY = (
    "train.epochs=1",
    "train.max_steps=2",
    "train.batches.size=16",
    "train.tiny.vocab_size=320",
    "train.tiny.hidden=64",
    "train.tiny_inputs.frames=2",
)
EQUAL = dict.fromkeys(TASKS, hits(60, 100))


def weak_at(task: str) -> HeldOutReport:
    return sure(report(**EQUAL | {task: hits(10, 100)}))


@pytest.fixture(scope="module")
def toy_lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A lake of one toy release, and a Prefect server."""
    lake = tmp_path_factory.mktemp("lake")
    (lake / "releases/r1").mkdir(parents=True)
    write_release(lake / "releases/r1", toy_pairs(), release_id="r1")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PREFECT_HOME", str(tmp_path_factory.mktemp("prefect")))
        with prefect_server():
            yield lake


def train(lake: Path, *overrides: str) -> dict[str, bytes]:
    """What stands beside the release after the flow."""
    from flows.train_and_eval import train_and_eval

    train_and_eval(f"{lake}/releases/r1/manifest.json", None, None, [*TINY, *overrides])
    return {path.name: path.read_bytes() for path in (lake / "releases/r1").iterdir()}


def test_a_diagnosis_is_written_beside_the_verdict_when_asked_for(toy_lake: Path) -> None:
    off = train(toy_lake)
    assert "verdict.json" in off
    assert "diagnosis.json" not in off
    on = train(toy_lake, *ON)
    body = json.loads(on.pop("diagnosis.json"))
    assert on == off
    assert (body["release_id"], body["recipe_weights"]) == ("r1", UVRD_THOUSANDS)
    assert [row["name"] for row in body["diagnosis"]["measured"]] == ["T2T", "T2V", "I2V"]
    written = (toy_lake / "releases/r1/diagnosis.json").stat().st_mtime_ns
    train(toy_lake, *ON)
    assert (toy_lake / "releases/r1/diagnosis.json").stat().st_mtime_ns == written
    (toy_lake / "releases/r1/diagnosis.json").unlink()
    again = train(toy_lake, *ON)
    assert json.loads(again["diagnosis.json"]) == body


@pytest.fixture
def lake(tmp_path: Path) -> Store:
    """A lake of one published release that nobody trained on yet."""
    (tmp_path / "releases/r1").mkdir(parents=True)
    (tmp_path / "published").mkdir()
    write_release(tmp_path / "releases/r1", islice(toy_pairs(), 3), release_id="r1")
    (tmp_path / "published/00000001-r1.json").write_text("{}")
    return Store(str(tmp_path))


def diagnosed(lake: Store, scores: HeldOutReport, release_id: str = "r1") -> None:
    release = load_manifest(lake.location(f"releases/{release_id}/manifest.json"))
    write_diagnosis(lake, release, scores, read_recipe(None, ON))


def follow(lake: Store, number: int, recipe: Recipe) -> str:
    """Publish, as `r<number>`, what a run by the recipe would say of itself."""
    settings, by = steered(lake, recipe)
    assert by
    folder = Path(lake.root, f"releases/r{number}")
    shutil.copytree(Path(lake.root, "releases/r1"), folder, ignore=shutil.ignore_patterns("diagnosis.json"))
    body = json.loads((folder / "manifest.json").read_text())
    body |= {"release_id": f"r{number}", "diagnosis": asdict(by)}
    body["recipe"]["pairs"] = asdict(settings.pairs)
    (folder / "manifest.json").write_text(json.dumps(body))
    Path(lake.root, f"published/{number:08d}-r{number}.json").write_text("{}")
    return f"r{number}"


def test_only_who_asks_for_it_is_steered(lake: Store) -> None:
    assert steered(lake, read_recipe(None, ON)) == (read_recipe(None, ON), None)
    diagnosed(lake, weak_at("TV2V"))
    assert steered(lake, read_recipe()) == (read_recipe(), None)
    settings, by = steered(lake, read_recipe(None, ON))
    assert by
    assert by.release_id == "r1"
    assert settings.pairs.all_weights["TV2V"] == 44
    assert sum(settings.pairs.all_weights.values()) == 1549


def test_diagnoses_add_up_and_one_without_a_change_changes_nothing(lake: Store) -> None:
    recipe = read_recipe(None, ON)
    diagnosed(lake, weak_at("TV2V"))
    second = follow(lake, 2, recipe)
    first, _ = steered(lake, recipe)
    assert steered(lake, recipe)[0] == first  # nobody trained on r2 yet
    diagnosed(lake, sure(report(**EQUAL)), second)
    settings, by = steered(lake, recipe)
    assert settings == first
    assert by
    assert by.release_id == "r1"  # so that the same pairs are the same release
    diagnosed(lake, weak_at("TV2V"), second)
    more, by = steered(lake, recipe)
    assert by
    assert by.release_id == "r2"
    assert more.pairs.all_weights["TV2V"] > first.pairs.all_weights["TV2V"] > 35
    assert by.recipe_weights == UVRD_THOUSANDS


def test_a_recipe_changed_by_hand_counts_for_more(lake: Store, capsys: pytest.CaptureFixture[str]) -> None:
    diagnosed(lake, weak_at("TV2V"))
    by_hand = read_recipe(None, [*ON, "pairs.weights={T2V = 500}"])
    assert steered(lake, by_hand) == (by_hand, None)
    assert "is set aside" in capsys.readouterr().err


def test_a_damaged_diagnosis_is_refused(lake: Store) -> None:
    lake.write("releases/r1/diagnosis.json", b'{"release_id": "r1"}')
    with pytest.raises(UsageError, match="is not a diagnosis; remove it"):
        steered(lake, read_recipe(None, ON))


SETTINGS = ("pairs.target_pairs=40", "layout.val_share=0.3", "run.workers=2")


class World:
    """Runs of the real chain over a few videos of the sample world."""

    def __init__(self, folder: Path) -> None:
        self.listing = write_world(str(folder / "videos"), 6, seed=3)
        self.environment = {**os.environ, "PREFECT_HOME": str(folder / "prefect")}

    def uvr(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """A command that succeeds."""
        command = [sys.executable, "-m", "flows.cli", *arguments]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    def run(self, lake: Path, *overrides: str, recipe: Sequence[str] = ()) -> tuple[Manifest, str]:
        """The release, and what was said to whoever watched."""
        sets = [part for text in (*SETTINGS, *overrides) for part in ("--set", text)]
        done = self.uvr("run", "--videos", self.listing, "--lake", str(lake), *recipe, *sets)
        return verify(done.stdout.splitlines()[-1]), done.stderr


def made(lake: Path) -> dict[str, set[str]]:
    """Folders of every stage."""
    found: dict[str, set[str]] = {}
    for path in (lake / "stages").iterdir():
        found.setdefault(path.name.rsplit("-", 1)[0], set()).add(path.name)
    return found


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def ran(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake in which a run by the recipe as it stands has ended."""
    lake = tmp_path_factory.mktemp("ran") / "lake"
    world.run(lake)
    return lake


def copied(ran: Path, lake: Path) -> Manifest:
    """The first release of a lake that is a copy."""
    shutil.copytree(ran, lake)
    [release_id] = published(Store(str(lake)))
    return load_manifest(f"{lake}/releases/{release_id}/manifest.json")


@pytest.mark.slow
def test_a_diagnosis_steers_the_next_run_which_redoes_only_pairs(world: World, ran: Path, tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    first = copied(ran, lake)
    write_diagnosis(Store(str(lake)), first, weak_at("V2V"), read_recipe(None, [*ON, "diagnosis.max_change=1.0"]))
    shutil.copytree(lake, tmp_path / "copy")
    second, told = world.run(lake, *ON)
    assert f"diagnosis of release {first.release_id} changes the recipe's quotas: " in told
    steering = last_steering(Store(str(lake)), [first.release_id])
    assert steering
    assert second.facts["diagnosis"] == {
        "release_id": first.release_id,
        "recipe_weights": UVRD_THOUSANDS,
        "weights": steering.weights,
    }
    assert second.facts["quotas"]["V2V"] > first.facts["quotas"]["V2V"]
    assert sum(second.facts["quotas"].values()) == sum(first.facts["quotas"].values()) == 40
    twice = {name for name, folders in made(lake).items() if len(folders) > 1}
    assert twice == {"pairs", "sides", "layout", "pack"}
    assert world.run(lake)[0] == first  # turned off, nothing is left of it
    assert world.run(tmp_path / "copy", *ON)[0].release_id == second.release_id
    assert Counter(second.facts["quotas"])["T2V"] <= first.facts["quotas"]["T2V"]


def query_kinds(release: Manifest) -> dict[str, str]:
    """Of every clip the kind of caption that its text to video query is."""
    rows = pq.read_table(Path(release.folder, "index.parquet"), filters=[("task", "=", "T2V")]).to_pylist()
    return {row["clip_id"]: next(k for k, text in row["captions"].items() if text == row["query_text"]) for row in rows}


@pytest.mark.slow
def test_a_run_by_a_diagnosed_recipe_changes_only_queries_that_go_to_the_kinds_it_raises(
    world: World, ran: Path, tmp_path: Path
) -> None:
    lake, report, recipe = tmp_path / "lake", tmp_path / "uvrb.json", tmp_path / "next.toml"
    first = copied(ran, lake)
    report.write_text(json.dumps(document(made_scores({"PR": 0.1}, near=0.8))))
    world.uvr("diagnose", str(report), "--out", str(recipe))
    second, _ = world.run(lake, recipe=("--recipe", str(recipe)))
    weights = read_recipe(str(recipe)).sides.caption_weights
    assert second.facts["recipe"]["sides"]["caption_weights"] == weights != {}
    assert {name for name, folders in made(lake).items() if len(folders) > 1} == {"sides", "layout", "pack"}
    before, after = query_kinds(first), query_kinds(second)
    assert before.keys() == after.keys()
    assert {after[clip] for clip in before if after[clip] != before[clip]} <= {"keywords", "partial"}
