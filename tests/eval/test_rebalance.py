"""Shares that grow: the sum stays, bounds hold, and nothing moves further than was wished for."""

from math import ceil, log10

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.diagnosis.rebalance import rebalanced
from eval.diagnosis.rules import TABLE_BOUNDS, WEIGHTS
from shards.records import TASKS, UVRD_THOUSANDS

BOUNDS = TABLE_BOUNDS[WEIGHTS]
weights = st.fixed_dictionaries({task: st.floats(1, 1000) for task in TASKS})
growths = st.dictionaries(st.sampled_from(TASKS), st.floats(0, 1))


def step(before: dict[str, float]) -> float:
    """What rounding may move."""
    return 1 / 10.0 ** max(0, ceil(3 - log10(sum(before.values())) - 1e-6))


@given(weights, growths)
def test_the_sum_stays_and_bounds_hold(before: dict[str, float], growth: dict[str, float]) -> None:
    after = rebalanced(before, growth, BOUNDS)
    whole, most = sum(before.values()), max(growth.values(), default=0.0)
    assert sum(after.values()) == pytest.approx(whole, abs=step(before))
    for task in TASKS:
        low, high = (bound * whole for bound in BOUNDS[task])
        slack = 1.01 * step(before)
        assert min(low, before[task]) - slack <= after[task] <= max(high, before[task]) + slack
        assert before[task] / (1 + most) - slack <= after[task] <= before[task] * (1 + most) + slack


@given(weights, st.sampled_from(TASKS), st.floats(0.01, 1))
def test_what_grows_alone_does_not_shrink_and_nothing_else_grows(
    before: dict[str, float], task: str, growth: float
) -> None:
    after = rebalanced(before, {task: growth}, BOUNDS)
    slack = 1.01 * step(before)
    assert after[task] >= before[task] - slack
    assert all(after[other] <= before[other] + slack for other in TASKS if other != task)


def test_without_a_wish_nothing_is_even_rounded() -> None:
    odd = dict.fromkeys(TASKS, 1 / 7)
    assert rebalanced(odd, {}, BOUNDS) == rebalanced(odd, {"T2V": 0.0}, BOUNDS) == odd


def test_a_worked_example() -> None:
    """TV2V grows by a quarter: 43.75 of 1,557.75, which is 43.5 of 1,549; remainders decide."""
    before = {task: float(part) for task, part in UVRD_THOUSANDS.items()}
    after = rebalanced(before, {"TV2V": 0.25}, BOUNDS)
    assert after == {"T2T": 99, "T2I": 209, "T2V": 874, "TI2V": 88, "TV2V": 44, "I2V": 199, "V2V": 36}
    assert sum(after.values()) == 1549


def test_what_has_no_bounds_keeps_its_weight() -> None:
    after = rebalanced({"a": 0.5, "b": 0.3, "c": 0.2}, {"a": 0.5}, {"a": (0, 1), "b": (0, 1)})
    assert after == {"a": 0.571, "b": 0.229, "c": 0.2}
