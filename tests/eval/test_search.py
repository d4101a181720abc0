"""Exact search equals a naive twin, ties included."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from eval.search import top_k


def naive(queries: np.ndarray, corpus: np.ndarray, k: int) -> list[list[int]]:
    return [sorted(range(len(corpus)), key=lambda row: (-float(query @ corpus[row]), row))[:k] for query in queries]


@given(st.integers(0, 10_000), st.integers(1, 40), st.integers(1, 12), st.integers(1, 50))
def test_equals_the_naive_twin_with_ties_whatever_the_chunk(seed: int, n: int, k: int, chunk: int) -> None:
    """Coordinates of -1, 0, 1 make scores exact and ties frequent."""
    rng = np.random.default_rng(seed)
    queries, corpus = (rng.integers(-1, 2, (rows, 4)).astype(np.float32) for rows in (5, n))
    ranking = top_k(queries, corpus, k, chunk)
    assert ranking.indices.tolist() == naive(queries, corpus, k)
    scores = np.take_along_axis(queries @ corpus.T, ranking.indices, axis=1)
    np.testing.assert_array_equal(ranking.scores, scores)


def test_finds_the_nearest_among_random_unit_vectors() -> None:
    rng = np.random.default_rng(0)
    corpus = rng.normal(size=(500, 32)).astype(np.float32)
    corpus /= np.linalg.norm(corpus, axis=1, keepdims=True)
    noisy = corpus[::7] + 0.01 * rng.normal(size=corpus[::7].shape).astype(np.float32)
    assert top_k(noisy, corpus, 1, chunk=64).indices[:, 0].tolist() == list(range(0, 500, 7))
