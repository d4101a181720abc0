"""Clusters of unit vectors that overlap at their borders: near vectors share at least one.

A tree of k-means (Nistér and Stewénius 2006, "Scalable Recognition with a Vocabulary Tree") whose branches
overlap as in a spill tree (Liu et al. 2004, "An Investigation of Practical Approximate Nearest Neighbor
Algorithms"). Every level costs n x BRANCHES products and their number is the logarithm of n, whereas one
flat k-means would need more clusters, and so more products a vector, the more vectors there are.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shards.vectors import to_unit

CLUSTER_ROWS: Final = 1024  # a cluster is split while it holds more
BRANCHES: Final = 64  # most clusters that one is split into
TRAINING_ROWS: Final = 64  # a branch; k-means learns on no more
ITERATIONS: Final = 8
CHUNK: Final = 65_536  # vectors assigned at once
PLACES: Final = 3  # most branches that a vector is put into
SPLIT_SHARE: Final = 0.9  # a branch that holds more of its parent is not split again: vectors that are all alike

Rows = NDArray[np.int64]


def overlapping_clusters(
    vectors: NDArray[np.float16], reach: float, seed: int, cluster_rows: int = CLUSTER_ROWS
) -> Iterator[Rows]:
    """Clusters as ascending rows of `vectors` [n, dim], of about `cluster_rows` at most.

    `reach` is the distance up to which two vectors are near. A vector is put into its nearest branch and
    into those (PLACES in all) whose border, the plane half-way between two centroids, is nearer than a
    quarter of it. Half of it would never part two near vectors; but their difference hardly ever points
    straight over the border, and a quarter makes a third as many copies. The same vectors in the same
    order give the same clusters on any number of threads.
    """
    waiting: list[Rows] = [np.arange(len(vectors))]
    while waiting:
        rows = waiting.pop()
        if len(rows) <= cluster_rows:
            yield rows
            continue
        for branch in _branches(vectors, rows, reach / 4, seed, min(BRANCHES, -(-2 * len(rows) // cluster_rows))):
            if len(branch) > SPLIT_SHARE * len(rows):
                yield branch
            else:
                waiting.append(branch)


def _branches(vectors: NDArray[np.float16], rows: Rows, margin: float, seed: int, count: int) -> list[Rows]:
    """`rows` split into at most `count` branches."""
    centroids = find_centroids(to_unit(vectors[rows[training_rows(len(rows), count)]]), count, seed)
    with _one_thread():
        parts = [
            _places(to_unit(vectors[rows[start : start + CHUNK]]), centroids, margin)
            for start in range(0, len(rows), CHUNK)
        ]
    members = np.concatenate([rows[start * CHUNK :][local] for start, (local, _) in enumerate(parts)])
    branches = np.concatenate([branch for _, branch in parts])
    order = np.argsort(branches, kind="stable")
    ends = np.cumsum(np.bincount(branches, minlength=count))
    return [part for part in np.split(members[order], ends[:-1]) if len(part)]


def training_rows(rows: int, count: int) -> Rows:
    """Those of so many rows that k-means learns `count` centroids from, evenly spread."""
    return np.linspace(0, rows - 1, min(rows, count * TRAINING_ROWS)).astype(np.int64)


def find_centroids(vectors: NDArray[np.float32], count: int, seed: int) -> NDArray[np.float32]:
    """`count` unit centroids [count, dim] of unit vectors [n, dim] by spherical k-means, the same on any threads."""
    import faiss  # takes a while, and only this module needs it

    with _one_thread():
        kmeans = faiss.Kmeans(
            vectors.shape[1], count, niter=ITERATIONS, seed=seed, spherical=True, min_points_per_centroid=1
        )
        kmeans.train(vectors)
        return np.asarray(kmeans.centroids, np.float32)


def _places(vectors: NDArray[np.float32], centroids: NDArray[np.float32], margin: float) -> tuple[Rows, Rows]:
    """Rows of `vectors` [n, dim] and the branch of each of their places, ascending by row.

    The distance of x from the plane between unit centroids c and d is (x.c - x.d) / |c - d|.
    """
    import faiss

    places = min(PLACES, len(centroids))
    cosines, nearest = faiss.knn(vectors, centroids, places, metric=faiss.METRIC_INNER_PRODUCT)
    apart = np.linalg.norm(centroids[nearest] - centroids[nearest[:, :1]], axis=2)
    inside = cosines[:, :1] - cosines <= margin * apart
    local, place = np.nonzero(inside)
    return local, nearest[local, place]


@contextmanager
def _one_thread() -> Iterator[None]:
    """Let faiss compute on one thread: more would round sums differently, and a rounding can move a border."""
    import faiss

    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)
