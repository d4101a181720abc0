"""Exact nearest neighbours by cosine, with ties broken on purpose."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CHUNK = 8192  # corpus vectors scored at once


@dataclass(frozen=True)
class Ranking:
    """The best corpus rows of each query, best first: indices int64 and cosines float32, both [queries, k]."""

    indices: NDArray[np.int64]
    scores: NDArray[np.float32]


def top_k(queries: NDArray[np.float32], corpus: NDArray[np.float32], k: int, chunk: int = CHUNK) -> Ranking:
    """The `k` corpus rows of highest cosine for each query; of equal scores, the lower row comes first.

    `queries` [q, dim] and `corpus` [n, dim] are unit vectors; where n < k, all n rows are ranked. Memory
    is bounded by q x (k + chunk) scores.
    """
    best = Ranking(np.empty((len(queries), 0), dtype=np.int64), np.empty((len(queries), 0), dtype=np.float32))
    for start in range(0, len(corpus), chunk):
        scores = queries @ corpus[start : start + chunk].T
        rows = np.broadcast_to(np.arange(start, start + scores.shape[1]), scores.shape)
        best = _best(np.hstack([best.indices, rows]), np.hstack([best.scores, scores]), k)
    return best


def _best(indices: NDArray[np.int64], scores: NDArray[np.float32], k: int) -> Ranking:
    # Columns are in the order of rows where scores tie, so a stable sort keeps the lower row first.
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return Ranking(np.take_along_axis(indices, order, axis=1), np.take_along_axis(scores, order, axis=1))
