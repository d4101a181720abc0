"""Retrieval on a release's own held-out split: every task, against every held-out target of its kind."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eval.encode import Encoded, encode_distinct
from eval.metrics import chance_hit, chance_recall, hit_1_among, hit_at_k, macro_average, recall_at_k
from eval.search import Scores, search
from infra.errors import UsageError
from shards.embedder import Embedder
from shards.manifest import Manifest, load_manifest
from shards.reader import read_pairs
from shards.records import INSTRUCTIONS, TASKS, Pair

KS = (1, 5, 10)
SMALL_CORPUS = 200  # the more is searched, the less comes first: in so many, splits of any size compare


@dataclass(frozen=True)
class TaskScores:
    """What one task scored; shares between 0 and 1, keyed by k."""

    task: str
    queries: int
    corpus: int
    positives: float  # mean number of positives of a query
    recall: dict[int, float]
    hit: dict[int, float]
    hit_1_small: float | None  # hit@1 expected among `SMALL_CORPUS` of the targets; None where there are fewer
    chance_recall: dict[int, float]
    chance_hit: dict[int, float]
    recall_1_interval: tuple[float, float]  # 95% bootstrap over queries
    query_ids: tuple[str, ...]  # sorted; what follows lets two models be compared query by query
    query_recall_1: tuple[float, ...]  # recall@1 of each query, in the order of their ids
    video_ids: frozenset[str]  # source videos of the task's pairs

    @property
    def ratio_to_chance(self) -> float:
        """Recall@1 as a multiple of what a random ranking gives."""
        return self.recall[1] / self.chance_recall[1]


@dataclass(frozen=True)
class HeldOutReport:
    """Scores of one model on one split of one release."""

    release_id: str
    split: str
    seed: int
    tasks: tuple[TaskScores, ...]


def evaluate_heldout(manifest_path: str, embedder: Embedder, split: str = "val", seed: int = 42) -> HeldOutReport:
    """Rank, for every query of `split`, all distinct targets of the task's target modality in the split.

    The corpus is shared: a task with video targets is searched in the videos of every such task. `seed`
    draws the bootstrap. Raises UsageError when the split is empty, ReleaseCorrupt and RowError for
    samples that cannot be used.
    """
    manifest = load_manifest(manifest_path)
    tasks = [task for task in TASKS if any((s.task, s.split) == (task, split) for s in manifest.shards)]
    if not tasks:
        raise UsageError(f"{manifest_path} has no pair in its {split} split")
    corpora = {kind: _corpus(manifest, tasks, kind, split, embedder) for kind in sorted({t[-1] for t in tasks})}
    scores = tuple(_score(manifest, task, split, corpora[task[-1]], embedder, seed) for task in tasks)
    return HeldOutReport(manifest.release_id, split, seed, scores)


def _corpus(manifest: Manifest, tasks: list[str], kind: str, split: str, embedder: Embedder) -> Encoded:
    """All distinct targets of one modality; the last letter of a task's name is that of its target."""
    pairs = (pair for task in tasks if task.endswith(kind) for pair in _pairs(manifest, task, split))
    return encode_distinct(((pair.target_id, pair.target) for pair in pairs), embedder)


def _score(manifest: Manifest, task: str, split: str, corpus: Encoded, embedder: Embedder, seed: int) -> TaskScores:
    queries = encode_distinct(
        ((pair.query_id, pair.query) for pair in _pairs(manifest, task, split)), embedder, INSTRUCTIONS[task]
    )
    rows = corpus.rows()
    positives: dict[str, set[int]] = {name: set() for name in queries.ids}
    video_ids: set[str] = set()
    for pair in _pairs(manifest, task, split):
        positives[pair.query_id].add(rows[pair.target_id])
        video_ids.add(pair.video_id)
    wanted = [positives[name] for name in queries.ids]
    own = [rows.get(name, -1) for name in queries.ids]
    itself = np.array([-1 if row in found else row for row, found in zip(own, wanted, strict=True)])
    found, ranks = search(queries.vectors, corpus.vectors, wanted, max(KS) + 1)
    ranked = without(found.indices, itself)
    sizes = len(corpus.ids) - (itself >= 0)
    others = sizes - np.array([len(rows) for rows in wanted])
    better = ranks - 1 - _outranks(itself, wanted, queries.vectors, corpus.vectors)
    recall = {k: recall_at_k(ranked, wanted, k) for k in KS}
    mean = macro_average([recall[1]], seed)
    return TaskScores(
        task=task,
        queries=len(queries.ids),
        corpus=len(corpus.ids),
        positives=_mean(len(found) for found in wanted),
        recall={k: float(values.mean()) for k, values in recall.items()},
        hit={k: float(hit_at_k(ranked, wanted, k).mean()) for k in KS},
        hit_1_small=_mean(hit_1_among(SMALL_CORPUS, others, better)) if min(others) >= SMALL_CORPUS - 1 else None,
        chance_recall={k: _mean(chance_recall(n, k) for n in sizes.tolist()) for k in KS},
        chance_hit={
            k: _mean(chance_hit(n, len(found), k) for n, found in zip(sizes.tolist(), wanted, strict=True)) for k in KS
        },
        recall_1_interval=(mean.low, mean.high),
        query_ids=queries.ids,
        query_recall_1=tuple(recall[1].tolist()),
        video_ids=frozenset(video_ids),
    )


def without(ranked: NDArray[np.int64], itself: NDArray[np.int64]) -> NDArray[np.int64]:
    """Rankings [queries, k] in which the row `itself` [queries] of each gave up its place and became a -1 at the end.

    A query that is itself in the corpus, as texts can be in T2T, must not be its own best answer.
    """
    removed = ranked == itself[:, None]
    order = np.argsort(removed, axis=1, kind="stable")
    return np.take_along_axis(np.where(removed, -1, ranked), order, axis=1)


def _outranks(
    itself: NDArray[np.int64], positives: Sequence[Collection[int]], queries: Scores, corpus: Scores
) -> NDArray[np.bool_]:
    """Which queries [q] have a row `itself` in the corpus that is nearer to them than their best positive."""
    own = np.einsum("qd,qd->q", queries, corpus[itself])
    best = [float((corpus[sorted(rows)] @ query).max()) for rows, query in zip(positives, queries, strict=True)]
    nearer: NDArray[np.bool_] = (itself >= 0) & (own > np.array(best))
    return nearer


def _mean(values: Iterable[float]) -> float:
    return float(np.mean(list(values)))


def _pairs(manifest: Manifest, task: str, split: str) -> Iterator[Pair]:
    return read_pairs([manifest.path(s) for s in manifest.shards if (s.task, s.split) == (task, split)])
