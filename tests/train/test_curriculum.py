"""The curriculum's schedules are the paper's, to the digit, and its plans keep what they promise."""

import math
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.errors import UsageError
from shards.records import TASKS
from train.curriculum import bounded_shares, plan_epoch, sigma_of, wanted_shares, whole_steps
from train.settings import CurriculumSettings

R = {"T2T": 0.8, "T2V": 0.5, "V2V": 0.9}
BATCHES = {"T2T": 100, "T2V": 800, "V2V": 100}
PYRAMID = CurriculumSettings(schedule="pyramid")
UNCAPPED = replace(PYRAMID, max_passes=1000.0)


def test_sigma_goes_from_a_tenth_to_one_in_equal_steps() -> None:
    assert [sigma_of(epoch, 3, 0.1, 1.0) for epoch in range(3)] == pytest.approx([0.1, 0.55, 1.0])
    assert sigma_of(0, 1, 0.1, 1.0) == 0.1


def test_the_pyramid_weighs_tasks_by_the_exponential_of_their_relevance() -> None:
    """exp(8) : exp(5) : exp(9) at sigma 0.1 = 0.265 : 0.013 : 0.721."""
    shares = wanted_shares(PYRAMID, R, BATCHES, 0.1)
    total = math.exp(8) + math.exp(5) + math.exp(9)
    assert shares == pytest.approx({"T2T": math.exp(8) / total, "T2V": math.exp(5) / total, "V2V": math.exp(9) / total})
    assert shares["T2V"] == pytest.approx(0.01321, abs=1e-5)


def test_the_baselines() -> None:
    def shares(schedule: str) -> dict[str, float]:
        return wanted_shares(CurriculumSettings(schedule=schedule), R, BATCHES, 0.5)  # type: ignore[arg-type]

    assert shares("uniform") == pytest.approx(dict.fromkeys(R, 1 / 3))
    assert shares("proportional") == pytest.approx({"T2T": 0.1, "T2V": 0.8, "V2V": 0.1})
    total = sum(math.exp(-r / 0.5) for r in R.values())
    assert shares("reversed") == pytest.approx({task: math.exp(-r / 0.5) / total for task, r in R.items()})


def test_the_plan_of_an_epoch_caps_the_passes_and_gives_the_rest_to_the_others() -> None:
    """Of 1000 steps V2V would get 721 and T2T 265, at most two passes are 200 each: T2V, wanting 13, gets 600."""
    plan = plan_epoch(replace(PYRAMID, max_passes=2.0), R, BATCHES, 0, 3)
    assert plan.steps == {"T2T": 200, "T2V": 600, "V2V": 200}
    assert plan.sigma == 0.1
    assert plan_epoch(UNCAPPED, R, BATCHES, 0, 3).steps == {"T2T": 265, "T2V": 13, "V2V": 722}


def test_without_probing_an_epoch_is_one_pass_over_everything() -> None:
    plan = plan_epoch(CurriculumSettings(schedule="proportional"), {}, BATCHES, 4, 9)
    assert plan.steps == BATCHES


task_batches = st.dictionaries(st.sampled_from(TASKS), st.integers(1, 500), min_size=1)


@given(task_batches, st.data(), st.floats(0.001, 2), st.floats(1, 20))
def test_every_plan_has_as_many_steps_as_batches_within_the_cap_and_each_task_one(
    batches: dict[str, int], data: st.DataObject, sigma: float, most: float
) -> None:
    relevance = {task: data.draw(st.floats(-1, 1)) for task in batches}
    settings = replace(PYRAMID, first_sigma=sigma, max_passes=most)
    plan = plan_epoch(settings, relevance, batches, 0, 2)
    steps = sum(batches.values())
    assert sum(plan.steps.values()) == steps
    for task, count in batches.items():
        assert 1 <= plan.steps[task] <= most * count + 1
        assert abs(plan.steps[task] / steps - plan.shares[task]) <= 1 / steps + 1e-9  # realised, of the planned
    assert Counter(plan.order(7, 3)) == plan.steps


@given(task_batches, st.data())
def test_shares_between_their_bounds_keep_the_wanted_ratio(batches: dict[str, int], data: st.DataObject) -> None:
    wanted = {task: data.draw(st.floats(0.01, 1)) for task in batches}
    n = len(batches)
    lowest, highest = dict.fromkeys(batches, 0.2 / n), dict.fromkeys(batches, 2.0 / n)
    shares = bounded_shares(wanted, lowest, highest)
    assert sum(shares.values()) == pytest.approx(1)
    free = {task: s / wanted[task] for task, s in shares.items() if 0.2 / n + 1e-6 < s < 2.0 / n - 1e-6}
    assert max(free.values(), default=1) == pytest.approx(min(free.values(), default=1))


def test_remainders_are_given_to_the_largest_and_of_equal_ones_to_the_first_by_name() -> None:
    assert whole_steps({"b": 0.25, "a": 0.25, "c": 0.5}, 2) == {"a": 1, "b": 0, "c": 1}
    assert whole_steps({"a": 0.29, "b": 0.71}, 10) == {"a": 3, "b": 7}


def test_the_order_of_steps_is_uniform_over_epochs_and_depends_on_the_seed() -> None:
    """The place of the only V2V step among 10 is uniform: chi-square over 2,000 epochs, 9 degrees of freedom."""
    plan = plan_epoch(CurriculumSettings(schedule="proportional"), {}, {"T2V": 9, "V2V": 1}, 0, 1)
    places = Counter(plan.order(0, epoch).index("V2V") for epoch in range(2000))
    assert sum((places[i] - 200) ** 2 / 200 for i in range(10)) < 27.9  # p = 0.001
    assert plan.order(0, 5) == plan.order(0, 5)
    assert [plan.order(0, epoch) for epoch in range(9)] != [plan.order(1, epoch) for epoch in range(9)]


@pytest.mark.parametrize("wrong", [{"max_passes": 0.5}, {"first_sigma": 0.0}, {"probes": 0}])
def test_settings_that_cannot_be_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError, match=r"train\.curriculum"):
        CurriculumSettings(**wrong)  # type: ignore[arg-type]
