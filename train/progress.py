"""What a person sees while a model trains: a live bar on a terminal, an occasional line elsewhere."""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from infra.progress import Watcher

LINE_EVERY_S = 10.0  # without a terminal
MEMORY = 0.95  # of the running mean that is shown, per step


class StepProgress:
    """Progress of a training run's steps with the time left, loss and speed; writes to standard error."""

    def __init__(self, steps: int, done: int, watcher: Watcher | None = None) -> None:
        self.watcher = watcher
        self.console = Console(stderr=True, highlight=False)
        self.bars = Progress(
            TextColumn("train"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=self.console,
        )
        self.task = self.bars.add_task("train", total=steps, completed=done, note="")
        self.steps, self.done, self.fresh, self.pairs, self.loss = steps, done, 0, 0, 0.0
        self.told = set[str]()
        self.began = self.last_line = time.monotonic()

    def __enter__(self) -> StepProgress:
        if self.console.is_terminal:
            self.bars.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.bars.stop()

    def warn(self, bad: Mapping[str, str]) -> None:
        """Say, once for each reason, what was wrong with the first sample that was left out for it."""
        for reason in sorted(bad.keys() - self.told):
            self.told.add(reason)
            self.console.print(f"train: bad samples are left out and counted ({reason}), the first: {bad[reason]}")

    def mining(self, task: str, done: int, pairs: int) -> None:
        """Of the pairs of `task` among which hard negatives are mined, so many are embedded."""
        note = f"mining hard negatives of {task}: {done}/{pairs} pairs"
        self.bars.update(self.task, note=note)
        if self.watcher:
            self.watcher.show("train", self.done, self.steps, note)
        now = time.monotonic()
        if not self.console.is_terminal and now - self.last_line >= LINE_EVERY_S:
            self.last_line = now
            self.console.print(f"train: {note}")

    def advance(self, entry: dict[str, Any]) -> None:
        """One more step is done; `entry` is its line of the log."""
        self.done, self.fresh, self.pairs = self.done + 1, self.fresh + 1, self.pairs + entry["pairs"]
        self.loss = entry["loss"] if self.fresh == 1 else MEMORY * self.loss + (1 - MEMORY) * entry["loss"]
        now = time.monotonic()
        elapsed = now - self.began
        note = f"loss {self.loss:.2f}, {self.pairs / elapsed:.0f} pairs/s"
        self.bars.update(self.task, advance=1, note=note)
        left = elapsed / self.fresh * (self.steps - self.done)
        if self.watcher:
            self.watcher.show("train", self.done, self.steps, f"{note}, about {left:.0f} s left")
        if not self.console.is_terminal and (now - self.last_line >= LINE_EVERY_S or self.done == self.steps):
            self.last_line = now
            self.console.print(f"train: step {self.done}/{self.steps}, {note}, about {left:.0f} s left")
