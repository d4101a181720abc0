"""Held-out reports of models that never were, with the scores a test wants."""

from collections.abc import Sequence

import numpy as np

from eval.heldout import HeldOutReport, TaskScores


def report(chance: float = 0.01, **tasks: Sequence[float]) -> HeldOutReport:
    """A report in which each task has these values of recall@1, one a query."""
    return HeldOutReport("r", "val", 42, tuple(task_scores(name, values, chance) for name, values in tasks.items()))


def task_scores(task: str, values: Sequence[float], chance: float) -> TaskScores:
    count, mean = len(values), float(np.mean(values))
    return TaskScores(
        task=task,
        queries=count,
        corpus=round(1 / chance),
        positives=1.0,
        recall={1: mean},
        hit={1: mean},
        chance_recall={1: chance},
        chance_hit={1: chance},
        recall_1_interval=(0.0, 1.0),
        query_ids=tuple(f"q{number:04d}" for number in range(count)),
        query_recall_1=tuple(values),
        video_ids=frozenset(f"v{number}" for number in range(count)),
    )


def hits(right: int, count: int) -> list[float]:
    return [1.0] * right + [0.0] * (count - right)
