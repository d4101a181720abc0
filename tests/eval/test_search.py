"""Exact search equals a naive twin, ties included."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from eval.search import search, search_among, top_k


def naive(query: np.ndarray, corpus: np.ndarray, among: list[int]) -> list[int]:
    """All rows of `among`, best first."""
    return sorted(among, key=lambda row: (-float(query @ corpus[row]), row))


def few_values(rng: np.random.Generator, rows: int) -> np.ndarray:
    """Vectors whose products are exact and often equal; -0.0 is among them."""
    return rng.choice(np.array([-1, -0.0, 0, 1], np.float32), (rows, 4))


# Seed, queries, rows, k. Hundreds of rows, for groups of them are looked at together.
SHAPES = (st.integers(0, 10_000), st.integers(0, 6), st.integers(1, 40) | st.integers(1, 900), st.integers(1, 12))


@given(*SHAPES, st.integers(1, 2000))
def test_equals_the_naive_twin_with_ties_however_little_is_in_memory(
    seed: int, q: int, n: int, k: int, at_once: int
) -> None:
    rng = np.random.default_rng(seed)
    queries, corpus = few_values(rng, q), few_values(rng, n)
    positives = [rng.choice(n, rng.integers(1, n + 1), replace=False).tolist() for _ in range(q)]
    ranking, ranks = search(queries, corpus, positives, k, at_once)
    orders = [naive(query, corpus, list(range(n))) for query in queries]
    assert ranking.indices.shape == (q, min(k, n))
    assert ranking.indices.tolist() == [order[:k] for order in orders]
    assert ranks.tolist() == [1 + min(map(order.index, right)) for order, right in zip(orders, positives, strict=True)]
    scores = np.take_along_axis(queries @ corpus.T, ranking.indices, axis=1)
    np.testing.assert_array_equal(ranking.scores, scores)
    assert top_k(queries, corpus, k, at_once).indices.tolist() == ranking.indices.tolist()


@given(*SHAPES)
def test_among_candidates_equals_the_naive_twin(seed: int, q: int, n: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    queries, corpus = few_values(rng, q), few_values(rng, n)
    among = [rng.choice(n, rng.integers(1, n + 1), replace=False).tolist() for _ in range(q)]
    positives = [rows[: rng.integers(1, len(rows) + 1)] for rows in among]
    ranking, ranks = search_among(queries, corpus, among, positives, k)
    orders = [naive(query, corpus, rows) for query, rows in zip(queries, among, strict=True)]
    assert ranking.indices.tolist() == [order[:k] + [-1] * (k - len(order)) for order in orders]
    assert np.isneginf(ranking.scores).tolist() == (ranking.indices == -1).tolist()
    assert ranks.tolist() == [1 + min(map(order.index, right)) for order, right in zip(orders, positives, strict=True)]


def test_a_tie_across_the_last_place_keeps_the_lower_rows() -> None:
    corpus = np.zeros((1000, 2), np.float32)
    corpus[:, 1] = 1
    corpus[[700, 300]] = [1, 0]
    query = np.array([[1, 0]], np.float32)
    assert top_k(query, corpus, 4).indices.tolist() == [[300, 700, 0, 1]]
    assert search(query, corpus, [[999, 5]], 1)[1].tolist() == [8]


def test_nothing_to_search_for_or_in() -> None:
    empty, some = np.empty((0, 4), np.float32), np.eye(4, dtype=np.float32)
    assert top_k(empty, some, 3).indices.shape == (0, 3)
    assert top_k(some, empty, 3).indices.shape == (4, 0)
    assert search(empty, some, [], 3)[1].shape == (0,)


def test_finds_the_nearest_among_random_unit_vectors() -> None:
    rng = np.random.default_rng(0)
    corpus = rng.normal(size=(500, 32)).astype(np.float32)
    corpus /= np.linalg.norm(corpus, axis=1, keepdims=True)
    noisy = corpus[::7] + 0.01 * rng.normal(size=corpus[::7].shape).astype(np.float32)
    assert top_k(noisy, corpus, 1, at_once=2000).indices[:, 0].tolist() == list(range(0, 500, 7))
