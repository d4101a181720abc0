"""The contrastive loss equals the equation of the paper, written out pair by pair."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from train.loop import learning_rate
from train.loss import same_content, symmetric_info_nce


def naive_loss(queries: np.ndarray, targets: np.ndarray, q_ids: list[str], t_ids: list[str], t: float) -> float:
    n = len(queries)

    def one_way(score: list[list[float]]) -> float:
        total = 0.0
        for i in range(n):
            others = [j for j in range(n) if j != i and q_ids[j] != q_ids[i] and t_ids[j] != t_ids[i]]
            below = math.exp(score[i][i] / t) + sum(math.exp(score[i][j] / t) for j in others)
            total -= math.log(math.exp(score[i][i] / t) / below)
        return total / n

    forward = [[float(q @ y) for y in targets] for q in queries]
    backward = [[forward[i][j] for i in range(n)] for j in range(n)]
    return (one_way(forward) + one_way(backward)) / 2


ids = st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from("uvwxyz")), min_size=1, max_size=8)


@given(ids, st.integers(0, 1000), st.sampled_from([0.03, 0.5]))
def test_equals_the_equation(pairs: list[tuple[str, str]], seed: int, temperature: float) -> None:
    rng = np.random.default_rng(seed)
    queries, targets = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in rng.normal(size=(2, len(pairs), 5)))
    q_ids, t_ids = [q for q, _ in pairs], [t for _, t in pairs]
    result = symmetric_info_nce(
        torch.from_numpy(queries), torch.from_numpy(targets), same_content(q_ids, t_ids), temperature
    )
    assert float(result.loss) == pytest.approx(naive_loss(queries, targets, q_ids, t_ids, temperature), abs=1e-9)


def test_scores_are_of_the_positives_and_the_hardest_unmasked_negatives() -> None:
    queries = torch.eye(3)
    targets = torch.nn.functional.normalize(torch.tensor([[1.0, 0, 0], [0.8, 0.6, 0], [0.6, 0, 0.8]]), dim=1)
    result = symmetric_info_nce(queries, targets, same_content(["a", "b", "c"], ["x", "x", "z"]), 0.03)
    assert result.positive_score == pytest.approx((1 + 0.6 + 0.8) / 3)
    assert result.negative_gap == pytest.approx(((1 - 0.6) + (0.6 - 0) + (0.8 - 0)) / 3)


def test_shared_content_gives_no_gradient() -> None:
    queries = torch.nn.functional.normalize(torch.randn(2, 4), dim=1).requires_grad_()
    symmetric_info_nce(queries, queries.detach(), same_content(["a", "b"], ["x", "x"]), 0.03).loss.backward()
    assert queries.grad is not None
    assert not queries.grad.any()


def test_the_learning_rate_warms_up_and_falls_along_a_cosine() -> None:
    rates = [learning_rate(step, 110, peak=2.0, warmup_share=10 / 110) for step in range(110)]
    assert rates[:11] == pytest.approx([0.2 * n for n in range(1, 11)] + [2.0])
    assert rates[60] == pytest.approx(1.0)
    assert all(later < earlier for earlier, later in pairwise(rates[10:]))
    assert 0 < rates[-1] < 0.001
    assert learning_rate(0, 1, 2.0, 0.0) == 2.0
