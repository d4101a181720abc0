"""Faults of the machine: each is survived, no row is blamed for it, nothing is lost."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import psutil
import pytest
from small_disk import small_disk
from toy_runs import as_tuple, open_run, run_all
from toy_stages import Fill, Split, write_sources

from infra.errors import ClusterLost, DiskFull, LakeBusy, Passing, RunFailed
from infra.lease import HEARTBEAT_S, hold_lease
from infra.pool import Pool
from infra.store import Store

ROWS = {f"k{i:02d}": "ab" for i in range(40)}


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    with pytest.MonkeyPatch.context() as environment, Pool(workers=2) as pool:
        environment.setenv("RAY_health_check_period_ms", "500")  # so that Ray sees a dead node in 3 s, not in 15
        yield pool


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 2 MB."""
    with small_disk(tmp_path / "disk", "2m") as folder:
        yield folder


def remount(disk: Path, option: str) -> None:
    """Change the disk; one that is being written to this moment cannot become read-only yet."""
    while subprocess.run(["mount", "-o", f"remount,{option}", disk], capture_output=True).returncode:
        time.sleep(0.001)


def parts(root: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in root.glob("stages/*-*/parts/unit-*.parquet")}


@contextmanager
def after_the_first_part(root: Path, strike: Callable[[], None]) -> Iterator[None]:
    """Let a fault strike while the block runs a stage, once it has committed something.

    The run itself stays in the main thread: a Ray that another thread started ends with that thread.
    """

    def wait_and_strike() -> None:
        while not parts(root):
            time.sleep(0.01)
        strike()

    with ThreadPoolExecutor(1) as thread:
        striking = thread.submit(wait_and_strike)
        yield
        striking.result()


def test_workers_killed_from_outside_cost_nothing(tmp_path: Path, pool: Pool) -> None:
    opened = tmp_path / "opened"
    opened.mkdir()

    def kill_the_workers() -> None:
        for path in list(opened.iterdir()):
            os.kill(int(path.name.split("-")[0]), signal.SIGKILL)

    write_sources(Store(str(tmp_path)), ROWS)
    stages = [Split(pause_s=0.1, opened=str(opened))]
    with open_run(tmp_path, stages, pool) as run, after_the_first_part(tmp_path, kill_the_workers):
        [counts] = run_all(run, stages)
    assert as_tuple(counts) == (40, 80, 0, 0, 0)
    assert len(list(opened.iterdir())) == 4


@pytest.mark.parametrize("full", ["lake", "folder of temporary files"])
def test_a_full_disk_stops_the_run_until_there_is_space(full: str, tmp_path: Path, disk: Path, pool: Pool) -> None:
    lake, stages = (disk, [Fill()]) if full == "lake" else (tmp_path, [Fill(folder=str(disk))])
    write_sources(Store(str(lake)), ROWS)
    with open_run(lake, stages, pool) as run:
        with pytest.raises(DiskFull, match=r"no space left on .* free some and run again"):
            run_all(run, stages)
        assert not list(lake.rglob(".writing-*"))
        before = run.tables.counts("fill")
        kept = parts(lake)
        assert before.quarantined == 0
        assert 0 < before.pending < 40
        remount(disk, "size=16m")
        [counts] = run_all(run, stages)
        run.lease.check(run.store)
    assert as_tuple(counts) == (40, 40, 0, 0, 0)
    assert kept.items() <= parts(lake).items()


def test_a_lake_that_turns_read_only_stops_the_run(disk: Path, pool: Pool) -> None:
    write_sources(Store(str(disk)), ROWS)
    stages = [Fill(size_bytes=10, pause_s=0.05)]
    with open_run(disk, stages, pool) as run:
        with (
            after_the_first_part(disk, partial(remount, disk, "ro")),
            pytest.raises(RunFailed, match="not writable") as failed,
        ):
            run_all(run, stages)
        assert not isinstance(failed.value, Passing)
        remount(disk, "rw")
        assert run.tables.counts("fill").quarantined == 0
        [counts] = run_all(run, stages)
    assert as_tuple(counts) == (40, 40, 0, 0, 0)


def test_a_lost_cluster_is_left_and_another_one_started(tmp_path: Path, pool: Pool) -> None:
    def kill_the_node() -> None:
        [node] = [child for child in psutil.Process().children(recursive=True) if child.name() == "raylet"]
        node.kill()

    write_sources(Store(str(tmp_path)), ROWS)
    stages = [Split(pause_s=0.5)]
    with open_run(tmp_path, stages, pool) as run:
        with after_the_first_part(tmp_path, kill_the_node), pytest.raises(ClusterLost):
            run_all(run, stages)
        assert run.tables.counts("split").quarantined == 0
        [counts] = run_all(run, stages)
    assert as_tuple(counts) == (40, 80, 0, 0, 0)


def test_a_full_disk_neither_ends_a_lease_nor_hides_an_error(disk: Path) -> None:
    store = Store(str(disk))

    def fill() -> None:
        with suppress(OSError), (disk / "filler").open("wb") as file:
            while True:
                file.write(bytes(4096))
                file.flush()

    def fail_on_a_full_disk() -> None:
        with hold_lease(store):
            fill()
            with pytest.raises(DiskFull):
                store.write("more", bytes(2**18))  # more than what a beat under way may give back
            time.sleep(HEARTBEAT_S + 1)
            (disk / "filler").unlink()
            with pytest.raises(LakeBusy), hold_lease(store):
                pass
            fill()
            raise KeyError

    with pytest.raises(KeyError):
        fail_on_a_full_disk()


JUMPING_HOLDER = """
import datetime, sys
import time_machine
from infra.lease import HEARTBEAT_S, hold_lease
from infra.store import Store
store = Store(sys.argv[1])
with time_machine.travel(datetime.datetime.now(datetime.timezone.utc)) as clock, hold_lease(store) as lease:
    print("held", flush=True)
    for jump in sys.stdin:
        clock.shift(float(jump))
        lease.check(store)
        print("jumped", flush=True)
"""


def test_a_clock_that_jumps_neither_loses_the_lake_nor_gives_it_away(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    with subprocess.Popen(
        [sys.executable, "-c", JUMPING_HOLDER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as owner:
        assert owner.stdin is not None
        assert owner.stdout is not None
        assert owner.stdout.readline() == b"held\n"
        for jump in (b"3600\n", b"-86400\n"):
            owner.stdin.write(jump)
            owner.stdin.flush()
            assert owner.stdout.readline() == b"jumped\n"
            with pytest.raises(LakeBusy), hold_lease(store):
                pass
        owner.stdin.close()
    assert owner.returncode == 0
    with hold_lease(store) as lease:
        assert lease.number == 2
