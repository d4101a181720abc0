"""Training by several workers of a Ray cluster: Ray Train starts them, and starts them again when one is lost.

Each calls the very `train` that one process or torchrun calls; a restarted group goes on from the last checkpoint.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from infra.errors import RunFailed, UsageError
from infra.pool import Pool
from train.loop import TrainReport, read_report, train
from train.settings import TrainSettings

RESTARTS = 3  # of the group of workers, before the run fails
REFUSED = "refused.txt"  # why the workers would not begin


def train_on_ray(
    manifest_path: str, out_dir: str, settings: TrainSettings, workers: int, address: str = "local"
) -> TrainReport:
    """`train` in `workers` processes of the Ray cluster at `address`, a GPU for each where there are enough.

    Release and `out_dir` must be where every worker finds them. Raises UsageError for what `train` refuses;
    RunFailed, with the cause, when it fails more often than it is tried again; ClusterLost when no cluster answers.
    """
    os.environ.setdefault("RAY_TRAIN_V2_ENABLED", "1")
    out = str(Path(out_dir).resolve())
    refused = Path(out, REFUSED)
    refused.unlink(missing_ok=True)
    with Pool(workers, address) as pool:
        pool.connect()
        import ray
        from ray.train import FailureConfig, RunConfig, ScalingConfig, TrainingFailedError
        from ray.train.torch import TorchConfig, TorchTrainer

        on_gpus = ray.cluster_resources().get("GPU", 0) >= workers
        share = {"CPU": min(1.0, 0.9 * ray.cluster_resources()["CPU"] / workers)}
        trainer = TorchTrainer(
            _work,
            train_loop_config={"manifest": manifest_path, "out": out, "settings": settings},
            scaling_config=ScalingConfig(num_workers=workers, use_gpu=on_gpus, resources_per_worker=share),
            torch_config=TorchConfig(
                "cpu:gloo,cuda:nccl" if on_gpus else "gloo", timeout_s=int(settings.rank_timeout_s)
            ),
            run_config=RunConfig(
                name="train",
                storage_path=f"{out}/ray",
                failure_config=FailureConfig(max_failures=RESTARTS),
            ),
        )
        try:
            trainer.fit()
        except TrainingFailedError as error:
            raise RunFailed(f"training by {workers} workers failed: {_last_line(error)}") from error
    if refused.exists():
        raise UsageError(refused.read_text())
    return read_report(out_dir)


def _work(given: dict[str, Any]) -> None:
    """What each worker does; an error that another try would meet again is written down instead of raised."""
    try:
        train(given["manifest"], given["out"], given["settings"])
    except UsageError as error:
        Path(given["out"]).mkdir(parents=True, exist_ok=True)
        Path(given["out"], REFUSED).write_text(str(error))


def _last_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [repr(error)])[-1]
