"""Killed anywhere and resumed: the same release, nothing lost, nothing twice, no process left behind."""

import json
import os
import random
import signal
import subprocess
import sys
import time
import uuid
from collections import Counter
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from service import wait_until_gone
from world_copies import add_copies

from infra.lake import dropped, open_tables
from infra.sample_world.write import write_world
from shards.index import COLUMNS, INDEX, SCORE_MAP, SCORES
from shards.manifest import load_manifest, verify
from shards.records import CAPTION_KINDS

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("shared_prefect")]

VIDEOS = 10
KILLS = 4
OWN_SERVER = (0, 1)  # kills of a run with a Prefect server of its own, which must not outlive it
COPIES = ("re-encode", "mirror", "brighter")  # of the first videos, listed after all others
SETTINGS = ("--set", "layout.shard_bytes=100000", "--set", "layout.val_share=0.3")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_videos(tmp_path_factory.mktemp("world"), VIDEOS)


def write_videos(folder: Path, count: int) -> str:
    """Videos of the sample world and copies of some; returns their manifest."""
    manifest = write_world(str(folder), count, seed=3)
    add_copies(Path(manifest), 3, COPIES)
    return manifest


class Runs:
    """Starts `uvr run` on one lake and finds every process that a start left."""

    def __init__(self, videos: str, lake: Path, home: Path) -> None:
        self.command = [sys.executable, "-m", "flows.cli", "run", "--videos", videos, "--lake", str(lake), *SETTINGS]
        self.lake = lake
        self.mark = uuid.uuid4().hex
        self.environment = {**os.environ, "PREFECT_HOME": str(home), "UVR_TEST_MARK": self.mark}

    def start(self, *extra: str) -> subprocess.Popen[bytes]:
        log = (self.lake.parent / f"{self.lake.name}.log").open("ab")
        return subprocess.Popen(
            [*self.command, *extra], env=self.environment, stdout=log, stderr=log, start_new_session=True
        )

    def finish(self, *extra: str) -> Path:
        """Run to the end; the manifest's path is the last line printed."""
        done = subprocess.run(
            [*self.command, *extra], env=self.environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return Path(done.stdout.splitlines()[-1])

    def parts(self) -> dict[str, int]:
        return {str(p): p.stat().st_mtime_ns for p in self.lake.glob("stages/*-*/parts/unit-*.parquet")}

    def wait_for_parts(self, count: int, process: subprocess.Popen[bytes]) -> None:
        """Wait until this start has committed `count` parts more, or has ended."""
        before = len(self.parts())
        while len(self.parts()) < before + count and process.poll() is None:
            time.sleep(0.02)


def _release_bytes(manifest: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(manifest.parent.iterdir())}


def _assert_nothing_lost_or_twice(lake: Path) -> None:
    status = subprocess.run(
        [sys.executable, "-m", "flows.cli", "status", "--lake", str(lake), "--json"], capture_output=True, check=True
    )
    for stage in json.loads(status.stdout)["stages"]:
        assert stage["pending"] == stage["quarantined"] == 0, stage
    for folder in lake.glob("stages/*-*/parts"):
        owners = Counter(
            parent
            for part in folder.glob("*.parquet")
            for parent in set(pq.read_table(part, columns=["parent"])["parent"].to_pylist())
        )
        assert not [parent for parent, files in owners.items() if files > 1], folder


@pytest.fixture(scope="module")
def uninterrupted(world: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    manifest = Runs(world, folder / "lake", folder / "prefect").finish()
    verify(str(manifest))
    with open_tables(str(folder / "lake")) as tables:
        lost = dropped(tables, "perceptual")
    copies = {Path(row["source"]).name for row in lost if row["reason"] == "near_duplicate"}
    assert copies == {f"copy-{video}.mp4" for video in range(len(COPIES))}
    return manifest


def test_killed_at_many_moments(world: str, uninterrupted: Path, tmp_path: Path) -> None:
    """The whole process group, or the driver alone while its orphaned workers run on."""
    draw = random.Random(5)
    runs = Runs(world, tmp_path / "lake", tmp_path / "prefect")
    shared = runs.environment.pop("PREFECT_API_URL")
    for kill in range(KILLS):
        if kill not in OWN_SERVER:
            runs.environment["PREFECT_API_URL"] = shared
        process = runs.start()
        runs.wait_for_parts(draw.randint(0, 24), process)
        time.sleep(draw.uniform(0, 0.2))
        assert process.poll() is None, "the run ended before it could be killed: make the world larger"
        committed = runs.parts()
        if kill % 2:
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
        process.wait()
        if kill != 0:  # after the first kill the next run starts while orphans may still be at work
            wait_until_gone(runs.mark)
        kept = runs.parts()
        assert committed.items() <= kept.items()
    manifest = runs.finish("--set", "run.workers=3")  # in the end as many as never before
    assert kept.items() <= runs.parts().items(), "a committed unit was done again"
    _assert_nothing_lost_or_twice(tmp_path / "lake")
    assert _release_bytes(manifest) == _release_bytes(uninterrupted)
    wait_until_gone(runs.mark)


def test_a_finished_lake_does_no_work(world: str, uninterrupted: Path, tmp_path: Path) -> None:
    lake = uninterrupted.parents[2]
    before = {
        str(p): p.stat().st_mtime_ns for p in lake.rglob("*") if p.is_file() and p.parent.name in ("parts", "media")
    }
    again = Runs(world, lake, tmp_path / "prefect").finish()
    assert again == uninterrupted
    assert {p: Path(p).stat().st_mtime_ns for p in before} == before


def test_one_worker_makes_the_same_release(world: str, uninterrupted: Path, tmp_path: Path) -> None:
    manifest = Runs(world, tmp_path / "lake", tmp_path / "prefect").finish("--set", "run.workers=1")
    assert _release_bytes(manifest) == _release_bytes(uninterrupted)


def test_the_index_of_a_release_tells_what_the_lake_knows(uninterrupted: Path) -> None:
    """Every column and score that needs no prober; what names a place is the file's name alone."""
    rows = pq.read_table(uninterrupted.with_name(INDEX))
    assert rows.column_names == [column.name for column in (*COLUMNS, SCORE_MAP)]
    assert {name for scores in rows["scores"].to_pylist() for name, _ in scores} >= {*SCORES} - {
        "near_duplicate_distance", "consistency",
    }  # fmt: skip
    assert all(
        set(captions) == set(CAPTION_KINDS) and all(captions.values()) for captions in rows["captions"].to_pylist()
    )
    assert all(name == Path(name).name for name in rows["source"].to_pylist())
    with open_tables(str(uninterrupted.parents[2])) as tables:
        for row in tables.query("SELECT pair_id, start_s, end_s, width, fps, weak_caption FROM out_layout"):
            [told] = rows.filter(pc.equal(rows["pair_id"], row["pair_id"])).select(list(row)).to_pylist()
            assert told == row


def test_a_change_redoes_only_what_follows(world: str, uninterrupted: Path, tmp_path: Path) -> None:
    """Two more videos add work for themselves; new caption settings redo captions and what follows."""
    lake = uninterrupted.parents[2]
    runs = Runs(write_videos(Path(world).parent, VIDEOS + 2), lake, tmp_path / "prefect")
    before = runs.parts()
    more = runs.finish()
    added = runs.parts().keys() - before.keys()
    worked = Counter(Path(path).parent.parent.name.rsplit("-", 1)[0] for path in added)
    parents = {
        stage: {
            k for p in added if f"/{stage}-" in p for k in pq.read_table(p, columns=["parent"])["parent"].to_pylist()
        }
        for stage in worked
    }
    assert len(parents["probe"]) == len(parents["scan"]) == 2
    assert before.items() <= runs.parts().items()
    before = runs.parts()
    other = runs.finish("--set", "captions.seed=99")
    added = runs.parts().keys() - before.keys()
    redone = {Path(path).parent.parent.name.rsplit("-", 1)[0] for path in added}
    assert redone == {"captions", "queries", "sides", "pack"}
    assert len({uninterrupted, more, other}) == 3
    first, last = (load_manifest(str(path)).facts["fingerprints"] for path in (more, other))
    assert {name for name in first if first[name] != last[name]} == {
        "captions", "texts", "queries", "pairs", "sides", "layout", "pack",
    }  # fmt: skip
