"""Unit vectors with known neighbours: clusters as embedders make them, and planted near duplicates."""

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]


def unit(vectors: NDArray[np.floating]) -> Vectors:
    """Rows scaled to length one."""
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


class Centres:
    """Random centres that differ in `own_dim` directions only, as embeddings do, and vectors around them."""

    def __init__(self, rng: np.random.Generator, count: int, dim: int, own_dim: int = 32) -> None:
        self.basis = rng.standard_normal((own_dim, dim), dtype=np.float32)
        self.centres = rng.standard_normal((count, own_dim), dtype=np.float32)

    def draw(self, rng: np.random.Generator, count: int, spread: float = 0.7) -> Vectors:
        """Vectors [count, dim], each around a random centre."""
        inner = self.centres[rng.integers(0, len(self.centres), count)]
        return unit((inner + spread * rng.standard_normal(inner.shape, dtype=np.float32)) @ self.basis)


def clustered(rng: np.random.Generator, count: int, dim: int) -> Vectors:
    """Vectors [count, dim] around random centres, about 300 to each."""
    return Centres(rng, max(10, count // 300), dim).draw(rng, count)


def alike(rng: np.random.Generator, vectors: Vectors, cosine: float) -> Vectors:
    """For each of `vectors` one in a random direction from it whose cosine with it is `cosine` or more."""
    cosines = rng.uniform(cosine, 1, (len(vectors), 1)).astype(np.float32)
    away = rng.standard_normal(vectors.shape, dtype=np.float32)
    away = unit(away - (away * vectors).sum(axis=1, keepdims=True) * vectors)
    return unit(cosines * vectors + np.sqrt(1 - cosines**2) * away)
