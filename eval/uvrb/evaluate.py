"""UVRB's protocol (arXiv 2510.27571, appendix A.2): cosines of single vectors, exact ranking, each dataset's metric.

Instructions go with queries only. How many frames of a video are seen, and how large, is the embedder's affair.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Final

import numpy as np
from numpy.typing import NDArray

from eval.metrics import (
    Values,
    chance_precision,
    chance_recall,
    hit_at_k,
    macro_average,
    ndcg_at_k,
    precision_at_k,
    recall_at_k,
)
from eval.search import Ranking, search, search_among
from eval.uvrb.datasets import Dataset
from eval.uvrb.embedding import BenchmarkKeys, embed_missing
from eval.uvrb.records import Benchmark, DatasetScores, UVRBReport
from eval.uvrb.vectors import VectorCache
from infra.progress import Progress
from shards.embedder import Embedder

KS: Final = (1, 5, 10)
SHOWN: Final = 10  # results of a query that a report keeps
SEED: Final = 42


@dataclass(frozen=True)
class Scored:
    """What is scored: a model, and what it sees of videos."""

    model: str  # its folder or name
    model_id: str  # fingerprint of weights and input settings
    frames: int  # of a video
    tokens: int  # of a frame, at most


def evaluate(
    benchmarks: Sequence[Benchmark],
    embedder: Embedder,
    cache: VectorCache,
    scored: Scored,
    seed: int = SEED,
    progress: Progress | None = None,
) -> UVRBReport:
    """Embed what `cache` lacks and score it, in this process; raises as `embed_missing` does."""
    return score(benchmarks, embed_missing(benchmarks, embedder, cache, progress=progress), cache, scored, seed)


def score(
    benchmarks: Sequence[Benchmark],
    keys: Sequence[BenchmarkKeys],
    cache: VectorCache,
    scored: Scored,
    seed: int = SEED,
) -> UVRBReport:
    """The scores of some datasets whose vectors are in `cache`; those of one are in memory at a time.

    `seed` draws the bootstrap. Raises RunFailed when the cache has lost a vector.
    """
    datasets = tuple(
        score_dataset(benchmark, cache.read(own.queries), cache.read(own.corpus), seed)
        for benchmark, own in zip(benchmarks, keys, strict=True)
    )
    return UVRBReport(scored.model, scored.model_id, scored.frames, scored.tokens, seed, datasets)


def score_dataset(
    benchmark: Benchmark, queries: NDArray[np.float32], corpus: NDArray[np.float32], seed: int = SEED
) -> DatasetScores:
    """The scores of one dataset from unit vectors of its queries [q, dim] and videos [n, dim], in their order."""
    ids = list(benchmark.corpus)
    row_of = {name: row for row, name in enumerate(ids)}
    asked = [query.query_id for query in benchmark.queries]
    positives = [sorted({row_of[name] for name in benchmark.positives[query]}) for query in asked]
    if benchmark.candidates:
        among = [{row_of[name] for name in benchmark.candidates[query]} for query in asked]
        ranking, ranks = search_among(queries, corpus, among, positives, SHOWN)
        sizes = [len(rows) for rows in among]
    else:
        ranking, ranks = search(queries, corpus, positives, SHOWN)
        sizes = [len(ids)] * len(asked)
    dataset = benchmark.dataset
    values = _values(dataset, ranking, positives)
    mean = macro_average([values], seed)
    found = ranking.indices
    return DatasetScores(
        dataset=dataset.name,
        metric=dataset.metric,
        queries=len(asked),
        corpus=len(ids),
        score=float(values.mean()),
        interval=(mean.low, mean.high),
        chance=fmean(_chance(dataset, n, len(right)) for n, right in zip(sizes, positives, strict=True)),
        recall={k: float(recall_at_k(found, positives, k).mean()) for k in KS},
        hit={k: float(hit_at_k(found, positives, k).mean()) for k in KS},
        ndcg_10=float(ndcg_at_k(found, positives, 10).mean()),
        query_ids=tuple(asked),
        query_scores=tuple(values.tolist()),
        first=tuple(tuple(ids[row] for row in rows if row >= 0) for rows in found.tolist()),
        right=tuple(tuple(benchmark.positives[query]) for query in asked),
        rank=tuple(ranks.tolist()),
    )


def _values(dataset: Dataset, ranking: Ranking, positives: Sequence[Sequence[int]]) -> Values:
    """The dataset's metric of each query."""
    metric = precision_at_k if dataset.metric.startswith("P@") else recall_at_k
    return metric(ranking.indices, positives, dataset.k)


def _chance(dataset: Dataset, corpus: int, positives: int) -> float:
    if dataset.metric.startswith("P@"):
        return chance_precision(corpus, positives, dataset.k)
    return chance_recall(corpus, dataset.k)
