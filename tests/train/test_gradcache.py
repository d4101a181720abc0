"""Gradients by chunks equal those of one graph; chunks hold what fits."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TypeVar

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from made_batches import encode_in_double, tiny_gve
from torch import Tensor, nn
from torch.nn.functional import normalize

from infra.media.encode import encode_image, encode_video
from shards.records import Side
from train.gradcache import cached_backward, chunk_by_grid
from train.inputs import Prepared
from train.loss import ContrastiveResult, contrastive_loss
from train.pixels import Patches

S = TypeVar("S")
Chunks = Sequence[Sequence[int]]


def made_loss(embeddings: Tensor) -> ContrastiveResult:
    """Of pairs and one hard negative each, as many as there are thirds of rows."""
    queries, targets, negatives = embeddings.chunk(3)
    pairs = len(queries)
    return contrastive_loss(
        queries, targets, negatives, torch.arange(pairs), torch.eye(pairs, dtype=torch.bool), 0.1, 2.0
    )


def one_graph(encode: Callable[[Sequence[S]], Tensor], sides: Sequence[S], chunks: Chunks) -> ContrastiveResult:
    """Embeds chunk by chunk in one graph, rows put back by hand, and differentiates."""
    rows: dict[int, Tensor] = {}
    for chunk in chunks:
        rows |= zip(chunk, encode([sides[row] for row in chunk]), strict=True)
    result = made_loss(torch.stack([rows[row] for row in range(len(sides))]))
    result.loss.backward()
    return result


def gradients_and_next_number(
    model: nn.Module, backward: Callable[[], ContrastiveResult]
) -> tuple[float, list[Tensor], float]:
    """The loss, the gradients that `backward` leaves, and what is drawn after it, from one seed."""
    model.zero_grad()
    torch.manual_seed(7)
    loss = float(backward().loss.detach())
    return loss, [w.grad.clone() for w in model.parameters() if w.grad is not None], float(torch.rand(()))


def assert_equal(model: nn.Module, encode: Callable[[Sequence[S]], Tensor], sides: Sequence[S], chunks: Chunks) -> None:
    expected = gradients_and_next_number(model, lambda: one_graph(encode, sides, chunks))
    loss, gradients, number = gradients_and_next_number(
        model, lambda: cached_backward(encode, sides, chunks, made_loss)
    )
    assert loss == pytest.approx(expected[0], abs=1e-9)
    assert number == expected[2]
    torch.testing.assert_close(gradients, expected[1], atol=1e-6, rtol=1e-6)
    assert any(gradient.abs().max() > 1e-3 for gradient in gradients)


def dropping(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Dropout(0.4), nn.Linear(8, 4)).double()


@given(st.permutations(range(12)), st.sets(st.integers(1, 11)), st.integers(0, 100))
def test_any_chunks_give_the_gradients_of_one_graph_with_dropout_on(rows: list[int], cuts: set[int], seed: int) -> None:
    model = dropping(seed)
    sides = list(torch.randn(12, 6, dtype=torch.float64))
    bounds = [0, *sorted(cuts), 12]
    chunks = [rows[start:stop] for start, stop in pairwise(bounds)]
    assert_equal(model, lambda part: normalize(model(torch.stack(list(part))), dim=1), sides, chunks)


def test_one_chunk_is_embedded_once_and_several_twice() -> None:
    model = dropping(0)
    graphs: list[bool] = []

    def encode(part: Sequence[Tensor]) -> Tensor:
        graphs.append(torch.is_grad_enabled())
        return normalize(model(torch.stack(list(part))), dim=1)

    sides = list(torch.randn(3, 6, dtype=torch.float64))
    assert not cached_backward(encode, sides, [[2, 0, 1]], made_loss).loss.requires_grad
    assert graphs == [True]
    cached_backward(encode, sides, [[2], [0, 1]], made_loss)
    assert graphs == [True, False, False, True, True]


def test_the_tiny_model_with_media_and_dropout() -> None:
    gve = tiny_gve()
    for layer in gve.model.language_model.layers:
        layer.self_attn.attention_dropout = 0.3
    gve.model.train()
    rng = np.random.default_rng(0)
    frames = [rng.integers(0, 256, (56, 84, 3), dtype=np.uint8) for _ in range(4)]
    sides = [Side(text="a red square"), Side(image=encode_image(frames[0])), Side(text="the blue disc " * 4)]
    sides += [Side(text="then", video=encode_video(frames, fps=4)), Side(image=encode_image(frames[1][:56, :56]))]
    prepared = [gve.inputs.prepare(side) for side in (*sides, Side(text="a disc"))]
    chunks = chunk_by_grid(prepared, 120)
    assert len(chunks) > 2
    assert_equal(gve.model, lambda part: encode_in_double(gve, part), prepared, chunks)


def side(length: int, video: tuple[int, int, int] | None = None, image: tuple[int, int, int] | None = None) -> Prepared:
    """A side with these many tokens and media of these grids, whose patches hold nothing."""
    media = [Patches(torch.empty(np.prod(grid), 0), grid) if grid else None for grid in (image, video)]
    return Prepared(np.zeros(length, np.int64), np.zeros((3, length), np.int64), *media)


def test_chunks_hold_like_sides_up_to_their_tokens() -> None:
    large, small = (4, 8, 8), (4, 4, 4)  # 64 and 16 tokens
    sides = [side(10), side(30, small), side(80, large), side(12), side(30, small), side(80, large), side(11)]
    assert chunk_by_grid(sides, 0) == [[2, 5, 1, 4, 3, 6, 0]]
    assert chunk_by_grid(sides, 288) == [[2, 5], [1, 4, 3, 6, 0]]  # 2 * 80 + 2 * 64; 5 * 30 + 2 * 16
    assert chunk_by_grid(sides, 287) == [[2], [5, 1], [4, 3, 6, 0]]  # 2 * 80 + 64 + 16; 4 * 30 + 16
    assert chunk_by_grid(sides, 92) == [[2], [5], [1, 4], [3, 6, 0]]  # a large one is 144 by itself
    assert chunk_by_grid([side(20, image=(1, 4, 8)), side(20, video=(1, 4, 8))], 56) == [[1, 0]]
    assert chunk_by_grid([], 0) == chunk_by_grid([], 5) == []


grids = st.none() | st.tuples(st.just(2), st.sampled_from([2, 4]), st.sampled_from([2, 4]))


@given(st.lists(st.builds(side, st.integers(1, 60), grids, grids), max_size=30), st.integers(0, 300))
def test_every_side_is_in_one_chunk_that_fits_or_alone(sides: list[Prepared], most: int) -> None:
    chunks = chunk_by_grid(sides, most)
    assert sorted(row for chunk in chunks for row in chunk) == list(range(len(sides)))
    for chunk in chunks:
        inside = [sides[row] for row in chunk]
        media = sum(len(item.data) for s in inside for item in (s.image, s.video) if item)
        assert most == 0 or len(chunk) == 1 or len(chunk) * max(len(s.ids) for s in inside) + media / 4 <= most
