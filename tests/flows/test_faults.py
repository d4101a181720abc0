"""Faults that strike a whole run from outside, by the command line."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from service import wait_for
from small_disk import small_disk

from infra.lease import hold_lease
from infra.sample_world.write import write_world
from infra.store import Store
from shards.manifest import verify

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("shared_prefect")]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 24 MB."""
    with small_disk(tmp_path / "disk", "24m") as folder:
        yield folder


def test_a_full_disk_is_waited_out(disk: Path, tmp_path: Path) -> None:
    videos = write_world(str(tmp_path / "videos"), 8, seed=3)
    lake, log = disk / "lake", tmp_path / "run.log"
    command = [sys.executable, "-m", "flows.cli", "run", "--videos", videos, "--lake", str(lake)]
    settings = ["--set", f"run.retry_delays_s={[2] * 30}", "--set", "run.wait_s=1"]
    environment = {**os.environ, "PREFECT_HOME": str(tmp_path / "prefect")}
    with log.open("wb") as out:
        run = subprocess.Popen([*command, *settings], env=environment, stdout=out, stderr=out)
    wait_for("the first part", lambda: list(lake.glob("stages/probe-*/parts/unit-*")))
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while file.write(bytes(4096)):  # until nothing is left
            continue
    wait_for("the run to say so", lambda: "trying again later" in log.read_text())
    assert "no space left on" in log.read_text()
    ballast.unlink()
    assert run.wait(500) == 0, log.read_text()
    verify(log.read_text().splitlines()[-1])
    status = subprocess.run(
        [sys.executable, "-m", "flows.cli", "status", "--lake", str(lake), "--json"], capture_output=True, check=True
    )
    assert not [s for s in json.loads(status.stdout)["stages"] if s["quarantined"] or s["pending"]]


def test_a_second_run_is_turned_away(tmp_path: Path) -> None:
    videos, lake = write_world(str(tmp_path / "videos"), 1, seed=3), str(tmp_path / "lake")
    command = [sys.executable, "-m", "flows.cli", "run", "--videos", videos, "--lake", lake, "--set", "run.wait_s=1"]
    with hold_lease(Store(lake)):
        second = subprocess.run(
            command, env={**os.environ, "PREFECT_HOME": str(tmp_path / "prefect")}, capture_output=True, text=True
        )
    assert second.returncode == 1
    assert "the lake is in use by process" in second.stderr.splitlines()[-1]
