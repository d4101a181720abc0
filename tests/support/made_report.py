"""UVRB reports of models that never were, with the scores a test wants."""

from collections.abc import Mapping, Sequence

import numpy as np

from eval.uvrb.datasets import named
from eval.uvrb.records import DatasetScores, UVRBReport


def made_report(values: Mapping[str, Sequence[float]], model: str = "made") -> UVRBReport:
    """A report in which each dataset has these values of its metric, one a query."""
    datasets = tuple(_scores(dataset.name, dataset.metric, values[dataset.name]) for dataset in named(values))
    return UVRBReport(model, "0123456789abcdef", 8, 200, 42, datasets)


def _scores(name: str, metric: str, values: Sequence[float]) -> DatasetScores:
    mean, count = float(np.mean(values)), len(values)
    ids = [f"{number:04d}" for number in range(count)]
    return DatasetScores(
        dataset=name,
        metric=metric,
        queries=count,
        corpus=50,
        score=mean,
        interval=(max(0.0, mean - 0.1), min(1.0, mean + 0.1)),
        chance=0.02,
        recall={1: mean, 5: mean, 10: mean},
        hit={1: mean, 5: mean, 10: mean},
        ndcg_10=mean,
        query_ids=tuple(f"q{number}" for number in ids),
        query_scores=tuple(map(float, values)),
        first=tuple((f"v{number}",) if value else ("v-other",) for number, value in zip(ids, values, strict=True)),
        right=tuple((f"v{number}",) for number in ids),
        rank=tuple(1 if value else 7 for value in values),
    )
