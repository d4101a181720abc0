"""Two models compared: planted differences are found, none where there is none, and Holm's correction by hand."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_report import made_report

from eval.uvrb.abilities import ability_scores
from eval.uvrb.compare import compare, holm
from eval.uvrb.datasets import DATASETS
from infra.errors import UsageError

NAMES = [dataset.name for dataset in DATASETS]


def random_values(seed: int, queries: int = 60, share: float = 0.5) -> dict[str, list[float]]:
    rng = np.random.default_rng(seed)
    return {name: (rng.random(queries) < share).astype(float).tolist() for name in NAMES}


def test_what_is_better_on_one_dataset_is_told_apart_from_what_is_not() -> None:
    before = random_values(1)
    after = before | {"CRB-T": [1.0] * 50 + before["CRB-T"][50:], "MSRVTT": [1.0, *before["MSRVTT"][1:]]}
    found = compare(made_report(after, "after"), made_report(before, "before"), resamples=300, flips=3000)
    by_name = {one.name: one for one in found.datasets}
    better = by_name["CRB-T"]
    assert better.difference.mean == pytest.approx(np.mean(after["CRB-T"]) - np.mean(before["CRB-T"]))
    assert 0 < better.difference.low < better.difference.mean < better.difference.high
    assert better.p_holm is not None
    assert better.p <= better.p_holm < 0.05
    assert by_name["CRB-S"].difference.mean == 0
    assert by_name["CRB-S"].p == by_name["MSRVTT"].p == 1  # no sign, or one of two
    assert [one.name for one in found.datasets] == NAMES


def test_abilities_and_averages_are_those_of_the_scores() -> None:
    first, second = made_report(random_values(1)), made_report(random_values(2, share=0.4))
    found = compare(first, second, resamples=100, flips=100)
    own, rival = ability_scores(first.scores), ability_scores(second.scores)
    assert {one.name: one.first for one in found.abilities} == pytest.approx(own.abilities)
    assert {one.name: one.second for one in found.abilities} == pytest.approx(rival.abilities)
    averages = {"dataset average": own.dataset_average, "ability average": own.average}
    assert {one.name: one.first for one in found.averages} == pytest.approx(averages)
    assert all(one.p_holm is None for one in (*found.abilities, *found.averages))
    assert compare(first, second, resamples=100, flips=100) == found


def test_of_two_like_models_few_seem_different() -> None:
    """p-values of models that only differ by chance are uniform: of 100, some 5 lie under 0.05."""
    p_values = [
        compare(
            *(made_report({"MSRVTT": random_values(seed)["MSRVTT"]}) for seed in (n, n + 1000)), resamples=2, flips=200
        ).datasets
        for n in range(100)
    ]
    assert np.mean([one.p <= 0.05 for (one,) in p_values]) <= 0.12


def test_the_sign_flip_test_equals_all_flips() -> None:
    """Of four differences 1, 1, 1, 1 of six queries, 2 of 16 flips are as far from 0."""
    first, second = ({"MSRVTT": values} for values in ([1, 1, 1, 1, 0, 1], [0, 0, 0, 0, 0, 1]))
    flips = [abs(sum(signs)) >= 4 for signs in product((-1, 1), repeat=4)]
    [one] = compare(made_report(first), made_report(second), resamples=10, flips=20_000).datasets
    assert one.p == pytest.approx(np.mean(flips), abs=0.01)


def test_what_only_one_of_them_has_is_left_out() -> None:
    values = random_values(1)
    some = {name: values[name] for name in NAMES[:4]}
    found = compare(made_report(values), made_report(some), resamples=10, flips=10)
    assert [one.name for one in found.datasets] == NAMES[:4]
    assert found.left_out == tuple(NAMES[4:])
    assert [one.name for one in found.averages] == ["mean of 4 datasets"]


def test_other_queries_cannot_be_compared() -> None:
    with pytest.raises(UsageError, match="no common dataset"):
        compare(made_report({"MSRVTT": [1]}), made_report({"VDC-D": [1]}))
    with pytest.raises(UsageError, match="not asked the same queries of MSRVTT"):
        compare(made_report({"MSRVTT": [1, 0]}), made_report({"MSRVTT": [1]}))


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.6, 0.7]) == [1, 1]


@given(st.lists(st.floats(0, 1), max_size=16))
def test_holm_keeps_the_order_and_lowers_nothing(p_values: list[float]) -> None:
    corrected = holm(p_values)
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    assert sorted(corrected) == [corrected[number] for number in order]
    assert all(before <= after <= 1 for before, after in zip(p_values, corrected, strict=True))
