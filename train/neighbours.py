"""Batches in which pairs are near each other: what a model confuses, it has to tell apart within one step.

The idea is that of B3 (Thirukovalluru et al. 2025, "Breaking the Batch Barrier (B3) of Contrastive Learning via Smart
Batch Mining", arXiv 2505.11293), which makes batches of communities in a teacher's graph of nearest neighbours. Here
the model is its own teacher: the embeddings that a pair got when it was last trained on are kept, which costs no
pass over the data, and small groups are formed greedily, anew for every pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from shards.clusters import Rows
from shards.manifest import Manifest
from shards.mining import Minable, Scores, known_pairs, to_steps
from shards.order import Order
from shards.places import PairPlaces

SPARE: Final = 25  # of the nearest pairs, looked at beyond those wanted: some may be of the same video, or answers


class Neighbours:
    """What the pairs of a release were embedded as when they were last trained on, and who was near whom.

    It takes 4 dim bytes a pair, the same ones on every rank and in every checkpoint.
    """

    def __init__(self, manifest: Manifest, places: PairPlaces) -> None:
        """`places` knows all pairs that there are orders of. Raises ReleaseCorrupt when the index cannot be read."""
        self._places = places
        self._known, self._rows, _ = known_pairs(manifest.index(), places.ids)
        self._seen = np.zeros(len(places.ids), bool)
        self._vectors = np.zeros((2, len(places.ids), 0), np.int16)  # of queries and targets

    def see(self, pair_ids: Sequence[str], queries: Tensor, targets: Tensor) -> None:
        """Both sides of these pairs were just embedded as these unit vectors [len(pair_ids), dim]."""
        rows = np.searchsorted(self._places.ids, np.array([name.encode() for name in pair_ids]))
        sides = torch.stack([queries, targets]).cpu().numpy().astype(np.float16)
        if not self._vectors.shape[2]:  # pages of zeros take no memory until they are written to
            self._vectors = np.zeros((*self._vectors.shape[:2], sides.shape[2]), np.int16)
        for side, vectors in enumerate(sides):
            self._vectors[side, rows] = to_steps(vectors)
        self._seen[rows] = True

    def arranged(self, order: Order, neighbours: int) -> NDArray[np.int32] | None:
        """How the pairs of each block of an order follow each other, for `Order.arranged`; None: as they are.

        Pairs that were seen before come in groups of one and up to `neighbours` others that it was near to.
        """
        if not self._seen.any():
            return None
        parts = [np.empty(0, np.int32)]
        for number in range(-(-len(order) // order.window)):
            groups = self._groups(self._places.rows(order.block(number)), neighbours)
            shuffled = np.random.default_rng([order.seed, order.epoch, order.part, number, neighbours])
            parts += [np.array(groups[i], np.int32) for i in shuffled.permutation(len(groups))]
        return np.concatenate(parts)

    def state_dict(self) -> dict[str, Tensor]:
        """What was seen."""
        return {"seen": torch.from_numpy(self._seen), "vectors": torch.from_numpy(self._vectors)}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Have seen what is in the state of another run on the same release."""
        self._seen, self._vectors = (state[name].numpy().copy() for name in ("seen", "vectors"))

    def _groups(self, rows: Rows, neighbours: int) -> list[list[int]]:
        """The pairs of a block, as places in it, in groups; what was not seen is a group by itself."""
        seen = np.flatnonzero(self._seen[rows])
        queries, targets = self._vectors[:, rows[seen]]
        groups = near_groups(self._known.minable(self._rows[rows[seen]], queries, targets), neighbours)
        unseen = np.flatnonzero(~self._seen[rows]).tolist()
        return [seen[group].tolist() for group in groups] + [[place] for place in unseen]


def near_groups(pairs: Minable, neighbours: int) -> list[list[int]]:
    """All `pairs` in groups: the first that is left, and up to `neighbours` of the others left that are nearest to it.

    Two pairs are as near as the query of one is to the target of the other, whichever is nearer: so hard a negative is
    the one for the other. Left out are those whose target may answer the first one's query, or the other way round. Of
    equally near ones the lower row wins.
    """
    sides = pairs.queries.astype(np.float32), pairs.targets.astype(np.float32)
    left, groups = np.ones(len(sides[0]), bool), []
    for first in range(len(left)):
        if left[first]:
            left[first] = False
            near = _nearest(first, *sides, left, neighbours + SPARE)
            first_often = np.full_like(near, first)
            may_answer = pairs.answer(first_often, near) | pairs.answer(near, first_often)
            group = near[~may_answer][:neighbours]
            left[group] = False
            groups.append([first, *group.tolist()])
    return groups


def _nearest(first: int, queries: Scores, targets: Scores, left: NDArray[np.bool_], count: int) -> Rows:
    """The `count` nearest of those `left` to a pair, or as many as there are, the nearest first."""
    others = np.flatnonzero(left)
    scores = np.maximum(targets @ queries[first], queries @ targets[first])[others]
    if len(others) > count:
        lowest = np.partition(scores, -count)[-count]
        others, scores = others[scores >= lowest], scores[scores >= lowest]  # more than that where some are equal
    return np.asarray(others[np.argsort(-scores, kind="stable")][:count])
