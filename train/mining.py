"""Hard negatives mined before an epoch by the prober that also sets the curriculum (arXiv 2510.27571, section 3.3).

It embeds all training pairs of the tasks that get negatives, and each query gets the hardest target that surely does
not answer it, by the rules of stage `negatives`, which are those of `shards.mining`. Ranks embed a part of the pairs
each and search for its queries; only targets' vectors go to all of them. What a rank keeps of a task with n pairs is
2 n dim bytes of targets and its part of as much of queries.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from infra.errors import RunFailed
from shards.clusters import Rows
from shards.mining import NOBODY, SCALE, Known, Mined, Steps, known_pairs, mine, score_limits, to_steps
from shards.records import HARD_NEGATIVE_TASKS
from train.batches import PreparedPair, TrainingBatches
from train.gve import Gve
from train.progress import StepProgress
from train.ranks import Ranks

PAIRS_AT_ONCE: Final = 32  # whose media are embedded in one call
PAIRS_OF_ROUND: Final = 1024  # a rank's, after which ranks exchange vectors: none is ever far behind the others


@dataclass(frozen=True)
class Mining:
    """What was mined for one epoch, the same on every rank."""

    negatives: NDArray[np.int32]  # [n] for each of `TrainingBatches.places` that of its negative, or NOBODY
    queries: int  # that were embedded and asked about
    mean_cosine: float | None  # of queries with their negatives; None: there are none
    bad_samples: dict[str, int]  # that could not be embedded, by reason

    def told(self) -> dict[str, Any]:
        """What the log tells."""
        found = int((self.negatives != NOBODY).sum())
        told = {"queries": self.queries, "negatives": found, "mean_cosine": self.mean_cosine}
        return {**told, "bad_samples": self.bad_samples}


@dataclass(frozen=True)
class Embedded:
    """The pairs of one task in the order of their ids, as one rank knows them."""

    queries: Steps  # [n, dim]; zero but for its own part, and pages of zeros take no memory
    targets: Steps  # [n, dim]
    is_own: NDArray[np.bool_]  # [n] whether this rank embedded the pair
    is_there: NDArray[np.bool_]  # [n] whether some rank did; the others are damaged

    @classmethod
    def nothing(cls, pairs: int, dim: int) -> Embedded:
        """Of so many pairs none is embedded yet."""
        queries, targets = (np.zeros((pairs, dim), np.int16) for _ in range(2))
        return cls(queries, targets, np.zeros(pairs, bool), np.zeros(pairs, bool))


def mine_negatives(prober: Gve, batches: TrainingBatches, ranks: Ranks, shown: StepProgress | None) -> Mining:
    """The hardest allowed negative of each training pair of the tasks that get one; damaged pairs have none.

    A collective of all ranks. The model stays in the mode it is in, and no random number is drawn. Raises RunFailed
    for vectors that are not finite, ReleaseCorrupt when a shard is missing, EndpointDown.
    """
    ids, before = batches.places.ids, batches.bad.counts.copy()
    known, rows, tasks = known_pairs(batches.manifest.index(), ids)
    negatives, scores, queries = np.full(len(ids), NOBODY, np.int32), [np.empty(0, np.float32)], 0
    for task in sorted({*batches.batches} & {*HARD_NEGATIVE_TASKS}):
        members = np.flatnonzero(tasks == task)
        embedded = embed_task(prober, batches, task, ids[members], ranks, shown)
        found = search(known, rows[members], embedded, batches.settings.negative_max_share, batches.seed, ranks)
        has = found.targets != NOBODY
        negatives[members[has]] = members[found.targets[has]]
        scores.append(found.scores[has])
        queries += int(embedded.is_there.sum())
    cosines = np.concatenate(scores).astype(np.float64) / SCALE**2
    bad = sum(ranks.share(batches.bad.counts - before), Counter[str]())
    return Mining(negatives, queries, float(cosines.mean()) if len(cosines) else None, dict(sorted(bad.items())))


def embed_task(
    prober: Gve,
    batches: TrainingBatches,
    task: str,
    ids: NDArray[np.bytes_],
    ranks: Ranks,
    shown: StepProgress | None,
) -> Embedded:
    """The pairs of a task, whose `ids` [n] are ascending, embedded by all ranks together."""
    known = Embedded.nothing(len(ids), prober.dim)
    coming = iter(batches.pairs(task, prober.inputs))
    for _ in range(0, -(-len(ids) // ranks.size), PAIRS_OF_ROUND):  # as many as the longest part asks for
        names, vectors = embed_round(prober, islice(coming, PAIRS_OF_ROUND))
        own = np.searchsorted(ids, np.array(names, dtype=ids.dtype))
        shared = ranks.share((own, bool(np.isfinite(vectors).all())))
        if not all(is_finite for _, is_finite in shared):
            raise RunFailed(f"the prober that mines negatives embeds {task} not finitely: its weights are no good")
        known.queries[own], known.is_own[own] = to_steps(vectors[:, 0]), True
        gathered = ranks.gather(torch.from_numpy(vectors[:, 1]).to(ranks.device))
        for (places, _), targets in zip(shared, gathered, strict=True):
            known.targets[places], known.is_there[places] = to_steps(targets.cpu().numpy()), True
        if shown:
            shown.mining(task, int(known.is_there.sum()), len(ids))
    return known


def embed_round(prober: Gve, pairs: Iterator[PreparedPair]) -> tuple[list[bytes], NDArray[np.float16]]:
    """The ids of some pairs, and the vectors of their queries and targets, float16 [pairs, 2, dim]."""
    names, parts = list[bytes](), [np.empty((0, 2, prober.dim), np.float16)]
    while some := list(islice(pairs, PAIRS_AT_ONCE)):
        names += [pair.pair_id.encode() for pair in some]
        vectors = prober.embed_prepared([pair.query for pair in some] + [pair.target for pair in some])
        parts.append(vectors.reshape(2, len(some), -1).swapaxes(0, 1).astype(np.float16))
    return names, np.concatenate(parts)


def search(known: Known, rows: Rows, embedded: Embedded, max_share: float, seed: int, ranks: Ranks) -> Mined:
    """The negative of each pair of a task: among its pairs, whose `rows` [n] of `known` are given, and its score.

    Each rank searches for the queries that it embedded.
    """
    there = np.flatnonzero(embedded.is_there)
    queries, targets = embedded.queries, embedded.targets
    if len(there) < len(rows):  # else they need not be copied
        queries, targets = queries[there], targets[there]
    pairs = known.minable(rows[there], queries, targets)
    own = np.flatnonzero(embedded.is_own[there])
    mined = mine(pairs, own, score_limits(pairs.scores(own, own), max_share), seed)
    found = Mined(np.full(len(rows), NOBODY), np.full(len(rows), -np.inf, np.float32))
    for places, theirs in ranks.share((own, mined)):
        has = theirs.targets != NOBODY
        asking = there[places[has]]
        found.targets[asking], found.scores[asking] = there[theirs.targets[has]], theirs.scores[has]
    return found
