"""The contrastive loss of GVE and the measures watched beside it (arXiv 2510.27571, section 3.3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy


@dataclass(frozen=True)
class ContrastiveResult:
    """What one step gives: the loss, to be differentiated, what it is of, and three measures of its cosines."""

    loss: Tensor
    queries: Tensor  # [n, dim] unit vectors, detached
    targets: Tensor  # [n, dim]
    positive_score: float  # mean over pairs of a query and its own target
    negative_gap: float | None  # mean of that less the best kept negative's, over queries with one; None: none has
    masked: float  # share of all negatives of both directions left out as suspected positives


@dataclass(frozen=True)
class PairIds:
    """The ids of a batch of n pairs and m hard negatives; negatives are targets of other pairs."""

    queries: tuple[str, ...]
    targets: tuple[str, ...]
    negatives: tuple[str, ...] = ()
    owners: tuple[int, ...] = ()  # for each negative, the row of the query that it was mined for

    @classmethod
    def joined(cls, parts: Sequence[PairIds]) -> PairIds:
        """The ids of several batches as those of one; owners' rows move along with their queries."""
        starts = accumulate((len(part.queries) for part in parts), initial=0)
        return cls(
            tuple(name for part in parts for name in part.queries),
            tuple(name for part in parts for name in part.targets),
            tuple(name for part in parts for name in part.negatives),
            tuple(start + row for start, part in zip(starts, parts, strict=False) for row in part.owners),
        )

    def right_negatives(self) -> Tensor:
        """Bool [m]: the hard negatives that some pair of the batch names as a positive of their owner."""
        positives = set(zip(self.queries, self.targets, strict=True))
        owned = zip(self.owners, self.negatives, strict=True)
        return torch.tensor([(self.queries[row], name) in positives for row, name in owned], dtype=torch.bool)


def known_positives(query_ids: Sequence[str], target_ids: Sequence[str]) -> Tensor:
    """Bool [n, n]: whether some pair of the batch joins the query of row i to the target of row j.

    Several positives: a query that stands in several pairs has a row for each, whose positive is that
    pair's target; its other targets are marked here, and so are negatives in none of its rows. The
    loss's mean over rows is then the mean over the query's positives. The same holds for a target of
    several queries.
    """
    queries, targets = _numbers(query_ids), _numbers(target_ids)
    paired = np.zeros((len(queries), len(targets)), dtype=bool)
    paired[queries, targets] = True
    return torch.from_numpy(paired[np.ix_(queries, targets)])


def _numbers(names: Sequence[str]) -> list[int]:
    numbers: dict[str, int] = {}
    return [numbers.setdefault(name, len(numbers)) for name in names]


def contrastive_loss(
    queries: Tensor,
    targets: Tensor,
    negatives: Tensor,
    owner: Tensor,
    known: Tensor,
    temperature: float,
    margin: float,
) -> ContrastiveResult:
    """Symmetric InfoNCE over in-batch and hard negatives, L = (L_q->y + L_y->q) / 2 with cosines s:

        L_q->y = mean_i -log exp(s(q_i, y_i) / t) / [sum_j exp(s(q_i, y_j) / t) + sum_{k in H_i} exp(s(q_i, y-_k) / t)]
        L_y->q = mean_j -log exp(s(q_j, y_j) / t) / sum_i exp(s(q_i, y_j) / t)

    `queries` and `targets` are unit vectors [n, dim], n > 0, row i of one belonging to row i of the
    other; `negatives` are unit vectors [m, dim], m >= 0, and H_i those with `owner` [m] i. Left out of
    the sums, off the diagonal: targets of rows j where `known` [n, n] is true for (i, j), in both
    directions; and any negative that beats the sum's own positive by more than `margin`, which is more
    likely a positive nobody named. Which these are is decided without gradients.
    """
    n = len(queries)
    scores = queries @ torch.cat([targets, negatives]).T
    back = scores[:, :n].T  # hard negatives are negatives of queries alone
    others = ~(known | torch.eye(n, dtype=torch.bool, device=known.device))
    hard = owner == torch.arange(n, device=owner.device)[:, None]
    candidates = torch.cat([others, hard], dim=1)
    kept, kept_back = _unsuspected(scores, candidates, margin), _unsuspected(back, others.T, margin)
    asked, left = int(candidates.sum() + others.sum()), int(kept.sum() + kept_back.sum())
    return ContrastiveResult(
        loss=(_info_nce(scores, kept, temperature) + _info_nce(back, kept_back, temperature)) / 2,
        queries=queries.detach(),
        targets=targets.detach(),
        positive_score=float(scores.detach().diagonal().mean()),
        negative_gap=_gap(scores.detach(), kept),
        masked=(asked - left) / asked if asked else 0.0,
    )


def _unsuspected(scores: Tensor, candidates: Tensor, margin: float) -> Tensor:
    seen = scores.detach()
    return candidates & (seen <= seen.diagonal()[:, None] + margin)


def _info_nce(scores: Tensor, negatives: Tensor, temperature: float) -> Tensor:
    """Mean over rows i of -log softmax_i over column i and those where `negatives`, of `scores`' shape, is true."""
    summed = negatives.clone().fill_diagonal_(True)
    logits = (scores / temperature).masked_fill(~summed, -torch.inf)
    return cross_entropy(logits, torch.arange(len(scores), device=scores.device))


def _gap(scores: Tensor, kept: Tensor) -> float | None:
    rows = kept.any(dim=1)
    if not rows.any():
        return None
    best = scores.masked_fill(~kept, -torch.inf).amax(dim=1)
    return float((scores.diagonal() - best)[rows].mean())
