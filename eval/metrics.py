"""Retrieval metrics under their own names: recall, hit, precision, nDCG, what chance gives, how sure one can be."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from math import comb

import numpy as np
from numpy.typing import NDArray
from scipy.stats import hypergeom

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


def precision_at_k(ranked: NDArray[np.int64], positives: Sequence[Collection[int]], k: int) -> Values:
    """For each query, the share of its first `k` results that are positives: float64 [queries].

    P@1 is whether the first result is right.
    """
    return _found(ranked, positives, k) / k


def ndcg_at_k(ranked: NDArray[np.int64], positives: Sequence[Collection[int]], k: int) -> Values:
    """Normalised discounted cumulative gain (Järvelin and Kekäläinen, 2002) of each query: float64 [queries].

    A positive at rank r of the first `k` gains 1 / log2(r + 1); the sum is divided by that of a ranking in which
    all positives come first.
    """
    gains = _discounts(k)
    best = np.cumsum(gains)
    pairs = zip(ranked[:, :k].tolist(), positives, strict=True)
    return np.array([_gain(row, rows, gains) / best[min(len(rows), k) - 1] for row, rows in pairs], dtype=np.float64)


def _gain(row: Sequence[int], rows: Collection[int], gains: Values) -> float:
    return sum(float(gain) for result, gain in zip(row, gains, strict=False) if result in rows)


def _discounts(k: int) -> Values:
    return np.divide(1.0, np.log2(np.arange(2, k + 2)))


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


def chance_precision(corpus: int, positives: int, k: int) -> float:
    """Expected precision@k of a random ranking: p / n, and less where there are no k results."""
    return positives / corpus * min(k, corpus) / k


def chance_ndcg(corpus: int, positives: int, k: int) -> float:
    """Expected nDCG@k of a random ranking, whose every rank holds a positive with probability p / n."""
    gains = _discounts(k)
    return float(positives / corpus * gains[:corpus].sum() / gains[:positives].sum())


def hit_1_among(size: int, others: NDArray[np.int64], better: NDArray[np.int64]) -> Values:
    """For each query, how likely a positive comes first in a corpus of `size`: its best, and others by chance.

    Of the `others` [queries], which are at least size - 1 rows without positives, `better` [queries] outrank its best
    positive, and none of these may be drawn: C(others - better, size - 1) / C(others, size - 1), as float64 [queries].
    """
    return np.asarray(hypergeom.pmf(0, others, better, size - 1), np.float64)


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
