"""Training by several workers of a Ray cluster.

Each calls the very `train` that one process or torchrun calls; a restarted group goes on from the last checkpoint.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from train.loop import TrainReport, read_report, train
from train.ray_group import run_group
from train.settings import TrainSettings


def train_on_ray(
    manifest_path: str, out_dir: str, settings: TrainSettings, workers: int, address: str = "local"
) -> TrainReport:
    """`train` in `workers` processes of the Ray cluster at `address`, a GPU for each where there are enough.

    Release and `out_dir` must be where every worker finds them. Raises what `train` and `run_group` raise.
    """
    given = {"manifest": manifest_path, "out": str(Path(out_dir).resolve()), "settings": settings}
    run_group(_train, given, out_dir, workers, address, settings.rank_timeout_s)
    return read_report(out_dir)


def _train(given: dict[str, Any]) -> None:
    train(given["manifest"], given["out"], given["settings"])
