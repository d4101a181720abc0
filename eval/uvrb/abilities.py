"""Scores of abilities from scores of datasets (arXiv 2510.27571, sections 3.1 and 4.2, table 2).

An ability is the mean of its datasets or of its parts: fine-grained (FG) of spatial (S), temporal (T) and partially
relevant (PR); text queries (TXT) of coarse-grained (CG), FG and long-context (LC). The average over abilities is
that of the six that table 2 averages, which the sixteen datasets enter with unlike weights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Final

import numpy as np

from eval.uvrb.datasets import DATASETS

PARTS: Final[dict[str, tuple[str, ...]]] = {
    **{
        ability: tuple(dataset.name for dataset in DATASETS if dataset.ability == ability)
        for ability in ("S", "T", "PR", "CG", "LC", "CMP", "VIS")
    },
    "FG": ("S", "T", "PR"),
    "TXT": ("CG", "FG", "LC"),
}
ABILITIES: Final = ("TXT", "CMP", "VIS", "CG", "FG", "LC", "S", "T", "PR")  # in the order of table 2
ABOUT: Final = {
    "TXT": "text queries",
    "CMP": "composed queries",
    "VIS": "visual queries",
    "CG": "coarse-grained",
    "FG": "fine-grained",
    "LC": "long-context",
    "S": "spatial",
    "T": "temporal",
    "PR": "partially relevant",
}
AVERAGED: Final = ("TXT", "CMP", "VIS", "CG", "FG", "LC")


@dataclass(frozen=True)
class AbilityScores:
    """What one model scored, between 0 and 1, from the datasets there are."""

    abilities: dict[str, float]  # by those of ABILITIES that any dataset tells of
    average: float | None  # of the six of AVERAGED; None unless all datasets are there
    dataset_average: float | None  # the plain mean over datasets; None unless all are there
    missing: dict[str, tuple[str, ...]]  # by ability, the datasets that it lacks


def ability_scores(scores: Mapping[str, float]) -> AbilityScores:
    """Scores of abilities from some datasets' `scores`; those that lack datasets are means of what is there."""
    abilities = {name: value for name in ABILITIES if (value := _score(name, scores)) is not None}
    missing = {name: absent for name in ABILITIES if (absent := _missing(name, scores))}
    return AbilityScores(
        abilities=abilities,
        average=None if missing else fmean(abilities[name] for name in AVERAGED),
        dataset_average=None if missing else fmean(scores[dataset.name] for dataset in DATASETS),
        missing=missing,
    )


def _score(name: str, scores: Mapping[str, float]) -> float | None:
    if name not in PARTS:
        return scores.get(name)
    parts = [value for part in PARTS[name] if (value := _score(part, scores)) is not None]
    return fmean(parts) if parts else None


def _missing(name: str, scores: Mapping[str, float]) -> tuple[str, ...]:
    if name in PARTS:
        return tuple(dataset for part in PARTS[name] for dataset in _missing(part, scores))
    return () if name in scores else (name,)


def correlations(models: Sequence[Mapping[str, float]]) -> dict[str, dict[str, float | None]]:
    """Pearson's r over models of every two columns that all of them have (section 4.3).

    None where a column is the same for all models, or where there are fewer than three of them.
    """
    names = [name for name in models[0] if all(name in model for model in models)] if models else []
    columns = {name: np.array([model[name] for model in models]) for name in names}
    return {a: {b: _pearson(columns[a], columns[b]) for b in names} for a in names}


def _pearson(x: np.ndarray, y: np.ndarray) -> float | None:
    dx, dy = x - x.mean(), y - y.mean()
    scale = float(np.sqrt((dx @ dx) * (dy @ dy)))
    return None if len(x) < 3 or scale < 1e-12 else float(dx @ dy) / scale
