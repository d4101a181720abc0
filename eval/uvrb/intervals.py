"""How sure ability scores and averages are: the bootstrap over queries that dataset scores have too (Efron, 1979)."""

from __future__ import annotations

from statistics import fmean
from typing import Final

import numpy as np
from numpy.typing import NDArray

from eval.uvrb.abilities import ability_scores
from eval.uvrb.records import UVRBReport

RESAMPLES: Final = 2000
LEVEL: Final = 0.95
AVERAGE: Final = "average"  # of abilities; only where all datasets are there
DATASET_AVERAGE: Final = "dataset average"  # of the datasets that are there


def score_intervals(report: UVRBReport, resamples: int = RESAMPLES) -> dict[str, tuple[float, float]]:
    """The percentile intervals of every ability the report tells of, of AVERAGE and of DATASET_AVERAGE.

    Each dataset's queries are resampled by themselves; the corpus is not. The report's seed decides the draws.
    """
    rng = np.random.default_rng(report.seed)
    means = {found.dataset: _resampled_means(found.query_scores, resamples, rng) for found in report.datasets}
    drawn: dict[str, list[float]] = {}
    for number in range(resamples):
        scores = {name: float(values[number]) for name, values in means.items()}
        found = ability_scores(scores)
        averages = {AVERAGE: found.average, DATASET_AVERAGE: fmean(scores.values())}
        for name, value in {**found.abilities, **averages}.items():
            if value is not None:
                drawn.setdefault(name, []).append(value)
    ends = [(1 - LEVEL) / 2, (1 + LEVEL) / 2]
    return {
        name: (float(low), float(high)) for name, values in drawn.items() for low, high in [np.quantile(values, ends)]
    }


def _resampled_means(values: tuple[float, ...], resamples: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Means of `resamples` draws with replacement: float64 [resamples].

    Drawn as how often each distinct value occurs, which is the same and takes no memory by query.
    """
    distinct, counts = np.unique(np.array(values, dtype=np.float64), return_counts=True)
    return rng.multinomial(len(values), counts / len(values), size=resamples) @ distinct / len(values)
