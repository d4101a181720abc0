"""Two models on the same queries of UVRB: by how much they differ, and whether that can be chance.

Pairs of answers are compared query by query, so what makes a query hard for both counts for neither. Intervals are
of a paired bootstrap over the queries of each dataset (Efron, 1979). p-values are of a sign-flip test (Fisher, 1935):
were the two alike, each query's difference would have either sign with equal probability. Those of the datasets are
corrected for how many there are (Holm, 1979).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from eval.metrics import Estimate, Values
from eval.uvrb.abilities import ABILITIES, ability_scores
from eval.uvrb.datasets import DATASETS
from eval.uvrb.records import DatasetScores, UVRBReport
from infra.errors import UsageError

LEVEL: Final = 0.95
RESAMPLES: Final = 2000
FLIPS: Final = 10_000  # so that the least p-value, times sixteen, is well below 0.05
_AT_ONCE: Final = 250  # flips in memory
_ROUNDING: Final = 1e-12  # by which a sum in another order may be lower


@dataclass(frozen=True)
class Difference:
    """The first model's score minus the second's, on a dataset, an ability or an average."""

    name: str
    first: float
    second: float
    difference: Estimate  # with its 95% interval
    p: float  # two-sided
    p_holm: float | None  # corrected for the number of datasets; None of abilities and averages, which hang together


@dataclass(frozen=True)
class UVRBComparison:
    """Two models on the datasets that both were scored on."""

    first: str
    second: str
    datasets: tuple[Difference, ...]
    abilities: tuple[Difference, ...]  # from the datasets that are compared
    averages: tuple[Difference, ...]
    left_out: tuple[str, ...]  # datasets that one of them lacks
    seed: int


@dataclass(frozen=True)
class Draws:
    """What resampling gave, a column a dataset."""

    first: Values  # [datasets]: scores
    second: Values
    resampled: Values  # [resamples, datasets]: mean differences of resampled queries
    flipped: Values  # [flips, datasets]: mean differences with random signs


def compare(
    first: UVRBReport, second: UVRBReport, seed: int = 42, resamples: int = RESAMPLES, flips: int = FLIPS
) -> UVRBComparison:
    """How `first` differs from `second`; `seed` draws resamples and signs.

    Raises UsageError when they share no dataset, or were not asked the same queries with the same answers.
    """
    rivals = {scores.dataset: scores for scores in second.datasets}
    pairs = [(own, rivals[own.dataset]) for own in first.datasets if own.dataset in rivals]
    if not pairs:
        raise UsageError(f"{first.model} and {second.model} were scored on no common dataset")
    draws = _draw(pairs, np.random.default_rng(seed), resamples, flips)
    names = [own.dataset for own, _ in pairs]
    each = [_difference(name, row, draws) for name, row in zip(names, np.eye(len(names)), strict=True)]
    corrected = holm([difference.p for difference in each])
    abilities, averages = _weights(names)
    return UVRBComparison(
        first=first.model,
        second=second.model,
        datasets=tuple(replace(one, p_holm=p) for one, p in zip(each, corrected, strict=True)),
        abilities=tuple(_difference(name, row, draws) for name, row in abilities.items()),
        averages=tuple(_difference(name, row, draws) for name, row in averages.items()),
        left_out=tuple(d.name for d in DATASETS if (d.name in first.scores) != (d.name in second.scores)),
        seed=seed,
    )


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values of several tests, corrected: the chance of even one false alarm stays below the level (Holm, 1979)."""
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    corrected, highest = [0.0] * len(p_values), 0.0
    for place, number in enumerate(order):
        highest = max(highest, min(1.0, (len(order) - place) * p_values[number]))
        corrected[number] = highest
    return corrected


def _draw(
    pairs: Sequence[tuple[DatasetScores, DatasetScores]], rng: np.random.Generator, resamples: int, flips: int
) -> Draws:
    gains = [_gain(own, rival) for own, rival in pairs]
    return Draws(
        first=np.array([own.score for own, _ in pairs]),
        second=np.array([rival.score for _, rival in pairs]),
        resampled=np.stack([_resampled_means(gain, rng, resamples) for gain in gains], axis=1),
        flipped=np.stack([_flipped_means(gain, rng, flips) for gain in gains], axis=1),
    )


def _gain(own: DatasetScores, rival: DatasetScores) -> Values:
    """The difference on each query."""
    if (own.metric, own.query_ids, own.right) != (rival.metric, rival.query_ids, rival.right):
        raise UsageError(
            f"the two models were not asked the same queries of {own.dataset}: score both on the same data"
        )
    return np.subtract(own.query_scores, rival.query_scores)


def _resampled_means(gain: Values, rng: np.random.Generator, resamples: int) -> Values:
    return np.array([rng.choice(gain, len(gain)).mean() for _ in range(resamples)])


def _flipped_means(gain: Values, rng: np.random.Generator, flips: int) -> Values:
    """Means of the differences, each with a random sign; those of 0 have none."""
    some = gain[gain != 0]
    sums = np.empty(flips)
    for start in range(0, flips, _AT_ONCE):
        count = min(_AT_ONCE, flips - start)
        signs = 2 * rng.integers(0, 2, (count, len(some)), np.int8) - 1
        sums[start : start + count] = signs @ some
    return np.divide(sums, len(gain))


def _weights(names: Sequence[str]) -> tuple[dict[str, Values], dict[str, Values]]:
    """What each dataset counts in each ability and in the averages, which are linear in the scores of datasets."""
    alone = [ability_scores({name: float(name == one) for name in names}) for one in names]
    abilities: dict[str, Values] = {
        name: np.array([scores.abilities[name] for scores in alone]) for name in ABILITIES if name in alone[0].abilities
    }
    whole = len(names) == len(DATASETS)
    averages: dict[str, Values] = {
        "dataset average" if whole else f"mean of {len(names)} datasets": np.full(len(names), 1 / len(names))
    }
    if whole:
        averages["ability average"] = np.array([scores.average for scores in alone])
    return abilities, averages


def _difference(name: str, weights: Values, draws: Draws) -> Difference:
    gain = float(weights @ (draws.first - draws.second))
    low, high = np.quantile(draws.resampled @ weights, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    as_far = np.count_nonzero(np.abs(draws.flipped @ weights) >= abs(gain) - _ROUNDING)
    return Difference(
        name=name,
        first=float(weights @ draws.first),
        second=float(weights @ draws.second),
        difference=Estimate(gain, float(low), float(high)),
        p=float((1 + as_far) / (1 + len(draws.flipped))),  # the observed signs are one of the flips
        p_holm=None,
    )
