"""Training GVE on a release: contrastive steps over task-homogeneous batches (arXiv 2510.27571, section 3.3)."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from infra.progress import Watcher
from infra.store import Store
from shards.index import read_index
from shards.manifest import Manifest, load_manifest
from train.batches import TrainingBatches
from train.checkpoint import publish_model
from train.curves import draw_curves
from train.gve import Gve
from train.log import EPOCHS_FILE, STEPS_FILE, read_log
from train.lora import choose_trained, merge_adapters, trainable_state
from train.ranks import Ranks
from train.run import TrainingRun
from train.settings import TrainSettings
from train.threads import torch_threads

CURVES_FILE = "curves.png"
REPORT_FILE = "training.json"
TEXTS = ("query_text", "target_text")


@dataclass(frozen=True)
class TrainReport:
    """What a training run made; the same release and settings give the same report."""

    release_id: str
    steps: int
    epochs: int
    parameters: int
    trainable: int  # of them
    ranks: int
    pairs_by_task: dict[str, int]  # in the training split
    seen_by_task: dict[str, int]  # pairs trained on, repeats counted
    passes_by_task: dict[str, float]  # over the pairs of the training split
    bad_samples: dict[str, int]  # left out, by reason, repeats counted
    first_loss: dict[str, float]  # mean over the first and the last tenth of each task's steps
    last_loss: dict[str, float]


def train(manifest_path: str, out_dir: str, settings: TrainSettings, watcher: Watcher | None = None) -> TrainReport:
    """Train on the training split of a release and leave the model in `out_dir`.

    Called in every process of a group that torchrun or Ray Train started, it trains one model together. `out_dir`
    also gets the logs, their curves, the report and the last checkpoint, from which the same call goes on after a
    kill, at the very next step. On one thread of a CPU the same call gives the same weights, bit for bit. Raises
    UsageError for a release without training pairs and for an `out_dir` of another run; see `TrainingRun.finish`.
    """
    with torch_threads(settings.threads):
        ranks = Ranks.from_environment(settings.rank_timeout_s)
        manifest, out = load_manifest(manifest_path), Path(out_dir)
        out.mkdir(parents=True, exist_ok=True)
        gve = ready_model(manifest, settings, ranks)
        batches = TrainingBatches(manifest, gve.inputs, settings.batches, settings.seed, ranks.rank, ranks.size)
        identity = {"release": manifest.release_id, "settings": settings.decisive(), "ranks": ranks.size}
        run = TrainingRun(gve, batches, settings, ranks, out, identity)
        prober = settings.curriculum.prober if not run.progress.step else ""
        run.finish(Gve.load(prober, device=ranks.device) if prober else None, watcher)
        if ranks.rank == 0:
            _publish(gve, out, _report(manifest, gve, batches, ranks, read_log(out / STEPS_FILE)))
        ranks.barrier()  # no rank ends before the model is there
        ranks.close()  # only now: where a rank was lost, closing would wait for it
    return read_report(out_dir)


def read_report(out_dir: str) -> TrainReport:
    """The report that a finished run left in `out_dir`."""
    return TrainReport(**json.loads((Path(out_dir) / REPORT_FILE).read_text()))


def ready_model(manifest: Manifest, settings: TrainSettings, ranks: Ranks) -> Gve:
    """The model before its first step, on this rank's device, set to train what the settings say."""
    gve = start_model(manifest, settings)
    gve.model.to(ranks.device)
    choose_trained(gve.model, settings.lora, settings.seed)
    if settings.checkpoint_activations:
        gve.checkpoint_activations()
    return gve


def start_model(manifest: Manifest, settings: TrainSettings) -> Gve:
    """The model before its first step: the given checkpoint, or a tiny one whose tokenizer fits the release."""
    if settings.checkpoint:
        frozen_bfloat16 = settings.bfloat16 and settings.lora.rank > 0
        return Gve.load(settings.checkpoint, torch.bfloat16 if frozen_bfloat16 else torch.float32)
    rows = (row for batch in read_index(manifest.index(), ("split", *TEXTS)) for row in batch.to_pylist())
    texts = [row[name] for row in rows if row["split"] == "train" for name in TEXTS if row[name]]
    return Gve.tiny(texts, settings.tiny, settings.tiny_inputs, settings.seed)


def _publish(gve: Gve, out: Path, report: TrainReport) -> None:
    """Leave model, curves and report in `out`."""
    merge_adapters(gve.model)
    publish_model(gve, out)
    draw_curves(read_log(out / STEPS_FILE), read_log(out / EPOCHS_FILE), out / CURVES_FILE)
    Store(str(out)).write(REPORT_FILE, json.dumps(asdict(report), indent=1).encode() + b"\n")


def _report(
    manifest: Manifest, gve: Gve, batches: TrainingBatches, ranks: Ranks, log: list[dict[str, Any]]
) -> TrainReport:
    losses: dict[str, list[float]] = {}
    seen, bad = Counter[str](), Counter[str]()
    for entry in log:
        losses.setdefault(entry["task"], []).append(entry["loss"])
        seen[entry["task"]] += entry["pairs"]
        bad.update(entry["bad_samples"])
    tenth = {task: max(1, len(values) // 10) for task, values in sorted(losses.items())}
    return TrainReport(
        release_id=manifest.release_id,
        steps=len(log),
        epochs=log[-1]["epoch"] + 1,
        parameters=sum(weight.numel() for weight in gve.model.parameters()),
        trainable=sum(weight.numel() for weight in trainable_state(gve.model).values()),
        ranks=ranks.size,
        pairs_by_task=batches.pairs_by_task,
        seen_by_task=dict(sorted(seen.items())),
        passes_by_task={task: round(found.position, 3) for task, found in sorted(batches.tasks.items())},
        bad_samples=dict(sorted(bad.items())),
        first_loss={task: sum(losses[task][:n]) / n for task, n in tenth.items()},
        last_loss={task: sum(losses[task][-n:]) / n for task, n in tenth.items()},
    )
