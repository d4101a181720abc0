"""What a training run writes down as it goes on: lines of JSON to read back, and TensorBoard's events to watch."""

from __future__ import annotations

import json
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

from torch.utils.tensorboard import SummaryWriter

from infra.faults import writing
from infra.store import Store

STEPS_FILE = "steps.jsonl"
EPOCHS_FILE = "epochs.jsonl"
EVENTS_FOLDER = "tensorboard"
BY_TASK = ("loss", "positive_score", "negative_gap", "masked_share")  # else a curve would jump from task to task


class RunLog:
    """The logs of a run in its folder; what a killed run logged after its last checkpoint is written anew."""

    def __init__(self, out: Path, steps: int, epochs: int) -> None:
        """`steps` are done, and `epochs` were begun. Raises DiskFull."""
        self._out = out
        self._files = {
            STEPS_FILE: self._cut(STEPS_FILE, "step", steps),
            EPOCHS_FILE: self._cut(EPOCHS_FILE, "epoch", epochs - 1),
        }
        self._events = SummaryWriter(str(out / EVENTS_FOLDER), purge_step=steps + 1, flush_secs=10)

    def __enter__(self) -> RunLog:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._events.close()
        for file in self._files.values():
            file.close()

    def step(self, entry: dict[str, Any]) -> None:
        """One more step is done."""
        self._line(STEPS_FILE, entry)
        task, number = entry["task"], entry["step"]
        for name, value in entry.items():
            if isinstance(value, float):
                self._events.add_scalar(f"{name}/{task}" if name in BY_TASK else f"run/{name}", value, number)

    def epoch(self, entry: dict[str, Any], step: int) -> None:
        """An epoch begins with this plan, after `step` steps."""
        self._line(EPOCHS_FILE, entry)
        for name in ("relevance", "shares", "passes"):
            for task, value in entry[name].items():
                self._events.add_scalar(f"{name}/{task}", value, step)

    def _cut(self, name: str, counter: str, last: int) -> TextIO:
        kept = "".join(json.dumps(e) + "\n" for e in read_log(self._out / name) if e[counter] <= last)
        with writing(str(self._out)):
            Store(str(self._out)).write(name, kept.encode())
            return (self._out / name).open("a")

    def _line(self, name: str, entry: dict[str, Any]) -> None:
        with writing(str(self._out)):
            self._files[name].write(json.dumps(entry) + "\n")
            self._files[name].flush()


def read_log(path: Path) -> list[dict[str, Any]]:
    """The entries logged so far, in order."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
