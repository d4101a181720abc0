"""Shares finished clips out among the seven tasks, in the ratios of UVRD or by weights of the recipe's own.

T2T T2I T2V TI2V TV2V I2V V2V (arXiv 2510.27571, section 3.2 and table 7). Every clip can give one
pair to each task; a quota that the clips cannot fill is a shortage, never filled by repetition.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import floor, inf
from typing import ClassVar

import pyarrow as pa

from infra.errors import UsageError
from infra.stage import Drop, Row, TableStage
from shards.records import TASKS, UVRD_THOUSANDS
from shards.split import rank


def quotas(target_pairs: int, clips: int, weights: Mapping[str, float] = UVRD_THOUSANDS) -> dict[str, int]:
    """Pairs wanted of each task, in the ratios of `weights` (table 7), summing to `target_pairs`.

    With `target_pairs` 0: as many as `clips` clips can give without a shortage. Remainders go to the
    tasks with the largest ones (Hamilton's method).
    """
    whole = sum(weights.values())
    total = target_pairs or int(clips * whole // max(weights.values()))
    exact = {task: total * weights[task] / whole for task in TASKS}
    wanted = {task: floor(share) for task, share in exact.items()}
    by_remainder = sorted(TASKS, key=lambda task: (wanted[task] - exact[task], task))
    for task in by_remainder[: total - sum(wanted.values())]:
        wanted[task] += 1
    return wanted


def shortage(wanted: Mapping[str, int], made: Mapping[str, int]) -> dict[str, int]:
    """Pairs missing of each task that has too few."""
    return {task: n - made.get(task, 0) for task, n in wanted.items() if made.get(task, 0) < n}


@dataclass(frozen=True)
class Pairs(TableStage):
    """Draws the clips that give a pair to every task; a clip that gives none is over quota.

    Without a target, a pair that was released is drawn again even when there have come to be fewer clips. It reads
    nothing of a clip but its key, so that a million of them fit; `synth.sides` writes the pairs.
    """

    name: ClassVar[str] = "pairs"
    version: ClassVar[int] = 3
    remembers: ClassVar[tuple[str, ...] | None] = ("task",)
    schema: ClassVar[pa.Schema] = pa.schema([("task", pa.string()), ("clip_id", pa.string())])

    target_pairs: int = 0  # 0: as many as the clips give at these ratios
    weights: dict[str, float] = field(default_factory=dict)  # of single tasks where not table 7's, as {TI2V = 120}
    seed: int = 42

    def __post_init__(self) -> None:
        if unknown := self.weights.keys() - {*TASKS}:
            raise UsageError(f"recipe: pairs.weights names tasks {sorted(unknown)}; there are {', '.join(TASKS)}")
        if not all(0 < weight < inf for weight in self.weights.values()):
            raise UsageError("recipe: every weight of pairs.weights is a number above 0")

    @property
    def all_weights(self) -> dict[str, float]:
        """The weight of every task; those of table 7 are its pairs in thousands."""
        return {task: float(self.weights.get(task, thousands)) for task, thousands in UVRD_THOUSANDS.items()}

    def quotas(self, clips: int) -> dict[str, int]:
        """Pairs wanted of each task from so many clips."""
        return quotas(self.target_pairs, clips, self.all_weights)

    def compute(self, rows: pa.Table, released: pa.Table) -> Iterable[Row | Drop]:
        """Task and clip of every pair, those released before first, and the clips that no task took."""
        before = set(zip(released["task"].to_pylist(), released["parent"].to_pylist(), strict=True))
        clips: list[str] = rows["key"].to_pylist()
        used: set[str] = set()
        for task, wanted in self.quotas(len(clips)).items():
            order = sorted(clips, key=lambda key: ((task, key) not in before, rank(self.seed, task, key), key))
            released_before = 0 if self.target_pairs else sum((task, key) in before for key in clips)
            for clip in order[: max(wanted, released_before)]:
                used.add(clip)
                yield {"key": drawn_id(task, clip), "parent": clip, "task": task, "clip_id": clip}
        for clip in clips:
            if clip not in used:
                yield Drop(clip, "over_quota", {"target_pairs": self.target_pairs})


def drawn_id(task: str, clip_id: str) -> str:
    """The id of a clip's pair of a task before its sides are written."""
    return hashlib.sha256(f"{task}\n{clip_id}".encode()).hexdigest()[:24]
