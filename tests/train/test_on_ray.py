"""Ray Train's workers run the same training, and a lost one costs no more than what came after a checkpoint."""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from small_training import OFTEN, SHORT, decisive, start

from infra.errors import UsageError
from train.loop import read_report
from train.on_ray import train_on_ray

pytestmark = pytest.mark.slow


def kill_a_worker(out: Path, steps: int) -> None:
    """Kill one of Ray Train's workers below this process once the run has logged so many steps."""
    log = out / "steps.jsonl"
    while not (log.exists() and len(log.read_text().splitlines()) >= steps):
        time.sleep(0.01)
    below = psutil.Process().children(recursive=True)
    next(process for process in below if "RayTrainWorker" in process.name() + " ".join(process.cmdline())).kill()


def test_two_workers_one_of_them_killed_train_what_two_ranks_of_torchrun_train(
    toy_release: str, tmp_path: Path
) -> None:
    with ThreadPoolExecutor() as beside:
        killing = beside.submit(kill_a_worker, tmp_path / "ray", 7)
        report = train_on_ray(toy_release, str(tmp_path / "ray"), OFTEN, workers=2)
        killing.result()
    assert report.ranks == 2
    assert start(toy_release, tmp_path / "torchrun", ranks=2).wait(300) == 0
    assert decisive(tmp_path / "ray") == decisive(tmp_path / "torchrun")
    assert read_report(str(tmp_path / "torchrun")) == report


def test_what_cannot_be_trained_says_why(toy_release: str, tmp_path: Path) -> None:
    broken = replace(SHORT, checkpoint=str(tmp_path / "no model here"))
    with pytest.raises(UsageError, match="no model at"):
        train_on_ray(toy_release, str(tmp_path / "out"), broken, workers=2)
