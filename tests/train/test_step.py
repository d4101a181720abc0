"""Many ranks give the gradients of one, on a small module and on GVE."""

import numpy as np
import pytest
from rank_processes import on_ranks, step_gradients

from train.ranks import Ranks


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
