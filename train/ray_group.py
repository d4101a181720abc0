"""Ranks in workers of a Ray cluster: Ray Train starts them together, and starts them again when one is lost."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from infra.errors import RunFailed, UsageError
from infra.pool import Pool

RESTARTS = 3  # of the group of workers, before the run fails
REFUSED = "refused.txt"  # why the workers would not begin
STATE = "ray"  # folder of what Ray Train knows of the group while it works


def run_group(
    work: Callable[[Any], object], given: Any, out_dir: str, workers: int, address: str, timeout_s: float
) -> None:
    """`work(given)` in `workers` processes of the Ray cluster at `address`, a GPU for each where there are enough.

    Each is a rank to `Ranks.from_environment`; one may be `timeout_s` late. A group that was started again begins
    anew, so `work` must go on by itself from what is there. Every worker must find `out_dir`, and all that `given`
    names. Raises UsageError for what `work` refuses; RunFailed, with the cause, when it fails more often than it
    is tried again; ClusterLost when no cluster answers.
    """
    os.environ.setdefault("RAY_TRAIN_V2_ENABLED", "1")
    out = Path(out_dir).resolve()
    refused = out / REFUSED
    refused.unlink(missing_ok=True)
    with Pool(workers, address) as pool:
        pool.connect()
        import ray
        from ray.train import FailureConfig, RunConfig, ScalingConfig, TrainingFailedError
        from ray.train.torch import TorchConfig, TorchTrainer

        on_gpus = ray.cluster_resources().get("GPU", 0) >= workers
        share = {"CPU": min(1.0, 0.9 * ray.cluster_resources()["CPU"] / workers)}
        trainer = TorchTrainer(
            _rank,
            train_loop_config={"work": work, "given": given, "refused": str(refused), "folder": Path.cwd()},
            scaling_config=ScalingConfig(num_workers=workers, use_gpu=on_gpus, resources_per_worker=share),
            torch_config=TorchConfig("cpu:gloo,cuda:nccl" if on_gpus else "gloo", timeout_s=int(timeout_s)),
            run_config=RunConfig(
                name="ranks",
                storage_path=str(out / STATE),
                failure_config=FailureConfig(max_failures=RESTARTS),
            ),
        )
        try:
            trainer.fit()
        except TrainingFailedError as error:
            raise RunFailed(f"the group of {workers} Ray workers failed: {_last_line(error)}") from error
    shutil.rmtree(out / STATE, ignore_errors=True)
    if refused.exists():
        why = refused.read_text()
        refused.unlink()
        raise UsageError(why)


def _rank(config: dict[str, Any]) -> None:
    """What each worker does; an error that another try would meet again is written down instead of raised."""
    with suppress(FileNotFoundError):  # a relative path means the same, where the worker has that folder
        os.chdir(config["folder"])
    try:
        config["work"](config["given"])
    except UsageError as error:
        refused = Path(config["refused"])
        refused.parent.mkdir(parents=True, exist_ok=True)
        refused.write_text(str(error))


def _last_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [repr(error)])[-1]
