"""What is reached above chance, and intervals that hold what they promise."""

from math import sqrt

import numpy as np
import pytest
from reached_scores import made_scores

from eval.diagnosis.reach import ISOLATED, Reached, Scored, by_ability, near_misses, reached, shortfalls
from eval.uvrb.datasets import DATASETS


def test_chance_is_nothing_and_all_right_is_all() -> None:
    assert reached(Scored("CRB-S", 0.1, 0.1, 50)).share == pytest.approx(0)
    assert reached(Scored("CRB-S", 1.0, 0.1, 50)).share == pytest.approx(1)
    assert reached(Scored("CRB-S", 0.55, 0.1, 50)).share == pytest.approx(0.5)


def test_the_error_is_the_wider_of_interval_and_plus_four() -> None:
    all_right = reached(Scored("CRB-S", 1.0, 0.0, 6, (1.0, 1.0)))
    assert all_right.error == pytest.approx(sqrt(0.8 * 0.2 / 10))  # 8 of 10
    wide = reached(Scored("CRB-S", 0.5, 0.5, 1000, (0.3, 0.7)))
    assert wide.error == pytest.approx(0.4 / (2 * 1.959964) / 0.5)


def test_abilities_are_means_of_the_datasets_there_are() -> None:
    found = by_ability([Scored("CRB-S", 0.4, 0.0, 100), Scored("VDC-O", 0.6, 0.2, 100), Scored("MSRVTT", 0.3, 0, 9)])
    assert {name: part.share for name, part in found.items()} == {"CG": pytest.approx(0.3), "S": pytest.approx(0.45)}
    assert by_ability([Scored("CRB-S", 1.0, 1.0, 5), Scored("MSRVTT", 0.0, 0.1, 0)]) == {}
    assert set(ISOLATED) == {dataset.ability for dataset in DATASETS} == set(by_ability(made_scores()))


def test_near_misses_are_a_share_of_the_misses() -> None:
    rows = [Scored("CRB-S", 0.6, 0.0, 10, None, 0.6, 0.8), Scored("VDC-O", 1.0, 0.0, 10, None, 1.0, 1.0)]
    assert near_misses(rows) == {"S": pytest.approx(0.5)}


def test_shortfalls_sum_to_nothing_and_count_that_one_is_part_of_the_mean() -> None:
    own = {"a": Reached(0.2, 0.01), "b": Reached(0.5, 0.02), "c": Reached(0.8, 0.03)}
    found = shortfalls(own)
    assert sum(gap.mean for gap in found.values()) == pytest.approx(0)
    error = sqrt((2 / 3 * 0.01) ** 2 + (0.02 / 3) ** 2 + (0.03 / 3) ** 2)
    assert found["a"].mean == pytest.approx(0.3)
    assert found["a"].low == pytest.approx(0.3 - 1.959964 * error)
    assert all(gap.mean == 0 for gap in shortfalls(own, own).values())
    assert shortfalls(own, own)["a"].high == pytest.approx(1.959964 * sqrt(2) * error)


def test_the_interval_holds_the_truth_nineteen_times_in_twenty() -> None:
    """Models of known ability are drawn 1,000 times; a shortfall of each is outside its interval 5% of the time."""
    rng = np.random.default_rng(3)
    truth = dict(zip(ISOLATED, np.linspace(0.2, 0.8, len(ISOLATED)), strict=True))
    mean, missed, draws = np.mean(list(truth.values())), 0, 1000
    for _ in range(draws):
        rows = [
            Scored(dataset.name, float(rng.binomial(150, truth[dataset.ability])) / 150, 0.0, 150)
            for dataset in DATASETS
        ]
        for name, gap in shortfalls(by_ability(rows)).items():
            missed += not gap.low <= mean - truth[name] <= gap.high
    assert 0.03 < missed / (draws * len(ISOLATED)) < 0.06
