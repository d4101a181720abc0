"""Promotion: constructed scores, of which it is known who should win and how surely."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from eval.heldout import HeldOutReport, TaskScores
from eval.metrics import Estimate
from eval.promotion import PromotionRule, compare, explain
from eval.verdict import Split, Trial, judge
from shards.split import is_held_out

RULE = PromotionRule()


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


def test_the_same_model_differs_by_nothing_and_is_rejected() -> None:
    same = report(T2V=hits(30, 100), I2V=hits(15, 25))
    found = compare(same, same, RULE)
    assert found.difference == Estimate(0.0, 0.0, 0.0)
    assert found.score.mean == pytest.approx((0.3 + 0.6) / 2)
    assert found.score == found.champion_score
    assert not found.promoted
    assert compare(same, same, replace(RULE, min_gain=-0.01)).promoted  # where a tie is welcome


def test_a_clear_gain_is_promoted_and_must_exceed_the_least_gain() -> None:
    before, after = report(T2V=hits(30, 100)), report(T2V=hits(50, 100))
    found = compare(after, before, RULE)
    assert found.promoted
    assert found.difference.mean == pytest.approx(0.2)
    assert 0 < found.difference.low < 0.2 < found.difference.high < 0.3
    assert not compare(after, before, replace(RULE, min_gain=0.15)).promoted
    assert not compare(before, after, RULE).promoted


def test_a_better_mean_within_the_interval_is_rejected() -> None:
    """45 queries won and 40 lost: better by 5 points, but with a standard error of 9."""
    before, after = report(T2V=hits(40, 100)), report(T2V=hits(45, 100)[::-1])
    found = compare(after, before, RULE)
    assert found.difference.mean == pytest.approx(0.05)
    assert found.difference.low < 0 < found.difference.high
    assert not found.promoted
    # The pairing decides: the same two means with no query lost are a sure gain.
    assert compare(report(T2V=hits(45, 100)), before, RULE).promoted


def test_swapped_models_differ_by_the_opposite_and_a_repeat_by_the_same() -> None:
    rng = np.random.default_rng(3)
    one, other = (report(T2V=rng.random(60).tolist(), T2I=rng.random(30).tolist()) for _ in range(2))
    there, back = compare(one, other, RULE).difference, compare(other, one, RULE).difference
    assert (there.mean, there.low, there.high) == pytest.approx((-back.mean, -back.high, -back.low))
    assert compare(one, other, RULE) == compare(one, other, RULE)
    assert compare(one, other, replace(RULE, seed=1)).difference.low != there.low
    narrow = compare(one, other, replace(RULE, level=0.5)).difference
    assert there.low < narrow.low < narrow.high < there.high


def test_without_a_champion_chance_must_be_beaten() -> None:
    assert compare(report(0.1, T2V=hits(30, 100)), None, RULE).promoted
    assert not compare(report(0.1, T2V=hits(12, 100)), None, RULE).promoted
    found = compare(report(0.1, T2V=hits(30, 100)), None, replace(RULE, min_gain=0.5))  # that is for champions
    assert found.promoted
    assert found.difference.mean == pytest.approx(0.2)
    assert "10.0% by chance" in explain(found, RULE)


def test_small_tasks_are_left_out_unless_all_are_small() -> None:
    before = report(T2V=hits(30, 100), V2V=hits(0, 6))
    after = report(T2V=hits(30, 100), V2V=hits(6, 6))
    found = compare(after, before, RULE)
    assert [task.counted for task in found.tasks] == [True, False]
    assert found.difference.mean == 0
    assert found.enough_queries
    small = compare(report(V2V=hits(6, 6)), report(V2V=hits(0, 6)), RULE)
    assert small.promoted
    assert not small.enough_queries
    assert [task.counted for task in small.tasks] == [True]


def test_different_queries_cannot_be_compared() -> None:
    with pytest.raises(ValueError, match="same queries of T2V"):
        compare(report(T2V=hits(1, 20)), report(T2V=hits(1, 21)), RULE)


def test_a_champion_that_may_have_seen_the_held_out_videos_is_noted() -> None:
    scores = report(T2V=hits(30, 100))
    first = judge(Trial("r1", "m1", {}, Split(seed=1, val_share=0.3)), scores, None, RULE)
    again = judge(Trial("r2", "m2", {}, Split(seed=1, val_share=0.3)), scores, (first, scores), RULE)
    assert again.champion
    seen = sum(not is_held_out(f"v{number}", 0.3, 1) for number in range(100))
    assert again.champion.videos_maybe_trained_on == seen
    assert 0 < seen < 100
    assert f"{seen} of the 100 held-out videos" in again.notes[0]
    careful = replace(first, split=Split(seed=1, val_share=1.0))
    assert judge(again.trial, scores, (careful, scores), RULE).notes == ()
