"""UVRB reports of models that never were: scores by ability, over as many queries as a test wants."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from math import sqrt
from typing import Any

from eval.diagnosis.reach import Scored
from eval.uvrb.datasets import DATASETS
from eval.uvrb.records import DatasetScores

MEAN = 0.6  # reached of every ability that is not given


def made_scores(
    shares: Mapping[str, float] | None = None, queries: int = 2000, near: float = 0.2, chance: float = 0.01
) -> list[Scored]:
    """All datasets; `shares` are those reached by ability, `near` is the share of the misses that come within 10."""
    found = []
    for dataset in DATASETS:
        score = chance + (1 - chance) * (shares or {}).get(dataset.ability, MEAN)
        half = 1.96 * sqrt(score * (1 - score) / queries)
        ends = (max(0.0, score - half), min(1.0, score + half))
        found.append(Scored(dataset.name, score, chance, queries, ends, score, score + near * (1 - score)))
    return found


def document(scores: list[Scored], model: str = "models/planted") -> dict[str, Any]:
    """A report's JSON."""
    rows = []
    for scored in scores:
        assert scored.interval
        row = DatasetScores(
            dataset=scored.name,
            metric="R@1",
            queries=scored.queries,
            corpus=100,
            score=scored.score,
            interval=scored.interval,
            chance=scored.chance,
            recall={1: scored.recall_1, 5: scored.recall_1, 10: scored.recall_10},
            hit={1: scored.recall_1, 5: scored.recall_1, 10: scored.recall_10},
            ndcg_10=scored.recall_1,
            query_ids=tuple(f"q{number:05d}" for number in range(scored.queries)),
            query_scores=(scored.score,) * scored.queries,
            first=(("v1",),) * scored.queries,
            right=(("v1",),) * scored.queries,
            rank=(1,) * scored.queries,
        )
        rows.append(asdict(row))
    found: dict[str, Any] = json.loads(
        json.dumps({"model": model, "model_id": "m", "frames": 8, "tokens": 200, "seed": 42, "datasets": rows})
    )
    return found
