"""Gradients of a loss over more sides than fit into memory at once: GradCache.

The algorithm is that of Gao et al., "Scaling Deep Contrastive Learning Batch Size under Memory Limited
Setup" (2021): all sides are embedded in chunks without a graph; the loss gives the gradient at each
embedding; each chunk is embedded once more with its graph, through which its gradient then flows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

import torch
from torch import Tensor

from train.inputs import Prepared
from train.loss import ContrastiveResult

S = TypeVar("S")


def cached_backward(
    encode: Callable[[Sequence[S]], Tensor],
    sides: Sequence[S],
    chunks: Sequence[Sequence[int]],
    loss_of: Callable[[Tensor], ContrastiveResult],
) -> ContrastiveResult:
    """Add to the parameters' gradients those of `loss_of` at the embeddings of `sides`; its loss comes detached.

    `chunks` holds each row of `sides` once; `encode` gives the embeddings [rows, dim] of a chunk, and
    `loss_of` is asked once, for all embeddings [len(sides), dim]. One chunk is embedded once, several
    twice, the second time with the random numbers of the first, so that dropout leaves out the same.
    What is drawn afterwards is as if each chunk had been embedded once. Without sides `loss_of` gets
    embeddings [0, 0]: a rank with nothing to embed still takes part in the others' loss.
    """
    if not sides:
        result = loss_of(torch.empty(0, 0))
    elif len(chunks) == 1:
        result = loss_of(_in_order([_embed(encode, sides, chunks[0])], chunks))
        result.loss.backward()  # type: ignore[no-untyped-call]
    else:
        result = _backward_by_chunks(encode, sides, chunks, loss_of)
    return replace(result, loss=result.loss.detach())


def _backward_by_chunks(
    encode: Callable[[Sequence[S]], Tensor],
    sides: Sequence[S],
    chunks: Sequence[Sequence[int]],
    loss_of: Callable[[Tensor], ContrastiveResult],
) -> ContrastiveResult:
    states, parts = [], []
    with torch.no_grad():
        for rows in chunks:
            states.append(_random_states())
            parts.append(_embed(encode, sides, rows))
    embeddings = _in_order(parts, chunks).requires_grad_()
    result = loss_of(embeddings)
    (gradients,) = torch.autograd.grad(result.loss, embeddings)
    for rows, state in zip(chunks, states, strict=True):  # the last one leaves the generators as it did before
        _restore(state)
        _embed(encode, sides, rows).backward(gradients[list(rows)])  # type: ignore[no-untyped-call]
    return result


def _embed(encode: Callable[[Sequence[S]], Tensor], sides: Sequence[S], rows: Sequence[int]) -> Tensor:
    return encode([sides[row] for row in rows])


def _in_order(parts: Sequence[Tensor], chunks: Sequence[Sequence[int]]) -> Tensor:
    places = torch.tensor([row for rows in chunks for row in rows]).argsort()
    return torch.cat(list(parts))[places]


def _random_states() -> list[Tensor]:
    """States of the generators that dropout draws from: the CPU's and, where one is used, the current GPU's."""
    on_gpu = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    return [torch.get_rng_state(), *([torch.cuda.get_rng_state()] if on_gpu else [])]


def _restore(states: list[Tensor]) -> None:
    torch.set_rng_state(states[0])
    for state in states[1:]:
        torch.cuda.set_rng_state(state)


def chunk_by_grid(prepared: Sequence[Prepared], most_tokens: int) -> list[list[int]]:
    """Rows of `prepared` in chunks of like media grids and lengths, each of at most `most_tokens`; 0: in one chunk.

    The same sides give the same chunks, those with the largest media first. A chunk's tokens are those
    of the language model, padded to its longest side, and as many again for its media in the vision
    tower. A side that is too long by itself is a chunk of its own.
    """
    rows = sorted(range(len(prepared)), key=lambda row: _shape(prepared[row]), reverse=True)
    if not most_tokens:
        return [rows] if rows else []
    chunks: list[list[int]] = []
    for row in rows:
        if chunks and _tokens([prepared[other] for other in (*chunks[-1], row)]) <= most_tokens:
            chunks[-1].append(row)
        else:
            chunks.append([row])
    return chunks


def _shape(side: Prepared) -> tuple[int, ...]:
    grids = [media.grid if media else (0, 0, 0) for media in (side.video, side.image)]
    return (*grids[0], *grids[1], len(side.ids))


def _tokens(sides: Sequence[Prepared]) -> int:
    media = sum(item.tokens for side in sides for item in (side.video, side.image) if item)
    return len(sides) * max(len(side.ids) for side in sides) + media
