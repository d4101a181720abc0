"""Unit vectors with known neighbours: clusters as embedders make them, and planted near duplicates."""

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]


def unit(vectors: NDArray[np.floating]) -> Vectors:
    """Rows scaled to length one."""
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def clustered(
    rng: np.random.Generator, count: int, dim: int, clusters: int = 0, own_dim: int = 32, spread: float = 0.7
) -> Vectors:
    """Vectors [count, dim] around random centres that differ in `own_dim` directions only, as embeddings do.

    By default a cluster holds 300 of them.
    """
    basis = rng.standard_normal((own_dim, dim), dtype=np.float32)
    centres = rng.standard_normal((clusters or max(10, count // 300), own_dim), dtype=np.float32)
    inner = centres[rng.integers(0, len(centres), count)]
    return unit((inner + spread * rng.standard_normal(inner.shape, dtype=np.float32)) @ basis)


def alike(rng: np.random.Generator, vectors: Vectors, cosine: float) -> Vectors:
    """For each of `vectors` one in a random direction from it whose cosine with it is `cosine` or more."""
    cosines = rng.uniform(cosine, 1, (len(vectors), 1)).astype(np.float32)
    away = rng.standard_normal(vectors.shape, dtype=np.float32)
    away = unit(away - (away * vectors).sum(axis=1, keepdims=True) * vectors)
    return unit(cosines * vectors + np.sqrt(1 - cosines**2) * away)
