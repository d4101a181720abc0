"""What a model reached of what is reachable, and where that falls short of its own mean or of another model's.

Scores of different datasets cannot be compared: chance differs, and so does how sure they are. What can be is
(score - chance) / (1 - chance), with a standard error.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import hypot, sqrt
from statistics import fmean
from typing import Final

from eval.metrics import Estimate
from eval.uvrb.datasets import DATASETS

Z95: Final = 1.959964  # standard errors to either side of a 95% interval

# The abilities that datasets isolate, in the order of the benchmark; all others are means of these.
ISOLATED: Final = tuple(dict.fromkeys(dataset.ability for dataset in DATASETS))


@dataclass(frozen=True)
class Scored:
    """What was scored on one dataset or task; shares between 0 and 1."""

    name: str
    score: float
    chance: float  # the same metric's expectation under a random ranking
    queries: int
    interval: tuple[float, float] | None = None  # 95% of the score, where it was told
    recall_1: float = 0.0
    recall_10: float = 0.0


@dataclass(frozen=True)
class Reached:
    """The share reached of what is reachable above chance, and its standard error; below 0 when under chance."""

    share: float
    error: float


def reached(scored: Scored) -> Reached:
    """What one score reached.

    Its error is the wider of two: what its interval tells, and that of Agresti and Coull (1998), who add two right
    and two wrong answers. A bootstrap of few queries that are all right has an interval without any width.
    """
    told = (scored.interval[1] - scored.interval[0]) / (2 * Z95) if scored.interval else 0.0
    share = (scored.score * scored.queries + 2) / (scored.queries + 4)
    careful = sqrt(share * (1 - share) / (scored.queries + 4))
    above = 1 - scored.chance
    return Reached((scored.score - scored.chance) / above, max(told, careful) / above)


def mean_reached(parts: Sequence[Reached]) -> Reached:
    """The mean of independent parts."""
    return Reached(fmean(part.share for part in parts), hypot(*(part.error for part in parts)) / len(parts))


def telling(scores: Iterable[Scored]) -> list[Scored]:
    """Those that tell anything: with queries, and with something above chance to reach."""
    return [scored for scored in scores if scored.queries and scored.chance < 1]


def by_ability(scores: Iterable[Scored]) -> dict[str, Reached]:
    """What datasets' scores reached of each ability that any of them isolates, in the order of the benchmark."""
    found = {scored.name: reached(scored) for scored in telling(scores)}
    parts = {
        ability: [found[dataset.name] for dataset in DATASETS if dataset.ability == ability and dataset.name in found]
        for ability in ISOLATED
    }
    return {ability: mean_reached(shares) for ability, shares in parts.items() if shares}


def near_misses(scores: Sequence[Scored]) -> dict[str, float]:
    """By ability, the share of the right videos missed at 1 that come among the first 10; mean over its datasets."""
    ability = {dataset.name: dataset.ability for dataset in DATASETS}
    shares: dict[str, list[float]] = {}
    for scored in scores:
        if scored.recall_1 < 1:
            share = (scored.recall_10 - scored.recall_1) / (1 - scored.recall_1)
            shares.setdefault(ability[scored.name], []).append(share)
    return {name: fmean(values) for name, values in shares.items()}


def shortfalls(own: Mapping[str, Reached], other: Mapping[str, Reached] | None = None) -> dict[str, Estimate]:
    """How far each of `own` is below their mean, with the 95% interval of that.

    With an `other` model's, which has the same names, only what its own shortfall there does not explain: what is hard
    for both is no weakness. Parts and models count as independent, which two models on the same queries are
    not: their interval is wider than it need be.
    """
    return {name: _estimate(own, other, name) for name in own}


def _estimate(own: Mapping[str, Reached], other: Mapping[str, Reached] | None, name: str) -> Estimate:
    gap, error = _shortfall(own, name)
    if other is not None:
        there, error_there = _shortfall(other, name)
        gap, error = gap - there, hypot(error, error_there)
    return Estimate(gap, gap - Z95 * error, gap + Z95 * error)


def _shortfall(shares: Mapping[str, Reached], name: str) -> tuple[float, float]:
    """The mean of all minus one of them, and the standard error of that difference; the one is part of the mean."""
    count = len(shares)
    mean = fmean(part.share for part in shares.values())
    errors = [part.error * (1 / count - (key == name)) for key, part in shares.items()]
    return mean - shares[name].share, hypot(*errors)
