"""Metrics by hand, and chance against rankings that really are random."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.metrics import (
    Values,
    chance_hit,
    chance_ndcg,
    chance_precision,
    chance_recall,
    hit_1_among,
    hit_at_k,
    macro_average,
    ndcg_at_k,
    precision_at_k,
    recall_at_k,
)

RANKED = np.array([[4, 0, 2], [1, 3, 0], [2, 1, 4]])
POSITIVES = [{4}, {0, 3, 2}, {0}]


def test_recall_is_a_share_of_the_positives_and_hit_is_any_of_them() -> None:
    assert recall_at_k(RANKED, POSITIVES, 1).tolist() == [1, 0, 0]
    assert recall_at_k(RANKED, POSITIVES, 3).tolist() == [1, pytest.approx(2 / 3), 0]
    assert hit_at_k(RANKED, POSITIVES, 1).tolist() == [1, 0, 0]
    assert hit_at_k(RANKED, POSITIVES, 2).tolist() == [1, 1, 0]


def test_precision_is_a_share_of_the_results() -> None:
    assert precision_at_k(RANKED, POSITIVES, 1).tolist() == [1, 0, 0]
    assert precision_at_k(RANKED, POSITIVES, 3).tolist() == [pytest.approx(1 / 3), pytest.approx(2 / 3), 0]


def test_ndcg_by_hand() -> None:
    """Ranks 1, 2, 3 gain 1, 1 / log2(3) = 0.6309, 1 / 2; three positives at best 2.1309."""
    ndcg = ndcg_at_k(RANKED, POSITIVES, 3).tolist()
    assert ndcg == [1, pytest.approx((0.63093 + 0.5) / 2.13093, abs=1e-5), 0]
    # Of more positives than results, the best ranking has right ones everywhere.
    assert ndcg_at_k(RANKED, POSITIVES, 2)[1] == pytest.approx(0.63093 / 1.63093, abs=1e-5)
    assert ndcg_at_k(RANKED, POSITIVES, 10).tolist() == ndcg  # there are but three results


@given(st.integers(1, 30), st.integers(1, 30), st.integers(1, 12), st.integers(0, 99))
def test_chance_is_the_mean_over_random_rankings(corpus: int, positives: int, k: int, seed: int) -> None:
    positives = min(positives, corpus)
    rng = np.random.default_rng(seed)
    ranked = np.array([rng.permutation(corpus) for _ in range(2000)])
    wanted = [set(range(positives))] * len(ranked)
    assert recall_at_k(ranked, wanted, k).mean() == pytest.approx(chance_recall(corpus, k), abs=0.06)
    assert hit_at_k(ranked, wanted, k).mean() == pytest.approx(chance_hit(corpus, positives, k), abs=0.06)
    assert precision_at_k(ranked, wanted, k).mean() == pytest.approx(chance_precision(corpus, positives, k), abs=0.06)
    assert ndcg_at_k(ranked, wanted, k).mean() == pytest.approx(chance_ndcg(corpus, positives, k), abs=0.06)


@given(st.integers(1, 40), st.integers(0, 40), st.integers(1, 40), st.integers(0, 99))
def test_the_hit_in_a_smaller_corpus_is_the_mean_over_corpora_drawn(
    others: int, better: int, size: int, seed: int
) -> None:
    better, size = min(better, others), min(size, others + 1)
    rng = np.random.default_rng(seed)
    drawn = np.array([rng.permutation(others)[: size - 1] for _ in range(2000)])
    first = (drawn >= better).all(axis=1).mean()  # the better ones are the first of the others
    assert hit_1_among(size, np.array([others]), np.array([better]))[0] == pytest.approx(first, abs=0.06)


def test_the_hit_in_the_whole_corpus_is_the_hit() -> None:
    assert hit_1_among(813, np.array([812, 812]), np.array([0, 1])).tolist() == pytest.approx([1, 0])


def test_the_interval_is_seeded_and_covers_the_true_mean() -> None:
    """Of 200 samples of 100 coin flips at 0.3, nearly 95% of the intervals hold 0.3."""
    rng = np.random.default_rng(1)
    samples = rng.random((200, 100)) < 0.3
    means = [macro_average([sample.astype(float)], seed=5, resamples=300) for sample in samples]
    assert 0.90 <= np.mean([mean.low <= 0.3 <= mean.high for mean in means]) <= 0.99
    assert macro_average([samples[0].astype(float)], seed=5, resamples=300) == means[0]


def test_the_macro_average_counts_every_task_alike_and_its_interval_covers_it() -> None:
    """A large and a small task weigh the same; of 200 draws nearly 95% of the intervals hold (0.2 + 0.8) / 2."""
    rng = np.random.default_rng(2)
    draws: list[list[Values]] = [
        [(rng.random(n) < p).astype(float) for n, p in ((200, 0.2), (40, 0.8))] for _ in range(200)
    ]
    means = [macro_average(draw, seed=5, resamples=300) for draw in draws]
    assert means[0].mean == pytest.approx((draws[0][0].mean() + draws[0][1].mean()) / 2)
    assert 0.90 <= np.mean([mean.low <= 0.5 <= mean.high for mean in means]) <= 0.99
