"""The contrastive loss of GVE and the scores shown beside it (arXiv 2510.27571, section 3.3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy


@dataclass(frozen=True)
class ContrastiveResult:
    """What one batch gives: the loss, to be differentiated, and two scores (cosines) to be watched."""

    loss: Tensor
    positive_score: float  # mean cosine of a query and its own target
    negative_gap: float  # mean over queries of that cosine less the best cosine with another's target


def symmetric_info_nce(queries: Tensor, targets: Tensor, same: Tensor, temperature: float) -> ContrastiveResult:
    """Symmetric InfoNCE over in-batch negatives, L = (L_q->y + L_y->q) / 2 with cosine scores s:

        L_q = -log exp(s(q_i, y_i) / t) / sum_j exp(s(q_i, y_j) / t)

    `queries` and `targets` are unit vectors [n, dim], row i of one belonging to row i of the other. Where
    `same` [n, n] is true off the diagonal, y_j is as right for q_i as its own target: it is left out of
    the sums of both directions.
    """
    n = len(queries)
    own = torch.eye(n, dtype=torch.bool, device=queries.device)
    scores = queries @ targets.T
    logits = (scores / temperature).masked_fill(same & ~own, -torch.inf)
    labels = torch.arange(n, device=queries.device)
    loss = (cross_entropy(logits, labels) + cross_entropy(logits.T, labels)) / 2
    seen = scores.detach()
    best_negative = seen.masked_fill(same | own, -1.0).amax(dim=1)  # -1: no cosine is lower
    positive = seen.diagonal()
    return ContrastiveResult(loss, float(positive.mean()), float((positive - best_negative).mean()))


def same_content(query_ids: Sequence[str], target_ids: Sequence[str]) -> Tensor:
    """Bool [n, n]: whether pairs i and j share their query or their target, so neither is the other's negative."""
    rows = [
        [q == other_q or t == other_t for other_q, other_t in zip(query_ids, target_ids, strict=True)]
        for q, t in zip(query_ids, target_ids, strict=True)
    ]
    return torch.tensor(rows)
