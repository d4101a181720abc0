"""Checkpoints of a training run: whole or absent, and resumed only by the run that wrote them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.optim import Optimizer

from infra.errors import UsageError
from train.gve import Gve

STATE_FILE = "training_state.pt"


@dataclass(frozen=True)
class Checkpoint:
    """Where a run stands after a whole number of epochs."""

    path: Path
    epoch: int  # epochs done
    step: int  # optimizer steps done


def save_checkpoint(
    folder: Path, epoch: int, step: int, gve: Gve, optimizer: Optimizer, identity: dict[str, Any]
) -> None:
    """Write model, optimizer and position under `folder` as one, then delete the checkpoint before it.

    `identity` says what is trained on what; only a run of the same identity resumes from here.
    """
    path = folder / f"epoch-{epoch:04d}"
    with whole_folder(path) as partial:
        gve.save(partial)
        state = {"epoch": epoch, "step": step, "identity": identity, "optimizer": optimizer.state_dict()}
        torch.save(state, partial / STATE_FILE)
    for older in _finished(folder):
        if older != path:
            shutil.rmtree(older)


def last_checkpoint(folder: Path, identity: dict[str, Any]) -> Checkpoint | None:
    """The newest whole checkpoint under `folder`, if there is one.

    Raises UsageError when it belongs to a run with other settings or another release.
    """
    finished = _finished(folder)
    if not finished:
        return None
    state = _state(finished[-1])
    if state["identity"] != identity:
        raise UsageError(
            f"{folder.parent} holds a training run with other settings or another release; choose another folder"
        )
    return Checkpoint(finished[-1], state["epoch"], state["step"])


def restore_optimizer(checkpoint: Checkpoint, optimizer: Optimizer) -> None:
    """Give `optimizer`, made for the checkpoint's model, the state it had."""
    optimizer.load_state_dict(_state(checkpoint.path)["optimizer"])


def publish_model(gve: Gve, folder: Path) -> None:
    """Put the files of the finished model into `folder`, each whole or not at all, beside what it holds."""
    with whole_folder(folder / "model") as made:
        gve.save(made)
    for file in sorted((folder / "model").iterdir()):
        file.replace(folder / file.name)
    (folder / "model").rmdir()


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """A folder to write into that becomes `path` at the end, synced to disk, or never."""
    partial = path.with_name(f".partial-{path.name}")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    yield partial
    for file in partial.iterdir():
        _sync(file)
    _sync(partial)
    shutil.rmtree(path, ignore_errors=True)
    partial.rename(path)
    _sync(path.parent)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _finished(folder: Path) -> list[Path]:
    return sorted(folder.glob("epoch-*"))


def _state(path: Path) -> dict[str, Any]:
    state: dict[str, Any] = torch.load(path / STATE_FILE, weights_only=True)
    return state
