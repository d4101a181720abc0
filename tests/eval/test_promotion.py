"""Promotion: constructed scores, of which it is known who should win and how surely."""

from dataclasses import replace

import numpy as np
import pytest
from made_scores import hits, report

from eval.metrics import Estimate
from eval.promotion import PromotionRule, compare, explain

RULE = PromotionRule()


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
