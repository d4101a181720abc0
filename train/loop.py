"""Training GVE on a release: contrastive steps over task-homogeneous batches (arXiv 2510.27571, section 3.3)."""

from __future__ import annotations

import json
import math
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim import AdamW

from infra.errors import RunFailed, UsageError
from infra.progress import Watcher
from infra.store import Store
from shards.index import read_index
from shards.manifest import Manifest, load_manifest
from train.batches import TrainBatch, TrainingBatches
from train.checkpoint import last_checkpoint, publish_model, restore_optimizer, save_checkpoint
from train.curves import draw_curves
from train.gve import Gve
from train.loss import ContrastiveResult, same_content, symmetric_info_nce
from train.progress import StepProgress
from train.settings import TrainSettings

LOG_FILE = "steps.jsonl"
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
    pairs_by_task: dict[str, int]  # in the training split
    seen_by_task: dict[str, int]  # pairs trained on, repeats counted
    bad_samples: dict[str, int]  # left out, by reason, repeats counted
    first_loss: dict[str, float]  # mean over the first and the last tenth of each task's steps
    last_loss: dict[str, float]


def train(manifest_path: str, out_dir: str, settings: TrainSettings, watcher: Watcher | None = None) -> TrainReport:
    """Train on the training split of a release and leave the model in `out_dir`.

    `out_dir` also gets the log of steps, their curves, the report and the last checkpoint, from which
    the same call goes on after a kill. On one thread the same call gives the same weights, bit for bit.
    Raises UsageError for a release without training pairs and for an `out_dir` of another run.
    """
    manifest, out = load_manifest(manifest_path), Path(out_dir)
    identity = {"release_id": manifest.release_id, "settings": settings.decisive()}
    with torch_threads(settings.threads):
        checkpoint = last_checkpoint(out / "checkpoints", identity)
        gve = Gve.load(checkpoint.path) if checkpoint else start_model(manifest, settings)
        batches = TrainingBatches(manifest, gve.inputs, settings.batches, settings.seed)
        run = _Run(gve, batches, settings, out, identity, watcher)
        if checkpoint:
            restore_optimizer(checkpoint, run.optimizer)
            run.epoch, run.step = checkpoint.epoch, checkpoint.step
        run.finish_epochs()
    publish_model(gve, out)
    log = read_log(out / LOG_FILE)
    draw_curves(log, out / CURVES_FILE)
    report = _report(manifest, gve, batches, log)
    Store(out_dir).write(REPORT_FILE, json.dumps(asdict(report), indent=1).encode() + b"\n")
    return report


def start_model(manifest: Manifest, settings: TrainSettings) -> Gve:
    """The model before its first step: the given checkpoint, or a tiny one whose tokenizer fits the release."""
    if settings.checkpoint:
        return Gve.load(settings.checkpoint)
    rows = (row for batch in read_index(manifest.index(), ("split", *TEXTS)) for row in batch.to_pylist())
    texts = [row[name] for row in rows if row["split"] == "train" for name in TEXTS if row[name]]
    return Gve.tiny(texts, settings.tiny, settings.tiny_inputs, settings.seed)


def learning_rate(step: int, steps: int, peak: float, warmup_share: float) -> float:
    """The learning rate of step 0 <= `step` < `steps`: a linear warm-up, then half a cosine to zero."""
    warmup = round(steps * warmup_share)
    if step < warmup:
        return peak * (step + 1) / warmup
    return peak * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup))) / 2


def read_log(path: Path) -> list[dict[str, Any]]:
    """The steps logged so far, in order."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@contextmanager
def torch_threads(threads: int) -> Iterator[None]:
    """Run with this many of torch's threads: more than there are free cores make it many times slower."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class _Run:
    """One training run in progress."""

    def __init__(
        self,
        gve: Gve,
        batches: TrainingBatches,
        settings: TrainSettings,
        out: Path,
        identity: dict[str, Any],
        watcher: Watcher | None,
    ) -> None:
        self.gve, self.batches, self.settings, self.out, self.identity = gve, batches, settings, out, identity
        self.watcher = watcher
        self.optimizer = make_optimizer(gve.model, settings.learning_rate, settings.weight_decay)
        self.epoch = self.step = 0
        planned = settings.epochs * len(batches.steps(0))
        self.steps = min(planned, settings.max_steps or planned)
        if not self.steps:
            raise UsageError("nothing to train on: no task of the release has two training pairs")

    def finish_epochs(self) -> None:
        """Train until the last step, leaving a checkpoint after every epoch."""
        self.out.mkdir(parents=True, exist_ok=True)
        logged = read_log(self.out / LOG_FILE)[: self.step]  # what a killed epoch logged is done again
        lines = "".join(json.dumps(entry) + "\n" for entry in logged)
        Store(str(self.out)).write(LOG_FILE, lines.encode())
        with StepProgress(self.steps, self.step, self.watcher) as progress, (self.out / LOG_FILE).open("a") as log:
            while (before := self.step) < self.steps:
                torch.manual_seed(self.settings.seed + self.epoch)  # for the dropout of models that have any
                for entry in self._epoch():
                    log.write(json.dumps(entry) + "\n")
                    log.flush()
                    progress.warn(self.batches.bad.first)
                    progress.advance(entry)
                if self.step == before:
                    raise RunFailed(f"an epoch gave no batch, all samples are bad: {self.batches.bad.first}")
                self.epoch += 1
                checkpoints = self.out / "checkpoints"
                save_checkpoint(checkpoints, self.epoch, self.step, self.gve, self.optimizer, self.identity)

    def _epoch(self) -> Iterator[dict[str, Any]]:
        asked, bad = time.perf_counter(), self.batches.bad.counts.copy()
        for batch in self.batches.epoch(self.epoch):
            got = time.perf_counter()
            rate = learning_rate(self.step, self.steps, self.settings.learning_rate, self.settings.warmup_share)
            result = self._train_on(batch, rate)
            self.step += 1
            seconds = time.perf_counter() - asked
            yield {
                "step": self.step,
                "epoch": self.epoch,
                "task": batch.task,
                "pairs": len(batch.pairs),
                "loss": float(result.loss.detach()),
                "positive_score": result.positive_score,
                "negative_gap": result.negative_gap,
                "learning_rate": rate,
                "seconds": seconds,
                "data_wait_share": (got - asked) / seconds,
                "bad_samples": dict(self.batches.bad.counts - bad),  # left out on the way to this batch
            }
            if self.step == self.steps:
                return
            asked, bad = time.perf_counter(), self.batches.bad.counts.copy()

    def _train_on(self, batch: TrainBatch, rate: float) -> ContrastiveResult:
        queries = self.gve.encode([pair.query for pair in batch.pairs])
        targets = self.gve.encode([pair.target for pair in batch.pairs])
        same = same_content([p.query_id for p in batch.pairs], [p.target_id for p in batch.pairs])
        result = symmetric_info_nce(queries, targets, same.to(queries.device), self.settings.temperature)
        if not torch.isfinite(result.loss):
            raise RunFailed(f"step {self.step + 1} ({batch.task}): the loss is {float(result.loss.detach())}")
        self.optimizer.zero_grad()
        result.loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.gve.model.parameters(), self.settings.max_gradient_norm)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        return result


def make_optimizer(model: nn.Module, learning_rate: float, weight_decay: float) -> AdamW:
    """AdamW over all weights; norms and biases are not decayed."""
    weights = list(model.parameters())
    groups = [
        {"params": [w for w in weights if w.ndim >= 2], "weight_decay": weight_decay},
        {"params": [w for w in weights if w.ndim < 2], "weight_decay": 0.0},
    ]
    return AdamW(groups, lr=learning_rate)


def _report(manifest: Manifest, gve: Gve, batches: TrainingBatches, log: list[dict[str, Any]]) -> TrainReport:
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
        pairs_by_task=batches.pairs_by_task,
        seen_by_task=dict(sorted(seen.items())),
        bad_samples=dict(sorted(bad.items())),
        first_loss={task: sum(losses[task][:n]) / n for task, n in tenth.items()},
        last_loss={task: sum(losses[task][-n:]) / n for task, n in tenth.items()},
    )
