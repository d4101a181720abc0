"""Retrieval metrics under their own names: recall@k, hit@k, what chance gives, and how sure one can be."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from math import comb

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A mean and the ends of its bootstrap interval."""

    mean: float
    low: float
    high: float


def recall_at_k(ranked: NDArray[np.int64], positives: Sequence[Collection[int]], k: int) -> Values:
    """For each query, the share of its positives among its first `k` results: float64 [queries].

    `ranked` [queries, >= k] holds corpus rows, best first. With one positive this is hit@k; with more
    it is what the literature calls recall, which can stay under 1 when there are more than k of them.
    """
    counts = np.array([len(rows) for rows in positives], dtype=np.float64)
    return np.divide(_found(ranked, positives, k), counts)


def hit_at_k(ranked: NDArray[np.int64], positives: Sequence[Collection[int]], k: int) -> Values:
    """For each query, 1 when any positive is among its first `k` results, else 0: float64 [queries]."""
    return (_found(ranked, positives, k) > 0).astype(np.float64)


def _found(ranked: NDArray[np.int64], positives: Sequence[Collection[int]], k: int) -> Values:
    pairs = zip(ranked[:, :k].tolist(), positives, strict=True)
    return np.array([len(set(row).intersection(rows)) for row, rows in pairs], dtype=np.float64)


def chance_recall(corpus: int, k: int) -> float:
    """Expected recall@k of a random ranking of `corpus` items, however many are positives: min(k, n) / n."""
    return min(k, corpus) / corpus


def chance_hit(corpus: int, positives: int, k: int) -> float:
    """Expected hit@k of a random ranking: 1 - C(n - p, k) / C(n, k)."""
    k = min(k, corpus)
    return 1 - comb(corpus - positives, k) / comb(corpus, k)


def macro_average(groups: Sequence[Values], seed: int, resamples: int = 2000, level: float = 0.95) -> Estimate:
    """The mean of the groups' means, with its stratified percentile bootstrap interval (Efron, 1979).

    Each group holds one task's per-query values [queries], and is resampled by itself. Where the values
    are differences of two models on the same queries, the interval is that of the paired bootstrap.
    Queries are resampled, the corpus is not: it says how much the mean would move with other queries.
    """
    rng = np.random.default_rng(seed)
    means = [np.mean([rng.choice(values, len(values)).mean() for values in groups]) for _ in range(resamples)]
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Estimate(float(np.mean([values.mean() for values in groups])), float(low), float(high))
