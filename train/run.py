"""One training run in progress: epochs by the curriculum's plan, steps, checkpoints, logs."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from infra.errors import RowError, RunFailed, UsageError
from infra.progress import Watcher
from shards.embedder import Embedder
from shards.records import INSTRUCTIONS, Pair
from train.batches import PreparedPair, TrainBatch, TrainingBatches
from train.checkpoint import Checkpoint, Progress, last_checkpoint, save_checkpoint
from train.curriculum import plan_epoch
from train.flops import peak_flops, shape_of, step_flops
from train.gradcache import chunk_by_grid
from train.gve import Gve
from train.inputs import Prepared
from train.log import RunLog
from train.lora import load_trainable_state, trainable_state
from train.loss import ContrastiveResult, PairIds
from train.mining import mine_negatives
from train.optimizer import learning_rate, make_optimizer
from train.progress import StepProgress
from train.ranks import Ranks
from train.settings import TrainSettings
from train.step import step_backward

CHECKPOINTS = "checkpoints"
PROBED_AT_ONCE = 32  # pairs whose media are in memory


class TrainingRun:
    """Trains a model on batches until its last step, from its last checkpoint on if there is one."""

    def __init__(
        self,
        gve: Gve,
        batches: TrainingBatches,
        settings: TrainSettings,
        ranks: Ranks,
        out: Path,
        identity: dict[str, Any],
    ) -> None:
        """Raises UsageError when there is nothing to train on, and for a checkpoint of another run."""
        self.gve, self.batches, self.settings, self.ranks = gve, batches, settings, ranks
        self.out, self.identity = out, identity
        self.epoch_steps = sum(batches.batches.values())
        if not self.epoch_steps:
            raise UsageError("nothing to train on: no task of the release has two training pairs")
        planned = settings.epochs * self.epoch_steps
        self.steps = min(planned, settings.max_steps or planned)
        self.weights = [weight for weight in gve.model.parameters() if weight.requires_grad]
        self.optimizer = make_optimizer(gve.model, settings.weight_decay, settings.muon)
        self.progress = self._restored() or Progress(epoch=0, step=0)

    def finish(self, prober: Gve | None, watcher: Watcher | None) -> None:
        """Train until the last step. Before the first epoch `prober` scores the pairs, if not the model itself.

        It also mines the negatives of that epoch, where they are mined; without it they are those of the release,
        since a model that knows nothing yet would mine noise.

        Raises RunFailed when the loss is not finite, an epoch has no batch or a rank is gone; ReleaseCorrupt when a
        shard is missing; EndpointDown; DiskFull.
        """
        with ExitStack() as stack:
            shown = log = None
            if self.ranks.rank == 0:  # what one tells and writes is enough
                shown = stack.enter_context(StepProgress(self.steps, self.progress.step, watcher))
                log = stack.enter_context(RunLog(self.out, self.progress.step, self._begun()))
            while self.progress.step < self.steps:
                if self.progress.plan is None:
                    entry = self._begin_epoch(prober if self.progress.epoch == 0 else None, shown)
                    if log:
                        log.epoch(entry, self.progress.step)
                    if "mined" in entry:
                        self._save()  # mining may have taken hours; once it is logged, so that the log tells of it
                self._train_epoch(log, shown)

    def _train_epoch(self, log: RunLog | None, shown: StepProgress | None) -> None:
        """What is left of the epoch under way."""
        whole, trained = self.progress.step == self.progress.epoch * self.epoch_steps, False
        for entry in self._steps_of_epoch():
            trained = True
            if log and shown:
                log.step(entry)
                shown.warn(self.batches.bad.first)
                shown.advance(entry)
        if whole and not trained:
            raise RunFailed(f"an epoch gave no batch, all samples are bad: {self.batches.bad.first}")
        self.progress = Progress(self.progress.epoch + 1, self.progress.step)
        self._save()

    def _begun(self) -> int:
        """Epochs that were begun."""
        return self.progress.epoch + (self.progress.plan is not None)

    def _begin_epoch(self, prober: Gve | None, shown: StepProgress | None) -> dict[str, Any]:
        """Probe and plan the epoch that is next, and mine for it; returns its entry for the log."""
        epoch, settings = self.progress.epoch, self.settings.curriculum
        relevance = self._relevance(prober or self.gve, epoch) if settings.probing else {}
        plan = plan_epoch(settings, relevance, self.batches.batches, epoch, self.settings.epochs)
        self.progress = Progress(epoch, self.progress.step, plan)
        passes = {task: batches.position for task, batches in self.batches.tasks.items()}
        mean = float(np.mean(list(relevance.values()))) if relevance else None
        mined = self._mine(prober, shown) if self.settings.batches.mine_negatives and (prober or epoch) else {}
        return {"epoch": epoch, **asdict(plan), "mean_relevance": mean, "passes": passes, **mined}

    def _mine(self, prober: Gve | None, shown: StepProgress | None) -> dict[str, Any]:
        """Mine the negatives of the epoch that is next and use them; returns what the log tells of it."""
        asked = time.perf_counter()
        mining = mine_negatives(prober or self.gve, self.batches, self.ranks, shown)
        self.batches.use_mined(mining.negatives)
        return {"mined": {**mining.told(), "seconds": time.perf_counter() - asked}}

    def _relevance(self, prober: Embedder, epoch: int) -> dict[str, float]:
        """R_k of every task: the mean cosine of its probes; each rank scores a part of them."""
        found = {}
        for task in self.batches.batches:
            probes = self.batches.probes(task, epoch, self.settings.curriculum.probes)
            by_rank = self.ranks.share(list(relevance_of(prober, task, probes)))
            cosines = [cosine for part in by_rank for cosine in part]
            found[task] = float(np.mean(cosines)) if cosines else 0.0  # of a task whose probes are all bad
        if not np.isfinite(list(found.values())).all():
            raise RunFailed(f"before epoch {epoch + 1} the prober scores {found}: its weights are no good")
        return found

    def _steps_of_epoch(self) -> Iterator[dict[str, Any]]:
        """Do the steps that are left of the epoch, with checkpoints on the way; yields their entries for the log."""
        assert self.progress.plan is not None
        epoch, plan, settings = self.progress.epoch, self.progress.plan, self.settings
        begun = epoch * self.epoch_steps
        tasks = plan.order(settings.seed, epoch)[self.progress.step - begun : self.steps - begun]
        self.gve.model.train()
        asked, bad = time.perf_counter(), self.batches.bad.counts.copy()
        for batch in self.batches.serve(tasks):
            got = time.perf_counter()
            rate = learning_rate(self.progress.step, self.steps, settings.learning_rate, settings.warmup_share)
            figures = self._step(batch, rate)
            self.progress = Progress(epoch, self.progress.step + 1, plan)
            if figures is not None:
                seconds = time.perf_counter() - asked
                yield {
                    "step": self.progress.step,
                    "epoch": epoch,
                    "task": batch.task,
                    **figures,
                    "mfu": self._utilisation(figures["tflop"], seconds),
                    "learning_rate": rate,
                    "seconds": seconds,
                    "data_wait_share": (got - asked) / seconds,
                    "bad_samples": dict(self.batches.bad.counts - bad),  # left out on the way to this batch
                }
            if self.progress.step % settings.checkpoint_steps == 0:
                self._save()
            asked, bad = time.perf_counter(), self.batches.bad.counts.copy()

    def _step(self, batch: TrainBatch, rate: float) -> dict[str, Any] | None:
        """One step and its figures; None when all ranks together have less than two pairs, the others being bad."""
        pair_ids = [name for part in self.ranks.share([pair.pair_id for pair in batch.pairs]) for name in part]
        if len(pair_ids) < 2:
            return None
        # What is dropped out depends on the step alone, so a resumed run needs no state of the generator.
        torch.manual_seed(self.settings.seed + self.progress.step * self.ranks.size + self.ranks.rank)
        self.optimizer.zero_grad()
        ids, sides = ids_and_sides(batch.pairs)
        result = self._backward(batch, ids, sides)
        self.optimizer.step(rate)
        if self.batches.neighbours:
            self.batches.neighbours.see(pair_ids, result.queries, result.targets)
        return {
            "pairs": len(pair_ids),
            "loss": float(result.loss),
            "positive_score": result.positive_score,
            "negative_gap": result.negative_gap,
            "masked_share": result.masked,
            "tokens": sum(len(side.ids) for side in sides),  # of this rank, as is what follows
            "tflop": step_flops(self.gve.model.config, shape_of(sides), self.settings.lora) / 1e12,
        }

    def _utilisation(self, tflop: float, seconds: float) -> float | None:
        """Model FLOPs utilisation: of what the device could have done in the time; None when that is not known."""
        name = torch.cuda.get_device_name(self.ranks.device) if self.ranks.device.type == "cuda" else ""
        peak = peak_flops(name)
        return None if peak is None else 1e12 * tflop / seconds / peak

    def _backward(self, batch: TrainBatch, ids: PairIds, sides: Sequence[Prepared]) -> ContrastiveResult:
        """Leave the whole batch's gradients, clipped, at the weights. Raises RunFailed for what is not finite."""
        settings = self.settings
        chunks = chunk_by_grid(sides, settings.chunk_tokens)
        result = step_backward(
            self._encode, sides, chunks, ids, self.ranks, settings.temperature, settings.false_negative_margin
        )
        self.ranks.sum_gradients(self.weights)
        norm = torch.nn.utils.clip_grad_norm_(self.weights, settings.max_gradient_norm)
        if not (torch.isfinite(result.loss) and torch.isfinite(norm)):
            named = ", ".join(pair.pair_id for pair in batch.pairs[:3])
            raise RunFailed(
                f"step {self.progress.step + 1} ({batch.task}, pairs {named}, ...): the loss is {float(result.loss)}, "
                f"its gradient's norm {float(norm)}. Lower train.learning_rate, or look at these pairs"
            )
        return result

    def _encode(self, sides: Sequence[Prepared]) -> Tensor:
        """Embeddings float32, whatever they are computed in: the loss asks for more digits than bfloat16 has."""
        with torch.autocast(self.ranks.device.type, torch.bfloat16, enabled=self.settings.bfloat16):
            return self.gve.encode(sides)

    def _restored(self) -> Progress | None:
        """Where the last checkpoint stood, with its weights, optimizer and batches taken over."""
        found = last_checkpoint(self.out / CHECKPOINTS, self.identity)
        if found is None:
            return None
        load_trainable_state(self.gve.model, found.weights)
        self.optimizer.load_state_dict(found.optimizer)
        if found.mined is not None:
            self.batches.use_mined(found.mined.numpy())
        if self.batches.neighbours and found.neighbours:
            self.batches.neighbours.load_state_dict(found.neighbours)
        self.batches.load_state_dict(found.progress.readers[self.ranks.rank])
        return found.progress

    def _save(self) -> None:
        """Leave a checkpoint; weights and optimizer are the same on every rank, so the first one writes them."""
        readers = tuple(self.ranks.share(self.batches.state_dict()))
        if self.ranks.rank == 0:
            progress = replace(self.progress, readers=readers)
            mined = self.batches.mined if progress.plan else None  # the next epoch has others
            kept = None if mined is None else torch.from_numpy(mined)
            near = self.batches.neighbours.state_dict() if self.batches.neighbours else None
            made = Checkpoint(progress, trainable_state(self.gve.model), self.optimizer.state_dict(), kept, near)
            save_checkpoint(self.out / CHECKPOINTS, made, self.identity, self.settings.checkpoints_kept)


def ids_and_sides(pairs: Sequence[PreparedPair]) -> tuple[PairIds, list[Prepared]]:
    """What a step is asked for: the ids of pairs and hard negatives, and queries, targets and negatives in a row."""
    owned = [(row, negative) for row, pair in enumerate(pairs) for negative in pair.negatives]
    ids = PairIds(
        tuple(pair.query_id for pair in pairs),
        tuple(pair.target_id for pair in pairs),
        tuple(negative.target_id for _, negative in owned),
        tuple(row for row, _ in owned),
    )
    targets = [pair.target for pair in pairs] + [negative.target for _, negative in owned]
    return ids, [pair.query for pair in pairs] + targets


def relevance_of(prober: Embedder, task: str, pairs: Iterable[Pair]) -> Iterator[float]:
    """The cosine of each pair's query and target by a prober; a pair whose media are bad has none."""
    coming = iter(pairs)
    while some := list(islice(coming, PROBED_AT_ONCE)):
        try:
            yield from _cosines(prober, task, some)
        except RowError:
            for pair in some:
                with suppress(RowError):
                    yield from _cosines(prober, task, [pair])


def _cosines(prober: Embedder, task: str, pairs: Sequence[Pair]) -> list[float]:
    queries = prober.embed([pair.query for pair in pairs], INSTRUCTIONS[task])
    targets = prober.embed([pair.target for pair in pairs])
    cosines: list[float] = np.einsum("nd,nd->n", queries, targets).tolist()
    return cosines
