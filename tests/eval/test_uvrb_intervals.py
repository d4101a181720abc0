"""Intervals of abilities and averages: known variances, known weights."""

from dataclasses import replace

import numpy as np
import pytest
from made_uvrb import report, scores

from eval.uvrb.datasets import DATASETS, named
from eval.uvrb.intervals import AVERAGE, DATASET_AVERAGE, score_intervals


def test_one_dataset_has_the_interval_of_its_mean():
    base = scores(DATASETS[0], 0.5, queries=400)
    values = tuple(float(number % 4 == 0) for number in range(400))
    found = score_intervals(replace(report(()), datasets=(replace(base, query_scores=values),)))
    half = 1.96 * (0.25 * 0.75 / 400) ** 0.5
    assert found["CG"] == pytest.approx((0.25 - half, 0.25 + half), abs=0.006)
    assert found["CG"] == found["TXT"] == found[DATASET_AVERAGE]
    assert AVERAGE not in found


def test_a_mean_of_two_datasets_is_surer_than_either():
    pair = [replace(scores(each, 0.5, 200), query_scores=(0.0, 1.0) * 100) for each in named(["MSRVTT", "DiDeMo"])]
    low, high = score_intervals(replace(report(()), datasets=tuple(pair)))["CG"]
    assert (high - low) / 2 == pytest.approx(1.96 * (0.25 / 200 / 2) ** 0.5, rel=0.08)


def test_all_datasets_give_an_average_whose_interval_holds_it():
    found = report()
    intervals = score_intervals(found)
    low, high = intervals[AVERAGE]
    assert low < found.abilities.average < high
    assert intervals == score_intervals(found)
    assert intervals != score_intervals(replace(found, seed=7))


def test_scores_that_never_vary_have_no_width():
    same = [replace(each, query_scores=(1.0,) * len(each.query_ids)) for each in report().datasets]
    found = score_intervals(replace(report(), datasets=tuple(same)))
    assert np.ptp(list(found.values())) == pytest.approx(0, abs=1e-12)
