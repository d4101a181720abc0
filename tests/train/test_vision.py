"""The quickened vision tower is transformers' own: names, outputs, gradients."""

from copy import deepcopy
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from train.settings import TinySettings
from train.tiny import random_model, tiny_config, train_tokenizer
from train.vision import GroupedAttention, LinearPatchEmbed, Plans, plan_windows, quicken

# Frame pairs of several windows of 8 x 8 patches, whole and cut; one of a single window; two of the same shape.
GRIDS = torch.tensor([[2, 20, 36], [1, 4, 6], [4, 16, 16], [2, 20, 36]])


@pytest.fixture(scope="module")
def towers() -> tuple[Any, Any]:
    """transformers' own tower, three blocks of which the last attends to whole frame pairs, and a quickened one."""
    config = tiny_config(train_tokenizer([], 300), TinySettings(layers=2, vocab_size=300, vision_depth=3))
    native = random_model(config, seed=0).visual
    quick = deepcopy(native)
    quicken(quick)
    return native, quick


def test_weights_keep_their_names(towers: tuple[Any, Any]) -> None:
    native, quick = towers
    assert isinstance(quick.patch_embed, LinearPatchEmbed)
    assert all(isinstance(block.attn, GroupedAttention) for block in quick.blocks)
    quick.load_state_dict(native.state_dict())


def test_outputs_and_gradients_are_those_of_transformers(towers: tuple[Any, Any]) -> None:
    patches = torch.randn(int(GRIDS.prod(dim=1).sum()), 1176, generator=torch.Generator().manual_seed(0))
    found = []
    for tower in towers:
        tower.zero_grad()
        tokens = tower(patches, grid_thw=GRIDS).pooler_output
        (tokens * torch.linspace(-1, 1, tokens.shape[1])).sum().backward()
        found.append((tokens, {name: weight.grad for name, weight in tower.named_parameters()}))
    (theirs, their_grads), (ours, our_grads) = found
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)
    for name, grad in their_grads.items():
        torch.testing.assert_close(our_grads[name], grad, atol=1e-3 * float(grad.abs().max()), rtol=1e-3)


@given(st.lists(st.sampled_from([4, 16, 32, 64]), min_size=1, max_size=30))
def test_a_plan_gathers_every_window_whole_by_its_length(lengths: list[int]) -> None:
    bounds = torch.tensor([0, *np.cumsum(lengths)])
    plan = plan_windows(bounds)
    patches = torch.arange(sum(lengths))
    sorted_patches = patches if plan.order is None else patches[plan.order]
    starts = set(bounds[:-1].tolist())
    for part, (count, length) in zip(
        sorted_patches.split([n * length for n, length in plan.groups]), plan.groups, strict=True
    ):
        windows = part.view(count, length)
        assert torch.equal(windows - windows[:, :1], torch.arange(length).expand(count, -1))
        assert set(windows[:, 0].tolist()) <= starts
    assert sum(count for count, _ in plan.groups) == len(lengths)
    assert plan.back is None or torch.equal(sorted_patches[plan.back], patches)
    assert (plan.order is None) == (sorted(lengths) == lengths)


def test_bounds_are_read_once_while_they_are_in_use() -> None:
    plans, bounds = Plans(), torch.tensor([0, 16, 20])
    assert plans(bounds) is plans(bounds)
    assert plans(bounds.clone()) is not plans(bounds)
