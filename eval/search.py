"""Exact nearest neighbours by cosine, with ties broken on purpose: of equal scores, the lower row comes first."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

AT_ONCE = 2**22  # scores in memory at once, 16 MB
_GROUP = 64  # columns whose greatest score is looked at instead of all

Scores = NDArray[np.float32]
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Ranking:
    """The best corpus rows of each query, best first: indices int64 and cosines float32, both [queries, k].

    A query that has fewer than k results ends in rows of -1, with cosines of minus infinity.
    """

    indices: Rows
    scores: Scores


def top_k(queries: Scores, corpus: Scores, k: int, at_once: int = AT_ONCE) -> Ranking:
    """The `k` corpus rows of highest cosine for each query; of equal scores, the lower row comes first.

    `queries` [q, dim] and `corpus` [n, dim] are unit vectors without NaN; where n < k, all n rows are ranked.
    Besides the answer, `at_once` scores are in memory, or those of one query if these are more.
    """
    k = min(k, len(corpus))
    return _joined([best_of(scores, k) for _, scores in _blocks(queries, corpus, at_once)], k)


def search(
    queries: Scores, corpus: Scores, positives: Sequence[Collection[int]], k: int, at_once: int = AT_ONCE
) -> tuple[Ranking, Rows]:
    """As `top_k`, and at which rank, from 1, the best of each query's `positives` came among all rows: int64 [q].

    Every query has at least one positive.
    """
    k = min(k, len(corpus))
    parts, ranks = [], [np.empty(0, np.int64)]
    for rows, scores in _blocks(queries, corpus, at_once):
        parts.append(best_of(scores, k))
        ranks.append(_ranks(scores, positives[rows]))
    return _joined(parts, k), np.concatenate(ranks)


def search_among(
    queries: Scores,
    corpus: Scores,
    candidates: Sequence[Collection[int]],
    positives: Sequence[Collection[int]],
    k: int,
) -> tuple[Ranking, Rows]:
    """As `search`, but each query is searched in its own `candidates` alone, rows that hold its positives."""
    found = Ranking(np.full((len(queries), k), -1, np.int64), np.full((len(queries), k), -np.inf, np.float32))
    ranks = np.zeros(len(queries), np.int64)
    for number, (query, among, right) in enumerate(zip(queries, candidates, positives, strict=True)):
        rows = np.array(sorted(set(among)), np.int64)
        scores = (corpus[rows] @ query)[None]
        best = best_of(scores, min(k, len(rows)))
        found.indices[number, : best.indices.shape[1]] = rows[best.indices[0]]
        found.scores[number, : best.scores.shape[1]] = best.scores[0]
        ranks[number] = _ranks(scores, [np.searchsorted(rows, list(right)).tolist()])[0]
    return found, ranks


def best_of(scores: Scores, k: int) -> Ranking:
    """The `k` greatest of each row of `scores` [q, n >= k], greatest first, the lower column first of equal ones."""
    rows, columns = np.nonzero(scores >= _least(scores, k))
    values = scores[rows, columns]
    order = np.lexsort((columns, -values, rows))
    counts = np.bincount(rows, minlength=len(scores))
    places = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
    kept = order[places < k]
    return Ranking(columns[kept].reshape(len(scores), k), values[kept].reshape(len(scores), k))


def _least(scores: Scores, k: int) -> Scores:
    """A bound [q, 1] that at least k scores of each row reach, and few more.

    Of disjoint groups of columns, k have a greatest score that reaches the k-th greatest of these.
    """
    groups = scores.shape[1] // _GROUP
    if groups < max(k, 1):
        return np.full((len(scores), 1), -np.inf, np.float32)
    greatest = scores[:, : groups * _GROUP].reshape(len(scores), _GROUP, groups).max(axis=1)
    return np.partition(greatest, groups - k, axis=1)[:, groups - k, None]


def _ranks(scores: Scores, positives: Sequence[Collection[int]]) -> Rows:
    """Where the best positive of each row of `scores` came, from 1."""
    own = np.empty((len(scores), 1), np.int64)
    for number, right in enumerate(positives):
        columns = sorted(right)
        own[number] = columns[int(scores[number, columns].argmax())]  # the first, that is the lowest, of equal ones
    score = np.take_along_axis(scores, own, axis=1)
    before = (scores > score) | ((scores == score) & (np.arange(scores.shape[1]) < own))
    ranks: Rows = np.count_nonzero(before, axis=1) + 1
    return ranks


def _blocks(queries: Scores, corpus: Scores, at_once: int) -> Iterator[tuple[slice, Scores]]:
    """Some queries at a time, and their scores of all corpus rows."""
    step = max(1, at_once // max(1, len(corpus)))
    for start in range(0, len(queries), step):
        rows = slice(start, start + step)
        yield rows, queries[rows] @ corpus.T


def _joined(parts: Sequence[Ranking], k: int) -> Ranking:
    indices = [np.empty((0, k), np.int64), *(part.indices for part in parts)]
    scores = [np.empty((0, k), np.float32), *(part.scores for part in parts)]
    return Ranking(np.concatenate(indices), np.concatenate(scores))
