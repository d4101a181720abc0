"""The gradients of one contrastive step over the sides of all ranks (arXiv 2510.27571, section 3.3).

Every rank embeds its own sides, gathers the others' embeddings, and computes the loss of the whole
batch, of which it differentiates its own embeddings alone. So the sum, not the mean, of the ranks'
gradients is the gradient that one process with all sides would have.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
from torch import Tensor

from train.gradcache import cached_backward
from train.loss import ContrastiveResult, PairIds, contrastive_loss, known_positives
from train.ranks import Ranks

S = TypeVar("S")


def step_backward(
    encode: Callable[[Sequence[S]], Tensor],
    sides: Sequence[S],
    chunks: Sequence[Sequence[int]],
    ids: PairIds,
    ranks: Ranks,
    temperature: float,
    margin: float,
) -> ContrastiveResult:
    """Add this rank's share of the batch's gradients to the parameters'; `ranks.sum_gradients` completes them.

    `sides` are this rank's n queries, n targets and m hard negatives, in this order, with their `ids`;
    n and m may differ between ranks and be 0. `encode` and `chunks` are those of `cached_backward`. The
    result is that of the whole batch, the same on each rank.
    """
    sizes = [len(ids.queries), len(ids.targets), len(ids.negatives)]

    def loss_of(embeddings: Tensor) -> ContrastiveResult:
        queries, targets, negatives = torch.split(embeddings, sizes)
        return distributed_contrastive(ranks, queries, targets, negatives, ids, temperature, margin)

    return cached_backward(encode, sides, chunks, loss_of)


def distributed_contrastive(
    ranks: Ranks,
    queries: Tensor,
    targets: Tensor,
    negatives: Tensor,
    ids: PairIds,
    temperature: float,
    margin: float,
) -> ContrastiveResult:
    """`contrastive_loss` of all ranks' pairs, of which this rank gives `queries`, `targets`, `negatives` and `ids`.

    Hard negatives that some rank's pair names as a positive of their owner are left out.
    """
    everyones = PairIds.joined(ranks.share(ids))
    all_queries, all_targets, all_negatives = (_with_own(ranks, own) for own in (queries, targets, negatives))
    device = all_queries.device
    kept = (~everyones.right_negatives()).to(device)
    owner = torch.tensor(everyones.owners, dtype=torch.int64, device=device)
    known = known_positives(everyones.queries, everyones.targets).to(device)
    return contrastive_loss(all_queries, all_targets, all_negatives[kept], owner[kept], known, temperature, margin)


def _with_own(ranks: Ranks, own: Tensor) -> Tensor:
    """All ranks' rows [n, dim], of which this rank's have a gradient."""
    parts = ranks.gather(own)
    if len(own):
        parts[ranks.rank] = own
    return torch.cat(parts)
