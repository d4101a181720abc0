"""Many ranks give the gradients of one, on a small module and on GVE."""

import numpy as np
import pytest
import torch
from rank_processes import on_ranks, step_gradients

from train.loss import PairIds
from train.ranks import Ranks
from train.step import distributed_contrastive


@pytest.mark.parametrize("size", [2, 4])
def test_gradients_of_several_ranks_are_those_of_one(size: int) -> None:
    """Ranks have unequal parts, one of four has none; duplicates and hard negatives reach across ranks."""
    alone = step_gradients(Ranks())
    for of_rank in on_ranks(size, step_gradients):
        for name, (measures, gradients) in of_rank.items():
            expected_measures, expected = alone[name.removesuffix(" by chunks")]
            assert measures == pytest.approx(expected_measures, abs=1e-6)
            assert max(np.abs(gradient).max() for gradient in expected if gradient is not None) > 0.1
            for ours, theirs in zip(gradients, expected, strict=True):
                assert (ours is None) == (theirs is None), name
                if ours is not None:
                    np.testing.assert_allclose(ours, theirs, atol=1e-6, rtol=0, err_msg=name)


def test_a_hard_negative_that_is_a_known_positive_of_its_owner_is_left_out() -> None:
    torch.manual_seed(0)
    queries, targets, negatives = (torch.nn.functional.normalize(torch.randn(3, 4), dim=1) for _ in range(3))

    def loss(names: tuple[str, ...], owners: tuple[int, ...], vectors: torch.Tensor) -> float:
        ids = PairIds(("a", "b", "a"), ("x", "y", "z"), names, owners)
        return distributed_contrastive(Ranks(), queries, targets, vectors, ids, 0.1, 2.0).loss.item()

    without = loss((), (), negatives[:0])
    assert loss(("x", "z", "y"), (2, 0, 1), negatives) == without
    assert loss(("x", "z", "x"), (2, 0, 1), negatives) == loss(("x",), (1,), negatives[2:]) > without
