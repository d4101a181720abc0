"""The contrastive loss equals the equation of the paper, written out pair by pair."""

import math
from typing import NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import normalize

from train.loss import ContrastiveResult, PairIds, contrastive_loss, known_positives

Row = tuple[str, str, list[str]]  # ids of a query, its target and its hard negatives


class Naive(NamedTuple):
    loss: float
    positive_score: float
    negative_gap: float | None
    masked: float


def ids_of(rows: list[Row]) -> PairIds:
    return PairIds(
        tuple(query for query, _, _ in rows),
        tuple(target for _, target, _ in rows),
        tuple(name for _, _, names in rows for name in names),
        tuple(row for row, (_, _, names) in enumerate(rows) for _ in names),
    )


def loss_of(
    ids: PairIds, queries: Tensor, targets: Tensor, negatives: Tensor, t: float, margin: float
) -> ContrastiveResult:
    kept = ~ids.right_negatives()
    owner = torch.tensor(ids.owners, dtype=torch.int64)[kept]
    known = known_positives(ids.queries, ids.targets)
    return contrastive_loss(queries, targets, negatives[kept], owner, known, t, margin)


def naive(
    rows: list[Row], queries: np.ndarray, targets: np.ndarray, negatives: np.ndarray, t: float, margin: float
) -> Naive:
    """The loss and its measures by loops over pairs, from ids and vectors alone."""
    positives = {(query, target) for query, target, _ in rows}
    losses, gaps, asked, left_out, hard = [], [], 0, 0, iter(negatives)

    def one_way(own: float, others: list[float]) -> list[float]:
        nonlocal asked, left_out
        kept = [score for score in others if score <= own + margin]
        asked, left_out = asked + len(others), left_out + len(others) - len(kept)
        losses.append(-math.log(math.exp(own / t) / sum(math.exp(score / t) for score in [own, *kept])))
        return kept

    for i, (query, target, names) in enumerate(rows):
        own = float(queries[i] @ targets[i])
        others = [float(queries[i] @ targets[j]) for j, row in enumerate(rows) if (query, row[1]) not in positives]
        mined = [(name, float(queries[i] @ next(hard))) for name in names]
        others += [score for name, score in mined if (query, name) not in positives]
        kept = one_way(own, others)
        gaps += [own - max(kept)] if kept else []
        askers = [j for j, row in enumerate(rows) if (row[0], target) not in positives]
        one_way(own, [float(queries[j] @ targets[i]) for j in askers])
    return Naive(
        sum(losses) / len(rows) / 2,
        float(np.mean([q @ y for q, y in zip(queries, targets, strict=True)])),
        float(np.mean(gaps)) if gaps else None,
        left_out / asked if asked else 0.0,
    )


names = st.sampled_from("uvwxyz")
batches = st.lists(st.tuples(st.sampled_from("abcdef"), names, st.lists(names, max_size=3)), min_size=1, max_size=8)


def unit_vectors(rng: np.random.Generator, count: int) -> np.ndarray:
    vectors = rng.normal(size=(count, 5))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@given(batches, st.integers(0, 1000), st.sampled_from([0.03, 0.5]), st.sampled_from([0.0, 0.1, 0.5, 2.0]))
def test_equals_the_equation(rows: list[Row], seed: int, temperature: float, margin: float) -> None:
    rng, ids = np.random.default_rng(seed), ids_of(rows)
    vectors = [unit_vectors(rng, len(part)) for part in (ids.queries, ids.targets, ids.negatives)]
    result = loss_of(ids, *map(torch.from_numpy, vectors), temperature, margin)
    expected = naive(rows, *vectors, temperature, margin)
    assert result.loss.dtype == torch.float64
    assert float(result.loss) == pytest.approx(expected.loss, abs=1e-9)
    assert result.positive_score == pytest.approx(expected.positive_score)
    assert result.negative_gap == pytest.approx(expected.negative_gap)
    assert result.masked == pytest.approx(expected.masked)


def cosines(*rows: list[float]) -> Tensor:
    """Unit vectors [n, 3] with these first two components."""
    return torch.tensor([[a, b, math.sqrt(max(0.0, 1 - a * a - b * b))] for a, b in rows], dtype=torch.float64)


def small(hard: list[float], margin: float) -> ContrastiveResult:
    """Two pairs with cosines 0.5 and 0.4 of their own, 0.55 and 0.1 of the other's, and one hard negative of pair 0."""
    queries = cosines([1, 0], [0, 1])
    targets = cosines([0.5, 0.1], [0.55, 0.4])
    return contrastive_loss(
        queries, targets, cosines(hard), torch.tensor([0]), torch.eye(2, dtype=torch.bool), 0.5, margin
    )


def test_by_hand() -> None:
    result = small([0.3, 0.9], margin=0.2)
    q_0 = -math.log(math.exp(1.0) / (math.exp(1.0) + math.exp(1.1) + math.exp(0.6)))
    q_1 = -math.log(math.exp(0.8) / (math.exp(0.8) + math.exp(0.2)))  # the hard negative is not its own
    y_0 = -math.log(math.exp(1.0) / (math.exp(1.0) + math.exp(0.2)))
    y_1 = -math.log(math.exp(0.8) / (math.exp(0.8) + math.exp(1.1)))
    assert float(result.loss) == pytest.approx((q_0 + q_1 + y_0 + y_1) / 4, abs=1e-12)
    assert result.positive_score == pytest.approx(0.45)
    assert result.negative_gap == pytest.approx(((0.5 - 0.55) + (0.4 - 0.1)) / 2)
    assert result.masked == 0


def test_a_negative_far_above_the_positive_is_left_out_of_each_direction_by_that_direction_s_positive() -> None:
    """0.55 beats the positive of its query, 0.5, by less than 0.1, and that of its target, 0.4, by more."""
    result = small([0.65, 0.0], margin=0.1)
    q_0 = -math.log(math.exp(1.0) / (math.exp(1.0) + math.exp(1.1)))  # without the hard negative, 0.15 above
    q_1 = -math.log(math.exp(0.8) / (math.exp(0.8) + math.exp(0.2)))
    y_0 = -math.log(math.exp(1.0) / (math.exp(1.0) + math.exp(0.2)))
    assert float(result.loss) == pytest.approx((q_0 + q_1 + y_0 + 0.0) / 4, abs=1e-12)
    assert result.masked == pytest.approx(2 / 5)


@pytest.mark.parametrize("margin", [0.1, 2.0])
def test_gradients_are_those_of_finite_differences(margin: float) -> None:
    torch.manual_seed(0)
    sides = [torch.randn(rows, 3, dtype=torch.float64, requires_grad=True) for rows in (4, 4, 5)]
    owner, known = torch.tensor([0, 3, 1, 0, 3]), known_positives("abca", "xyzz")

    def loss(*sides: Tensor) -> Tensor:
        return contrastive_loss(*(normalize(side, dim=1) for side in sides), owner, known, 0.2, margin).loss

    assert torch.autograd.gradcheck(loss, sides)


def test_known_positives_of_another_row_get_no_gradient() -> None:
    torch.manual_seed(0)
    queries, targets = (normalize(torch.randn(2, 4), dim=1).requires_grad_() for _ in range(2))
    ids = PairIds(("a", "a"), ("x", "y"), ("y",), (0,))
    negatives = targets.detach()[1:].clone().requires_grad_()
    result = loss_of(ids, queries, targets, negatives, 0.03, 2.0)
    result.loss.backward()
    for side in (queries, targets):
        assert side.grad is not None
        assert not side.grad.any()
    assert negatives.grad is None or not negatives.grad.any()
    assert result.loss.dtype == torch.float32
    assert (result.loss.item(), result.negative_gap, result.masked) == (0, None, 0)


def test_a_query_all_of_whose_negatives_are_suspected_does_not_count_for_the_gap() -> None:
    assert small([0.55, 0.0], margin=0.01).negative_gap == pytest.approx(0.4 - 0.1)


@given(st.lists(st.tuples(st.sampled_from("abcdef"), names), max_size=12))
def test_a_known_positive_is_what_some_pair_joins(pairs: list[tuple[str, str]]) -> None:
    known = known_positives([query for query, _ in pairs], [target for _, target in pairs])
    assert known.tolist() == [[(query, target) in pairs for _, target in pairs] for query, _ in pairs]


@given(st.lists(batches, min_size=1, max_size=4))
def test_ids_of_several_batches_are_those_of_one(parts: list[list[Row]]) -> None:
    assert PairIds.joined([ids_of(part) for part in parts]) == ids_of([row for part in parts for row in part])
