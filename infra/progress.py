"""What a person sees while stages run: a live bar on a terminal, an occasional line elsewhere."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import (
    Progress as Bars,
)

from infra.counts import Counts

LINE_EVERY_S = 10.0  # without a terminal


def summary(counts: Counts) -> str:
    """One line on where a stage's rows went."""
    parts = [f"{counts.in_} in", f"{counts.out} out"]
    parts += [f"{n} {word}" for word in ("dropped", "quarantined", "pending") if (n := getattr(counts, word))]
    return ", ".join(parts)


class Watcher(Protocol):
    """Shows progress somewhere else as well."""

    def show(self, name: str, done: float, total: float, note: str = "") -> None:
        """`done` of `total` rows of the stage `name` are settled."""
        ...


class Progress:
    """Progress of the stages of one run, with an estimate of the time left; writes to standard error."""

    def __init__(self, watcher: Watcher | None = None) -> None:
        self.watcher = watcher
        self.console = Console(stderr=True, highlight=False)
        self.live = self.console.is_terminal
        columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
        self.bars = Bars(
            TextColumn("{task.description:>12}"), *columns, TextColumn("{task.fields[note]}"), console=self.console
        )
        self.last_line = time.monotonic()  # nothing is known of the time left before that

    def __enter__(self) -> Progress:
        if self.live:
            self.bars.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.bars.stop()

    def begin(self, name: str, total: int, done: int, gpus: float = 0.0) -> None:
        """A stage begins with `done` of its `total` input rows already settled; `gpus` work for it, if known."""
        self.task = self.bars.add_task(name, total=total, completed=done, note="")
        self.began, self.fresh, self.bad, self.tokens, self.gpus = time.monotonic(), 0, 0, 0, gpus
        if self.watcher:
            self.watcher.show(name, done, total)

    def advance(self, name: str, rows: int, quarantined: int, tokens: int = 0) -> None:
        """`rows` more input rows are settled, `quarantined` of them could not be done; models took `tokens`."""
        self.fresh += rows
        self.bad += quarantined
        self.tokens += tokens
        note = f"[red]{self.bad} quarantined" if self.bad else ""
        self.bars.update(self.task, advance=rows, note=note)
        state = self.bars.tasks[-1]
        left = (time.monotonic() - self.began) / self.fresh * (state.remaining or 0)
        words = f"{state.completed:.0f}/{state.total:.0f} rows, about {left:.0f} s left{self._rates()}"
        if self.watcher:
            self.watcher.show(name, state.completed, state.total or 0, words)
        if not self.live and time.monotonic() - self.last_line >= LINE_EVERY_S:
            self.last_line = time.monotonic()
            self.console.print(f"{name}: {words}")

    def end(self, counts: Counts) -> None:
        """The stage is done."""
        words = summary(counts) + self._rates()
        self.bars.update(self.task, completed=counts.in_, note=words)
        if self.watcher:
            self.watcher.show(counts.name, counts.in_ - counts.pending, counts.in_, words)
        if not self.live:
            self.console.print(f"{counts.name}: {words}")

    def _rates(self) -> str:
        """How fast a stage that asks models went in this run."""
        if not self.tokens:
            return ""
        seconds = time.monotonic() - self.began
        per_gpu = f"{self.fresh / seconds / self.gpus:.2f} rows/GPU/s, " if self.gpus else ""
        return f"; {self.fresh / seconds:.2f} rows/s, {per_gpu}{self.tokens / seconds:.0f} tokens/s"
