"""A model trained on one lake's release judges clips and captions of another lake's run, and mines its negatives."""

import json
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pyarrow.parquet as pq
import pytest

from flows.recipe import Recipe, read_recipe
from infra.errors import UsageError
from infra.lake import dropped, open_tables
from infra.sample_world.write import write_world
from infra.stage import Row
from shards.index import INDEX
from shards.manifest import load_manifest, verify
from shards.reader import read_pairs
from shards.records import HARD_NEGATIVE_TASKS

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("shared_prefect")]

TAUGHT, JUDGED = 12, 26  # videos


def uvr(*arguments: str) -> str:
    """What a command prints; it must succeed."""
    command = [sys.executable, "-m", "flows.cli", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def run(folder: Path, count: int, seed: int, *settings: str) -> Path:
    """`uvr run` over a world in a folder of its own; returns the manifest."""
    videos = write_world(str(folder / "videos"), count, seed=seed)
    words = ("--videos", videos, "--lake", str(folder / "lake"), "--set", "run.workers=1", *settings)
    return Path(uvr("run", *words).splitlines()[-1])


class Judged(NamedTuple):
    """A release, and the settings of the run that made it."""

    manifest: Path
    settings: tuple[str, ...]


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Judged:
    """A release whose clips a model judged that a release of other videos had taught."""
    taught, judged = (tmp_path_factory.mktemp(name) for name in ("taught", "judged"))
    model = taught / "model"
    uvr("train", "--release", str(run(taught, TAUGHT, 31)), "--out", str(model), "--set", "train.epochs=2")
    settings = (f"embed.prober={model}", "semantic.min_cosine=0.98", "consistency.shuffled_quantile=0.3")
    words = tuple(word for setting in settings for word in ("--set", setting))
    return Judged(run(judged, JUDGED, 32, *words), words)


@pytest.fixture(scope="module")
def lake(judged: Judged) -> Path:
    verify(str(judged.manifest))
    return judged.manifest.parents[2]


def rows(lake: Path, query: str) -> list[Row]:
    with open_tables(str(lake)) as tables:
        return tables.query(query)


def test_nothing_is_lost(lake: Path) -> None:
    stages = {stage["name"]: stage for stage in json.loads(uvr("status", "--lake", str(lake), "--json"))["stages"]}
    assert {"embed", "semantic", "consistency", "embed_queries", "negatives"} <= stages.keys()
    for stage in stages.values():
        assert stage["pending"] == stage["quarantined"] == 0
    assert stages["semantic"]["in"] == stages["semantic"]["out"] + stages["semantic"]["dropped"]
    assert stages["negatives"]["in"] == stages["negatives"]["out"] == stages["sides"]["out"]
    assert stages["consistency"]["in"] == stages["consistency"]["out"] + stages["consistency"]["dropped"]


def test_what_stays_was_judged_by_the_model(lake: Path) -> None:
    kept = rows(lake, "SELECT semantic_checked, consistency, consistency_threshold FROM out_consistency")
    assert len(kept) >= JUDGED / 2
    assert all(row["consistency_threshold"] > -1 for row in kept), "it was measured on shuffled pairs"
    assert all(row["semantic_checked"] and row["consistency"] >= row["consistency_threshold"] for row in kept)
    assert len({row["consistency"] for row in kept}) > len(kept) / 2, "a model that has learnt nothing"


def test_what_is_dropped_tells_why(lake: Path) -> None:
    kept = {row["key"] for row in rows(lake, "SELECT key FROM out_semantic")}
    with open_tables(str(lake)) as tables:
        twins, wrong = (dropped(tables, stage) for stage in ("semantic", "consistency"))
    assert twins
    assert wrong
    for detail in (row["detail"] for row in twins):
        assert detail["cosine"] >= detail["min_cosine"] == 0.98
        assert detail["duplicate_of"] in kept
    for detail in (row["detail"] for row in wrong):
        assert detail["cosine"] < detail["threshold"] == detail["shuffled_cosine"]
        assert detail["shuffled_pairs"] >= 20


def listed(manifest: Path) -> dict[str, Row]:
    """The index of a release by pair."""
    return {row["pair_id"]: row for row in pq.read_table(manifest.with_name(INDEX)).to_pylist()}


def test_the_release_names_hard_negatives(judged: Judged) -> None:
    release, index = load_manifest(str(judged.manifest)), listed(judged.manifest)
    counted = {row["task"]: row for row in release.facts["negatives"]}
    assert counted.keys() == set(HARD_NEGATIVE_TASKS)
    for task, facts in counted.items():
        asking = [row for row in index.values() if row["task"] == task]
        assert facts["pairs"] == len(asking) == facts["with_negative"] + sum(facts["without"].values())
        assert facts["with_negative"] == sum(len(row["negatives"]) for row in asking)
    assert sum(facts["with_negative"] for facts in counted.values()) > 0
    for row in index.values():
        for negative, cosine in zip(row["negatives"], row["negative_cosines"], strict=True):
            other = index[negative]
            assert (other["task"], other["split"]) == (row["task"], row["split"])
            assert other["video_id"] != row["video_id"]
            assert -1 <= cosine <= 0.95
    pairs = [pair for shard in release.shards for pair in read_pairs([release.path(shard)])]
    assert {pair.pair_id: [*pair.negatives] for pair in pairs} == {
        pair_id: row["negatives"] for pair_id, row in index.items()
    }
    assert "## Hard negatives" in judged.manifest.with_name("README.md").read_text()


def test_more_videos_leave_released_pairs_their_negatives(judged: Judged) -> None:
    """It adds to the lake that the tests before it read."""
    grown = run(judged.manifest.parents[3], JUDGED + 4, 32, *judged.settings)
    release, before, after = verify(str(grown)), listed(judged.manifest), listed(grown)
    stayed = [row for row in before.values() if row["pair_id"] in after]
    assert len(stayed) == len(before) < len(after)
    assert any(row["negatives"] for row in stayed)
    for row in stayed:
        assert after[row["pair_id"]]["negatives"] == row["negatives"], "of those without, too"
    assert sum(facts["pairs"] for facts in release.facts["negatives"]) == sum(
        row["task"] in HARD_NEGATIVE_TASKS for row in after.values()
    )


def test_what_a_recipe_without_a_prober_leaves_out_is_said() -> None:
    assert not {"embed_queries", "negatives"} & {stage.name for stage in Recipe().chain()}
    [said] = [text for text in Recipe().unchecked() if "hard negatives" in text]
    assert "embed.prober" in said
    with pytest.raises(UsageError, match=r"\[embed\]"):
        read_recipe(None, ["embed_queries.prober=somewhere"])
