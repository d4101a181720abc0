"""The dry run against the truth: the same chain on every video."""

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from filters.picture import Quality
from flows.plan import make_plan, pairs_by_task, pairs_missing, shard_count
from flows.print_plan import print_plan
from flows.recipe import Recipe
from infra.budget import Prices
from infra.counts import Counts
from infra.engine import Run, run_stage
from infra.errors import UsageError
from infra.estimate import REPLICATES, Estimate
from infra.lease import hold_lease
from infra.pool import Pool
from infra.progress import Progress
from infra.sample_world.write import write_world
from infra.store import Store
from infra.tables import Tables, chain_links, write_listing
from shards.layout import Layout
from synth.ingest import list_sources
from synth.tasks import Pairs

VIDEOS = 40
SAMPLE = 10


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_world(str(tmp_path_factory.mktemp("world")), VIDEOS, seed=11, workers=2)


def files_below(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*")}


@pytest.fixture(scope="module")
def planned(world: str, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """`uvr plan --json` as a user calls it, and what it must leave alone."""
    folder, before = Path(world).parent, files_below(Path(world).parent)
    lake = tmp_path_factory.mktemp("somewhere") / "lake"
    options = ["--sample", str(SAMPLE), "--lake", str(lake), "--set", "prices.worker_hour=0.5", "--json"]
    command = [sys.executable, "-m", "flows.cli", "plan", "--videos", world, *options]
    with tempfile.TemporaryDirectory() as temporary:  # its name is short: Ray has sockets below it
        environment = {**os.environ, "TMPDIR": temporary}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        left = list(Path(temporary).glob("uvr-plan-*"))
    assert done.returncode == 0, done.stderr
    assert "captions: " in done.stderr, "progress is shown"
    assert files_below(folder) == before
    assert not lake.exists()
    assert not left
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def truth(world: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Counts]]:
    """The whole chain on every video."""
    store = Store(str(tmp_path_factory.mktemp("truth") / "lake"))
    stages = Recipe().chain()
    links = chain_links(stages)
    write_listing(store, links[0], list_sources(world))
    with hold_lease(store) as lease, Progress() as progress, Pool() as pool, Tables(store, links) as tables:
        run = Run(store, lease, pool, tables, progress)
        for stage, link in zip(stages, links[1:], strict=True):
            run_stage(run, stage, link)
        counts = {link.name: tables.counts(link.name) for link in links}
    return Path(store.url), counts


def test_rows_and_pairs_lie_in_the_intervals(planned: Any, truth: tuple[Path, dict[str, Counts]]) -> None:
    _, counts = truth
    for stage in planned["stages"][:-1]:
        made = counts[stage["name"]].out
        assert stage["out"]["low"] <= made <= stage["out"]["high"], stage
        assert stage["out"]["point"] == pytest.approx(made, rel=0.25), stage
    assert planned["pairs"]["total"]["point"] == pytest.approx(counts["pairs"].out, rel=0.25)
    assert planned["videos"] | {"bytes": 0} == {"listed": VIDEOS, "usable": VIDEOS, "sampled": SAMPLE, "bytes": 0}


def test_disk_and_bottleneck_are_the_true_ones(planned: Any, truth: tuple[Path, dict[str, Counts]]) -> None:
    lake, counts = truth
    for stage in planned["stages"]:
        media = sum(path.stat().st_size for path in lake.glob(f"stages/{stage['name']}-*/media/*/*"))
        if media:
            assert stage["bytes"]["point"] == pytest.approx(media, rel=0.25), stage
    # Captions, queries and scan take far more than all others; which of them most, a busy machine decides.
    planned_slowest = max(planned["stages"], key=lambda stage: stage["seconds"]["point"])
    assert planned["bottleneck"]["stage"] == planned_slowest["name"]
    slowest = max(counts.values(), key=lambda stage: stage.seconds).name
    assert {slowest, planned["bottleneck"]["stage"]} <= {"captions", "queries", "scan"}
    assert planned["disk"]["free_bytes"] > planned["disk"]["bytes"]["high"]


def test_the_parts_make_up_the_whole(planned: Any) -> None:
    for metric, whole in (("seconds", planned["worker_seconds"]), ("bytes", planned["disk"]["bytes"])):
        assert sum(stage[metric]["point"] for stage in planned["stages"]) == pytest.approx(whole["point"], rel=1e-4)
    assert sum(stage["share"]["point"] for stage in planned["stages"]) == pytest.approx(1.0, abs=1e-4)
    seconds = planned["worker_seconds"]["point"]
    assert planned["cost"]["point"] == pytest.approx(seconds / 3600 * 0.5, rel=1e-3)
    wall = seconds / planned["workers"] + planned["overhead_seconds"]
    assert planned["wall_seconds"]["point"] == pytest.approx(wall, rel=1e-4)


def test_a_sample_of_everything_has_no_error_and_says_what_would_fail(
    world: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Settings that no clip survives: the slowest stage is the decode, and the run would fail for its yield."""
    videos = str(Path(world).parent / "*0.mp4")
    recipe = replace(Recipe(), quality=Quality(min_sharpness=300.0), prices=Prices(worker_hour=1.0))
    plan = make_plan(videos, recipe, sample=100)
    assert plan.sampled == plan.listed == 4
    stages = {stage.name: stage for stage in plan.stages}
    assert plan.bottleneck.name == "scan"
    assert (stages["quality"].rows_out.point, plan.total_pairs.point) == (0, 0)
    assert all(stage.seconds.low == stage.seconds.high for stage in plan.stages)
    assert stages["cut"].bytes.point < 10_000
    [warning] = plan.warnings
    assert "quality kept 0 of" in warning
    print_plan(plan, free_bytes=1000)
    shown = capsys.readouterr().out
    for words in ("cost (USD)", "may be too little", "bottleneck  scan", "every video was tried", warning):
        assert words in shown
    assert "±" not in shown


def test_nothing_to_plan_is_wrong_usage(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("path\nmissing.mp4\n")
    with pytest.raises(UsageError, match="none of the 1 entries"):
        make_plan(str(tmp_path / "list.csv"), Recipe(), sample=16)


def clips(*counts: float) -> Estimate:
    """An estimate whose replicates begin with `counts`."""
    return Estimate(counts[0], np.resize(np.array(counts), REPLICATES))


def test_pairs_follow_the_quotas() -> None:
    free = pairs_by_task(Pairs(), clips(879.0, 10.0))
    assert free["T2V"].point == 879
    assert sum(found.point for found in free.values()) == 1549
    few = pairs_by_task(Pairs(target_pairs=1549), clips(100.0, 90.4, 2000.0))
    assert few["T2V"].replicates[:3].tolist() == [100, 90, 879]
    assert few["V2V"].replicates[:3].tolist() == [36, 36, 36]
    missing = pairs_missing(Pairs(target_pairs=1549), clips(100.0, 90.0, 2000.0))
    assert {task: found.point for task, found in missing.items()} == {"T2T": 0, "T2I": 110, "T2V": 779, "I2V": 100}
    assert pairs_missing(Pairs(), clips(3.0)) == {}
    other = pairs_by_task(Pairs(target_pairs=100, weights={"T2V": 1170.0}), clips(100.0))
    assert other["T2V"].point == round(100 * 1170 / (1549 - 879 + 1170))


def test_shards_are_counted_by_task_and_split() -> None:
    layout = Layout(val_share=0.1, test_share=0.0, shard_bytes=10)
    assert shard_count([clips(100.0, 101.0), clips(5.0, 0.0)], layout).replicates[:2].tolist() == [12, 12]
    assert shard_count([clips(100.0)], replace(layout, val_share=0.0)).point == 10
    assert shard_count([clips(100.0)], replace(layout, test_share=0.2)).point == 1 + 2 + 7
