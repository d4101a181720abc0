"""Whether a model takes the champion's place: a rule on the interval of their difference, never on a bare one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import Field

from eval.heldout import HeldOutReport, TaskScores
from eval.metrics import Estimate, Values, macro_average
from infra.recipe import Settings


@dataclass(frozen=True)
class PromotionRule(Settings):
    """When a model becomes the champion: the lower end of the interval of its gain must exceed `min_gain`.

    A task with few held-out queries would count as much in the average as one with many, and its
    interval says too little: 6 right of 6 have one without any width. With 20, one query moves the
    task by 5 points and 20 right of 20 still mean at least 86% (95% confidence, 0.05^(1/20)).
    """

    min_gain: float = 0.0  # in mean R@1, a share between 0 and 1
    level: Annotated[float, Field(gt=0, lt=1)] = 0.95
    resamples: Annotated[int, Field(ge=1)] = 2000
    seed: int = 42
    min_queries: int = 20  # tasks with fewer are left out, unless all have fewer


@dataclass(frozen=True)
class TaskComparison:
    """R@1 of one task: the model's, the champion's on the same queries, and what chance gives."""

    task: str
    queries: int
    counted: bool  # whether the task is part of the average
    recall_1: float
    champion_recall_1: float | None
    chance_recall_1: float


@dataclass(frozen=True)
class Comparison:
    """What the rule says. Scores are R@1 averaged over the counted tasks, between 0 and 1."""

    promoted: bool
    score: Estimate
    champion_score: Estimate | None
    chance: float
    difference: Estimate  # score minus the champion's on the same queries, or minus chance without a champion
    needed: float  # what the lower end of the difference has to exceed
    enough_queries: bool  # whether any task had `min_queries`; if not, all are counted
    tasks: tuple[TaskComparison, ...]


def compare(candidate: HeldOutReport, champion: HeldOutReport | None, rule: PromotionRule) -> Comparison:
    """Judge `candidate` against `champion`, both scored on the same split of the same release.

    The score is the macro average of the tasks' R@1, as UVRB averages abilities; the interval of the
    difference is a paired bootstrap over queries, stratified by task (Efron, 1979), in which the
    queries of one source video count as independent. Without a champion the candidate must beat
    chance. Raises ValueError when the two were not asked the same queries.
    """
    rivals = [None] * len(candidate.tasks) if champion is None else list(champion.tasks)
    pairs = list(zip(candidate.tasks, rivals, strict=True))
    enough = any(own.queries >= rule.min_queries for own in candidate.tasks)
    counted = [(own, rival) for own, rival in pairs if own.queries >= rule.min_queries or not enough]
    difference = _macro([_gain(own, rival) for own, rival in counted], rule)
    rival_scores = [_per_query(rival) for _, rival in counted if rival]
    score = _macro([_per_query(own) for own, _ in counted], rule)
    champion_score = _macro(rival_scores, rule) if champion else None
    chance = float(np.mean([own.chance_recall[1] for own, _ in counted]))
    needed = rule.min_gain if champion else 0.0
    names = [own.task for own, _ in counted]
    return Comparison(
        promoted=difference.low > needed,
        score=score,
        champion_score=champion_score,
        chance=chance,
        difference=difference,
        needed=needed,
        enough_queries=enough,
        tasks=tuple(_task(own, rival, own.task in names) for own, rival in pairs),
    )


def _per_query(scores: TaskScores) -> Values:
    return np.array(scores.query_recall_1)


def _gain(own: TaskScores, rival: TaskScores | None) -> Values:
    """The candidate's recall@1 on each query of a task, minus the champion's or what chance gives."""
    if rival is None:
        return _per_query(own) - own.chance_recall[1]
    if (own.task, own.query_ids) != (rival.task, rival.query_ids):
        raise ValueError(f"the two models were not asked the same queries of {own.task}")
    return _per_query(own) - _per_query(rival)


def _macro(groups: Sequence[Values], rule: PromotionRule) -> Estimate:
    return macro_average(groups, rule.seed, rule.resamples, rule.level)


def _task(own: TaskScores, rival: TaskScores | None, counted: bool) -> TaskComparison:
    return TaskComparison(
        task=own.task,
        queries=own.queries,
        counted=counted,
        recall_1=own.recall[1],
        champion_recall_1=rival.recall[1] if rival else None,
        chance_recall_1=own.chance_recall[1],
    )


def explain(found: Comparison, rule: PromotionRule) -> str:
    """The outcome in one sentence."""
    names = ", ".join(task.task for task in found.tasks if task.counted)
    rival = f"{found.chance:.1%} by chance (there is no champion)"
    if found.champion_score:
        rival = f"the champion's {found.champion_score.mean:.1%}"
    return (
        f"{'Promoted' if found.promoted else 'Rejected'}: mean R@1 over {names} is {found.score.mean:.1%} against "
        f"{rival}, a difference of {points(found.difference, rule.level)} whose lower end is "
        f"{'' if found.promoted else 'not '}above {100 * found.needed:g}."
    )


def points(difference: Estimate, level: float) -> str:
    """A difference of shares in percentage points, with its interval."""
    mean, low, high = (f"{100 * value:+.1f}" for value in (difference.mean, difference.low, difference.high))
    return f"{mean} points ({100 * level:g}% interval {low} to {high})"
