"""Exact nearest neighbours by cosine, with ties broken on purpose.

A score and its row are one integer here: above, the bits of the float put in order; below, the row counted from the
end. No two are equal and the greater one is the better result, so a partial sort, which keeps no order of equals,
still keeps the lower row of a tie. Scores must not be NaN.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

AT_ONCE = 2**22  # scores in memory at once: 16 MB, and 32 for them with their rows
_ROW_BITS = 32
_ROWS = 2**_ROW_BITS - 1
_MAGNITUDE = 2**31 - 1  # all bits of a float32 but its sign

Keys = NDArray[np.int64]


@dataclass(frozen=True)
class Ranking:
    """The best corpus rows of each query, best first: indices int64 and cosines float32, both [queries, k].

    A query that has fewer than k results ends in rows of -1, with cosines of minus infinity.
    """

    indices: NDArray[np.int64]
    scores: NDArray[np.float32]


def top_k(queries: NDArray[np.float32], corpus: NDArray[np.float32], k: int, at_once: int = AT_ONCE) -> Ranking:
    """The `k` corpus rows of highest cosine for each query; of equal scores, the lower row comes first.

    `queries` [q, dim] and `corpus` [n, dim] are unit vectors; where n < k, all n rows are ranked. Besides the
    answer, `at_once` scores are in memory, or those of one query if these are more.
    """
    parts = [_best(keys, k) for _, keys in _blocks(queries, corpus, at_once)]
    return _ranking(np.concatenate([_nothing(len(corpus), k), *parts]))


def search(
    queries: NDArray[np.float32],
    corpus: NDArray[np.float32],
    positives: Sequence[Collection[int]],
    k: int,
    at_once: int = AT_ONCE,
) -> tuple[Ranking, NDArray[np.int64]]:
    """As `top_k`, and at which rank, from 1, the best of each query's `positives` came among all rows: int64 [q].

    Every query has at least one positive.
    """
    parts, ranks = [_nothing(len(corpus), k)], [np.empty(0, np.int64)]
    for rows, keys in _blocks(queries, corpus, at_once):
        ranks.append(_ranks(keys, positives[rows]))
        parts.append(_best(keys, k))
    return _ranking(np.concatenate(parts)), np.concatenate(ranks)


def search_among(
    queries: NDArray[np.float32],
    corpus: NDArray[np.float32],
    candidates: Sequence[Collection[int]],
    positives: Sequence[Collection[int]],
    k: int,
) -> tuple[Ranking, NDArray[np.int64]]:
    """As `search`, but each query is searched in its own `candidates` alone, rows that hold its positives."""
    indices = np.full((len(queries), k), -1, np.int64)
    scores = np.full((len(queries), k), -np.inf, np.float32)
    ranks = np.zeros(len(queries), np.int64)
    for number, (query, among, right) in enumerate(zip(queries, candidates, positives, strict=True)):
        rows = np.array(sorted(set(among)), np.int64)
        keys = _keys((corpus[rows] @ query)[None], rows)
        ranks[number] = _ranks(keys, [np.searchsorted(rows, sorted(right))])[0]
        found = _ranking(_best(keys, k))
        indices[number, : found.indices.shape[1]] = found.indices
        scores[number, : found.scores.shape[1]] = found.scores
    return Ranking(indices, scores), ranks


def _blocks(
    queries: NDArray[np.float32], corpus: NDArray[np.float32], at_once: int
) -> Iterator[tuple[slice, Keys]]:
    """Some queries at a time, and their keys of all corpus rows."""
    step = max(1, at_once // max(1, len(corpus)))
    numbers = np.arange(len(corpus))
    for start in range(0, len(queries), step):
        rows = slice(start, start + step)
        yield rows, _keys(queries[rows] @ corpus.T, numbers)


def _keys(scores: NDArray[np.float32], rows: NDArray[np.int64]) -> Keys:
    bits = (scores + np.float32(0)).view(np.int32)  # the sum makes 0 of -0, which is equal to it
    # Of two negative floats the lower one has the greater bits.
    keys = (bits ^ ((bits >> 31) & _MAGNITUDE)).astype(np.int64)
    keys <<= _ROW_BITS
    keys |= _ROWS - rows
    return keys


def _ranking(keys: Keys) -> Ranking:
    ordered = (keys >> _ROW_BITS).astype(np.int32)
    bits = ordered ^ ((ordered >> 31) & _MAGNITUDE)
    return Ranking(_ROWS - (keys & _ROWS), bits.view(np.float32))


def _best(keys: Keys, k: int) -> Keys:
    """The `k` greatest keys of each row, greatest first; leaves `keys` in another order."""
    rest = max(0, keys.shape[1] - k)
    if rest:
        keys.partition(rest, axis=1)
    return np.sort(keys[:, rest:], axis=1)[:, ::-1]


def _ranks(keys: Keys, positives: Sequence[Collection[int]]) -> NDArray[np.int64]:
    own = np.array([row[list(right)].max() for row, right in zip(keys, positives, strict=True)], np.int64)
    return np.count_nonzero(keys > own[:, None], axis=1) + 1


def _nothing(corpus: int, k: int) -> Keys:
    return np.empty((0, min(k, corpus)), np.int64)
