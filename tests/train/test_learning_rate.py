"""The learning rate's schedule, step by step."""

from itertools import pairwise

import pytest

from train.loop import learning_rate


def test_the_learning_rate_warms_up_and_falls_along_a_cosine() -> None:
    rates = [learning_rate(step, 110, peak=2.0, warmup_share=10 / 110) for step in range(110)]
    assert rates[:11] == pytest.approx([0.2 * n for n in range(1, 11)] + [2.0])
    assert rates[60] == pytest.approx(1.0)
    assert all(later < earlier for earlier, later in pairwise(rates[10:]))
    assert 0 < rates[-1] < 0.001
    assert learning_rate(0, 1, 2.0, 0.0) == 2.0
