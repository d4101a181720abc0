"""The seven tasks: quotas of table 7, shortage without repetition."""

from collections import Counter
from collections.abc import Sequence

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.errors import UsageError
from infra.stage import Drop, Row
from shards.records import TASKS, UVRD_THOUSANDS
from synth.tasks import Pairs, quotas, shortage


def clips(count: int) -> pa.Table:
    return pa.table({"key": [f"c{i:04d}" for i in range(count)]})


def made(stage: Pairs, count: int, released: Sequence[Row] = ()) -> tuple[list[Row], list[Drop]]:
    before = pa.Table.from_pylist(list(released), schema=pa.schema([("parent", pa.string()), ("task", pa.string())]))
    outcomes = list(stage.compute(clips(count), before))
    return [o for o in outcomes if isinstance(o, dict)], [o for o in outcomes if isinstance(o, Drop)]


def test_the_full_target_is_table_7() -> None:
    assert quotas(1_549_000, 0) == {task: thousands * 1000 for task, thousands in UVRD_THOUSANDS.items()}


@given(st.integers(1, 5000), st.integers(0, 5000))
def test_quotas_sum_to_the_target_in_ratio(target: int, count: int) -> None:
    wanted = quotas(target, count)
    assert sum(wanted.values()) == target
    for task, n in wanted.items():
        assert abs(n - target * UVRD_THOUSANDS[task] / 1549) < 1


@given(st.integers(0, 3000))
def test_without_a_target_nothing_is_short_and_nothing_left(count: int) -> None:
    wanted = quotas(0, count)
    assert max(wanted.values()) <= count
    assert wanted["T2V"] >= count - 1


def test_released_pairs_come_out_again_whatever_clips_are_new() -> None:
    """Twice the clips and the same target: the draw alone would replace half of them."""
    first, _ = made(Pairs(target_pairs=60), 40)
    drawn_anew, _ = made(Pairs(target_pairs=60), 80)
    again, _ = made(Pairs(target_pairs=60), 80, first)
    assert {pair["key"] for pair in first} == {pair["key"] for pair in again}
    assert {pair["key"] for pair in first} != {pair["key"] for pair in drawn_anew}


def test_released_pairs_come_out_again_when_clips_go() -> None:
    """Fewer clips have smaller quotas, but no shard is to lose a pair for that."""
    first, _ = made(Pairs(), 80)
    again, _ = made(Pairs(), 70, first)
    left = {pair["key"] for pair in first if pair["parent"] < "c0070"}
    assert {pair["key"] for pair in again} >= left
    assert {pair["key"] for pair in made(Pairs(), 70)[0]} < left


def test_pairs_follow_the_quotas_and_clips_are_accounted_for() -> None:
    pairs, over = made(Pairs(target_pairs=155), 60)
    assert Counter(pair["task"] for pair in pairs) == Counter(quotas(155, 60)) - Counter({"T2V": 28})
    assert shortage(quotas(155, 60), Counter(pair["task"] for pair in pairs)) == {"T2V": 28}
    assert len({pair["key"] for pair in pairs}) == len(pairs)
    assert {pair["parent"] for pair in pairs} | {drop.key for drop in over} == {f"c{i:04d}" for i in range(60)}
    few, over = made(Pairs(target_pairs=15), 60)
    assert len({pair["parent"] for pair in few}) + len(over) == 60


def test_a_clip_keeps_its_pairs_when_others_come() -> None:
    before, _ = made(Pairs(), 20)
    after, _ = made(Pairs(), 40)
    assert {p["key"] for p in before if p["task"] == "T2V"} <= {p["key"] for p in after}


@given(
    st.fixed_dictionaries({task: st.floats(0.1, 2000) for task in TASKS}), st.integers(0, 5000), st.integers(0, 3000)
)
def test_weights_of_the_recipe_take_the_place_of_table_7(weights: dict[str, float], target: int, count: int) -> None:
    wanted = Pairs(target_pairs=target, weights=weights).quotas(count)
    whole = sum(weights.values())
    if target:
        assert sum(wanted.values()) == target
        assert all(abs(n - target * weights[task] / whole) < 1 for task, n in wanted.items())
    else:
        assert max(wanted.values()) <= count


def test_tasks_without_a_weight_keep_that_of_table_7() -> None:
    assert Pairs().quotas(500) == quotas(0, 500)
    assert Pairs(target_pairs=1549 + 300, weights={"TI2V": 389}).quotas(0) == {**UVRD_THOUSANDS, "TI2V": 389}


@pytest.mark.parametrize(
    ("weights", "told"), [({"T2X": 1.0}, "T2X"), ({"T2V": 0.0}, "above 0"), ({"T2V": 1e999}, "above 0")]
)
def test_weights_that_are_none_are_refused(weights: dict[str, float], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        Pairs(weights=weights)
