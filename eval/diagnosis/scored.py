"""Scores to be diagnosed, read from what evaluations write: uvrb.json, heldout.json, and the published tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError
from pydantic import dataclasses as checked

from eval.diagnosis.reach import Scored
from eval.heldout import HeldOutReport
from eval.uvrb.datasets import DATASETS, Dataset
from eval.uvrb.files import first_fault, read_report
from eval.uvrb.records import UVRBReport
from eval.uvrb.tables import PRINTED_AVERAGE, published
from infra.errors import UsageError


@dataclass(frozen=True)
class Scores:
    """Scores of one model, on UVRB's datasets or on the tasks of a held-out split."""

    of: str  # what was scored on what, in words
    is_uvrb: bool
    scored: tuple[Scored, ...]
    corpora: dict[str, int | None]  # videos searched, by dataset or task


def read_scores(path: str) -> Scores:
    """The scores in a uvrb.json (`eval.uvrb.records.UVRBReport`) or a heldout.json (`eval.report`).

    Raises UsageError for what is neither.
    """
    try:
        document = TypeAdapter(dict[str, object]).validate_json(Path(path).read_bytes())
        if "datasets" in document:
            return _of_uvrb(read_report(path))
        if "tasks" in document:
            return _of_heldout(document)
    except OSError as error:
        raise UsageError(f"no report at {path}: {error.strerror}") from error
    except ValidationError as error:
        raise UsageError(f"{path} is no report of an evaluation: {first_fault(error)}") from error
    raise UsageError(f"{path} is no report of an evaluation: neither `datasets` nor `tasks` are in it")


def _of_uvrb(report: UVRBReport) -> Scores:
    scored = tuple(
        Scored(row.dataset, row.score, row.chance, row.queries, row.interval, row.recall[1], row.recall[10])
        for row in report.datasets
    )
    return Scores(f"{report.model} on UVRB", True, scored, {row.dataset: row.corpus for row in report.datasets})


@checked.dataclass(frozen=True)
class _Task:
    task: str
    queries: int
    corpus: int
    recall_1: float
    chance: float
    interval: tuple[float, float]


_NAMES = {"R@1": "recall_1", "chance R@1": "chance", "R@1 95%": "interval"}


def _of_heldout(document: dict[str, object]) -> Scores:
    told = TypeAdapter(list[dict[str, object]]).validate_python(document["tasks"])
    rows = TypeAdapter(list[_Task]).validate_python(
        [{_NAMES.get(name, name): value for name, value in row.items()} for row in told]
    )
    scored = tuple(Scored(row.task, row.recall_1, row.chance, row.queries, row.interval) for row in rows)
    of = f"held-out split {document.get('split', '')} of release {document.get('release_id', '')}"
    return Scores(of, False, scored, {row.task: row.corpus for row in rows})


def of_heldout(report: HeldOutReport) -> Scores:
    """Scores that were just made, as they would be read back."""
    scored = tuple(
        Scored(task.task, task.recall[1], task.chance_recall[1], task.queries, task.recall_1_interval)
        for task in report.tasks
    )
    of = f"held-out split {report.split} of release {report.release_id}"
    return Scores(of, False, scored, {task.task: task.corpus for task in report.tasks})


def published_scores(model: str) -> Scores:
    """What a paper printed of a model (arXiv 2510.27571, table 1); its intervals follow from the numbers of queries.

    Raises UsageError for a model that no table has.
    """
    table, _ = published()
    if model not in table:
        raise UsageError(f"no report and no published model {model!r}; published are {', '.join(table)}")
    row = {name: score for name, score in table[model].items() if name != PRINTED_AVERAGE}
    scored = [
        Scored(dataset.name, row[dataset.name], _chance(dataset), dataset.queries)
        for dataset in DATASETS
        if dataset.name in row
    ]
    return Scores(f"{model} as published", True, tuple(scored), {dataset.name: dataset.corpus for dataset in DATASETS})


def _chance(dataset: Dataset) -> float:
    """The metric's expectation under a random ranking, where every query has one positive."""
    return dataset.k / (dataset.corpus or dataset.candidates or dataset.k)


def comparable(scores: Scores, reference: Scores) -> Sequence[Scored]:
    """The scores of the reference; raises UsageError unless both are UVRB's and of the same sizes where both have one.

    A candidate list of each query (P@1) has no size to compare.
    """
    if not (scores.is_uvrb and reference.is_uvrb):
        raise UsageError("only two reports on UVRB are held against each other")
    queries = {scored.name: scored.queries for scored in scores.scored}
    shared = [scored for scored in reference.scored if scored.name in queries]
    for scored in shared:
        corpora = {scores.corpora[scored.name], reference.corpora[scored.name]} - {None}
        if queries[scored.name] != scored.queries or len(corpora) > 1:
            raise UsageError(
                f"{reference.of} is no reference: its {scored.name} is not the one that was scored "
                f"({scored.queries} queries against {queries[scored.name]})"
            )
    if len(shared) < 2:
        raise UsageError(f"{reference.of} shares fewer than two datasets with {scores.of}")
    return shared
