"""Checkpoints of a training run: whole or absent, and resumed only by the run that wrote them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from infra.errors import UsageError
from infra.faults import writing
from train.curriculum import EpochPlan
from train.gve import Gve

STATE_FILE = "training_state.pt"


@dataclass(frozen=True)
class Progress:
    """Where a run stands between two steps."""

    epoch: int  # that is under way, or that is next
    step: int  # done, in all epochs
    plan: EpochPlan | None = None  # of the epoch under way; None between two epochs
    readers: tuple[dict[str, Any], ...] = ()  # by rank, where its batches stand


@dataclass(frozen=True)
class Checkpoint:
    """Where a run stood, and what it had learnt: what is not trained is not in it."""

    progress: Progress
    weights: dict[str, Tensor]
    optimizer: dict[str, Any]
    mined: Tensor | None = None  # int32 [n], the negatives of the epoch under way, as `TrainingBatches.use_mined` takes
    neighbours: dict[str, Tensor] | None = None  # the state of `TrainingBatches.neighbours`


def save_checkpoint(folder: Path, checkpoint: Checkpoint, identity: dict[str, Any], keep: int) -> None:
    """Write a checkpoint under `folder`, whole or not at all, then delete all but the newest `keep`.

    `identity` says what is trained on what; only a run of the same identity resumes from here. Raises DiskFull.
    """
    progress = checkpoint.progress
    state = {
        "identity": identity,
        "epoch": progress.epoch,
        "step": progress.step,
        "plan": asdict(progress.plan) if progress.plan else None,
        "readers": list(progress.readers),
        "weights": checkpoint.weights,
        "optimizer": checkpoint.optimizer,
        "mined": checkpoint.mined,
        "neighbours": checkpoint.neighbours,
    }
    with writing(str(folder)), whole_folder(folder / _name(progress)) as partial:
        _write(state, partial / STATE_FILE)
    for older in _finished(folder)[:-keep]:
        shutil.rmtree(older)


def last_checkpoint(folder: Path, identity: dict[str, Any]) -> Checkpoint | None:
    """The newest whole checkpoint under `folder`, on the CPU, if there is one.

    Raises UsageError when it belongs to a run with other settings, another release or other ranks.
    """
    finished = _finished(folder)
    if not finished:
        return None
    state = torch.load(finished[-1] / STATE_FILE, weights_only=True, map_location="cpu")
    if state["identity"] != identity:
        other = ", ".join(sorted(name for name in identity if state["identity"].get(name) != identity[name]))
        raise UsageError(
            f"{folder.parent} holds a training run with other settings or another release ({other}); "
            "choose another folder"
        )
    plan = EpochPlan(**state["plan"]) if state["plan"] else None
    progress = Progress(state["epoch"], state["step"], plan, tuple(state["readers"]))
    return Checkpoint(progress, state["weights"], state["optimizer"], state["mined"], state["neighbours"])


def publish_model(gve: Gve, folder: Path) -> None:
    """Put the files of the finished model into `folder`, each whole or not at all, beside what it holds."""
    with writing(str(folder)):
        with whole_folder(folder / "model") as made:
            gve.save(made)
        for file in sorted((folder / "model").iterdir()):
            file.replace(folder / file.name)
        (folder / "model").rmdir()


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """A folder to write into that becomes `path` at the end, synced to disk, or goes."""
    partial = path.with_name(f".partial-{path.name}")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
        for file in partial.iterdir():
            _sync(file)
        _sync(partial)
        shutil.rmtree(path, ignore_errors=True)
        partial.rename(path)
        _sync(path.parent)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _write(state: dict[str, Any], path: Path) -> None:
    """Write with torch, which hides what went wrong with a file behind its own complaint about it."""
    try:
        with path.open("wb") as file:
            torch.save(state, file)
    except RuntimeError as error:
        if isinstance(error.__context__, OSError):
            raise error.__context__ from error
        raise


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _name(progress: Progress) -> str:
    """A name that sorts by time, of its own for each of the up to three checkpoints between two steps."""
    begun = "-begun" if progress.plan else ""
    return f"step-{progress.step:08d}-epoch-{progress.epoch:04d}{begun}"


def _finished(folder: Path) -> list[Path]:
    return sorted(folder.glob("step-*"))
