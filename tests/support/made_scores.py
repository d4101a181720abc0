"""Held-out reports of models that never were, with the scores a test wants."""

from collections.abc import Sequence
from dataclasses import replace

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
        hit_1_small=None,
        chance_recall={1: chance},
        chance_hit={1: chance},
        recall_1_interval=(0.0, 1.0),
        query_ids=tuple(f"q{number:04d}" for number in range(count)),
        query_recall_1=tuple(values),
        video_ids=frozenset(f"v{number}" for number in range(count)),
    )


def sure(made: HeldOutReport, half: float = 0.05) -> HeldOutReport:
    """A report with intervals as narrow as told, and with all that is written of one."""
    tasks = []
    for task in made.tasks:
        mean, ks = task.recall[1], (1, 5, 10)
        narrow = replace(task, recall_1_interval=(mean - half, mean + half))
        chance = dict.fromkeys(ks, task.chance_recall[1])
        shares = dict.fromkeys(ks, mean)
        tasks.append(replace(narrow, recall=shares, hit=shares, chance_recall=chance, chance_hit=chance))
    return replace(made, tasks=tuple(tasks))


def hits(right: int, count: int) -> list[float]:
    return [1.0] * right + [0.0] * (count - right)
