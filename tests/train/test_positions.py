"""3-D rotary positions: by hand, as a naive twin of the rule, and as transformers where its versions agree."""

from itertools import product

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import Qwen2_5_VLModel

from train.positions import VisionSpan, mrope_positions
from train.settings import TinySettings
from train.tiny import random_model, tiny_config, train_tokenizer


def naive(spans: list[int | VisionSpan], tokens_per_second: int) -> list[tuple[int, int, int]]:
    """The rule of transformers 4.57, token by token."""
    tokens: list[tuple[int, int, int]] = []
    for span in spans:
        start = max(max(token) for token in tokens) + 1 if tokens else 0
        if isinstance(span, int):
            tokens += [(start + i,) * 3 for i in range(span)]
        else:
            step = int(span.seconds_per_grid) * tokens_per_second
            cells = product(range(span.t), range(span.h), range(span.w))
            tokens += [(start + t * step, start + h, start + w) for t, h, w in cells]
    return tokens


def test_a_clip_between_texts() -> None:
    positions = mrope_positions([2, VisionSpan(2, 1, 2, seconds_per_grid=2.9), 1], tokens_per_second=2)
    assert positions.T.tolist() == [[0] * 3, [1] * 3, [2, 2, 2], [2, 2, 3], [6, 2, 2], [6, 2, 3], [7] * 3]


sizes = st.integers(1, 5)
vision = st.builds(VisionSpan, sizes, sizes, sizes, st.floats(0, 5))


@given(st.lists(st.integers(0, 9) | vision, min_size=1), st.integers(1, 25))
def test_equals_the_naive_twin(spans: list[int | VisionSpan], tokens_per_second: int) -> None:
    positions = mrope_positions(spans, tokens_per_second)
    assert [tuple(token) for token in positions.T.tolist()] == naive(spans, tokens_per_second)


def test_images_agree_with_the_installed_transformers() -> None:
    """For images all versions of transformers have one rule; for clips theirs changed, ours did not."""
    model: Qwen2_5_VLModel = random_model(tiny_config(train_tokenizer([], 300), TinySettings(layers=2)), seed=0)
    kinds = torch.tensor([[0] * 3 + [1] * 6 + [0] * 2 + [1] * 4 + [0] * 4])
    grids = torch.tensor([[1, 4, 6], [1, 4, 4]])
    theirs, _ = model.get_rope_index(torch.zeros_like(kinds), kinds, image_grid_thw=grids)
    ours = mrope_positions([3, VisionSpan(1, 2, 3), 2, VisionSpan(1, 2, 2), 4], tokens_per_second=2)
    assert np.array_equal(theirs[:, 0].numpy(), ours)
