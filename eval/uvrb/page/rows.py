"""The tables of the page as plain values: models beside each other, datasets, and what is missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, Final

from eval.uvrb.abilities import ABILITIES, ability_scores, correlations
from eval.uvrb.datasets import DATASETS, Dataset
from eval.uvrb.records import DatasetScores, UVRBReport
from eval.uvrb.tables import PRINTED_AVERAGE, Table, misprints, scored

OF_BENCHMARK: Final = {dataset.name: dataset for dataset in DATASETS}
AVERAGE: Final = "Average"  # of abilities, as a column


@dataclass(frozen=True)
class ModelRow:
    """One model over the datasets of a report."""

    name: str
    is_own: bool  # the model of the report
    datasets: Mapping[str, float]
    abilities: Mapping[str, float]
    average: float | None  # of abilities; None unless all datasets are there
    dataset_average: float
    misprint: str  # what was printed otherwise; empty where nothing was, or where datasets are missing

    @property
    def cells(self) -> list[float | None]:
        """The numbers of its line: averages, then ABILITIES."""
        return [self.average, self.dataset_average, *(self.abilities.get(name) for name in ABILITIES)]


def model_rows(report: UVRBReport, models: Table) -> list[ModelRow]:
    """The report's model, then those of `models` that have all its datasets; all over these datasets, best first."""
    names = list(report.scores)
    whole = not missing_datasets(report)
    others = {
        model: {name: scores[name] for name in names}
        for model, scores in models.items()
        if all(name in scores for name in names)
    }
    rows = [_row(model, scores, _misprint(model, models[model]) if whole else "") for model, scores in others.items()]
    rows.sort(key=lambda row: -row.dataset_average)
    return [_row(title(report), report.scores, "", is_own=True), *rows]


def title(report: UVRBReport) -> str:
    """What the report's model is called: the last part of its folder or name."""
    return report.model.rstrip("/").rsplit("/", 1)[-1] or report.model


def _row(name: str, scores: Mapping[str, float], misprint: str, is_own: bool = False) -> ModelRow:
    found = ability_scores(scores)
    return ModelRow(name, is_own, scores, found.abilities, found.average, fmean(scores.values()), misprint)


def _misprint(model: str, scores: Mapping[str, float]) -> str:
    """What the paper printed and the model's own dataset scores do not give."""
    wrong = misprints(model, scores, scored(scores))
    return ", ".join(f"{cell.cell} {cell.printed:.3f}" for cell in wrong)


def unlike_published(report: UVRBReport) -> list[str]:
    """The report's datasets that are not as big as the published ones: scores on them compare with nobody's."""
    return [found.dataset for found in report.datasets if not _as_published(found, OF_BENCHMARK[found.dataset])]


def _as_published(found: DatasetScores, dataset: Dataset) -> bool:
    return found.queries == dataset.queries and dataset.corpus in (None, found.corpus)


def ability_correlations(report: UVRBReport, models: Table) -> tuple[dict[str, dict[str, float | None]], int]:
    """Pearson's r of abilities and their average over whole rows of models, and how many models there are.

    The report's model is among them when it was scored on all of the published benchmark.
    """
    rows = [{name: scores[name] for name in scores if name != PRINTED_AVERAGE} for scores in models.values()]
    if not unlike_published(report):
        rows.append(report.scores)
    found = [scores for scores in map(ability_scores, rows) if scores.average is not None]
    columns = [{**scores.abilities, AVERAGE: scores.average} for scores in found if scores.average is not None]
    return correlations(columns), len(columns)


def dataset_rows(report: UVRBReport) -> list[tuple[Dataset, DatasetScores]]:
    """Each dataset with its scores."""
    return [(OF_BENCHMARK[found.dataset], found) for found in report.datasets]


def missing_datasets(report: UVRBReport) -> list[str]:
    """The benchmark's datasets that the report has no scores of."""
    return [dataset.name for dataset in DATASETS if dataset.name not in report.scores]


def models_document(rows: Sequence[ModelRow], paths: Mapping[str, str]) -> dict[str, Any]:
    """What the page's menus need of the models to compare with, as JSON: the drawn line and the cells by ability."""
    return {
        row.name: {"path": paths[row.name], "cells": [share(row.abilities.get(name)) for name in ABILITIES]}
        for row in rows
        if not row.is_own
    }


def share(value: float | None) -> str:
    """A share as the paper prints it; an en dash where there is none."""
    return "–" if value is None else f"{value:.3f}"
