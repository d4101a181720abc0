"""Puts the page of a UVRB evaluation together as one HTML file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from eval.uvrb.abilities import ABILITIES, ABOUT, PARTS
from eval.uvrb.classification import Classification
from eval.uvrb.intervals import AVERAGE, DATASET_AVERAGE, score_intervals
from eval.uvrb.page.charts import SLOTS, draw_markers, draw_radar, draw_score, draw_swatch, radar_path
from eval.uvrb.page.failures import SHOWN, show_failures
from eval.uvrb.page.rows import (
    ability_correlations,
    dataset_rows,
    missing_datasets,
    model_rows,
    models_document,
    share,
    title,
    unlike_published,
)
from eval.uvrb.page.scaling import scale
from eval.uvrb.page.space import Sample, draw_space
from eval.uvrb.records import Benchmark, UVRBReport
from eval.uvrb.tables import Table, published
from infra.errors import UsageError
from infra.page import html_file, script, stylesheet, templates

PACKAGE = "eval.uvrb.page"


def write_page(page: str, out: str) -> str:
    """Write a page to the HTML file or URL `out`; returns where it is. Raises UsageError when it is no HTML file."""
    store, name = html_file(out)
    store.write(name, page.encode())
    return store.location(name)


def make_page(
    report: UVRBReport,
    benchmarks: Sequence[Benchmark] = (),
    others: Sequence[UVRBReport] = (),
    vectors: Mapping[str, Sample] | None = None,
    classified: Mapping[str, Classification] | None = None,
    models: Table | None = None,
    failures: int = SHOWN,
) -> str:
    """The page of a report; the same input gives the same text.

    Only `report` is needed. `benchmarks` give the failed queries their texts and pictures, up to `failures` a dataset.
    `others` are reports of the same model with other frames and tokens. `vectors` are samples by dataset
    (`draw_vectors`), `classified` are accuracies by label set. `models` are the dataset scores of models to stand
    beside, table 1 of the paper when None. Raises UsageError when `report` has no dataset, or `others` or `vectors`
    do not fit.
    """
    if not report.datasets:
        raise UsageError("the report has scores of no dataset")
    table = published()[0] if models is None else models
    by_name = {benchmark.dataset.name: benchmark for benchmark in benchmarks}
    contents = {
        **_headline(report),
        **_beside(report, table),
        "datasets": dataset_rows(report),
        "draw_score": draw_score,
        "failures": show_failures(report.datasets, by_name, report.seed, failures),
        "scaling": scale([report, *others]),
        "space": draw_space(vectors or {}),
        "classified": classified or {},
        "share": share,
        "style": stylesheet(PACKAGE, "page.css"),
        "script": script(PACKAGE, "page.js"),
    }
    return templates(PACKAGE).get_template("page.html").render(contents)


def _headline(report: UVRBReport) -> dict[str, Any]:
    return {
        "title": title(report),
        "report": report,
        "queries": sum(found.queries for found in report.datasets),
        "found": report.abilities,
        "intervals": score_intervals(report),
        "average": AVERAGE,
        "dataset_average": DATASET_AVERAGE,
        "missing": missing_datasets(report),
        "unlike": unlike_published(report),
        "abilities": ABILITIES,
        "about": ABOUT,
        "parts": {ability: " ".join(PARTS[ability]) for ability in ABILITIES},
    }


def _beside(report: UVRBReport, table: Table) -> dict[str, Any]:
    """The radar and the tables that hold the model against others."""
    rows = model_rows(report, table)
    paths = {row.name: radar_path(row.abilities) for row in rows if not row.is_own}
    chosen = [row for row in rows if not row.is_own][: len(SLOTS) - 1]
    lines = {"own": radar_path(report.abilities.abilities)}
    lines |= {slot: paths[row.name] for slot, row in zip(SLOTS[1:], chosen, strict=False)}
    labels = {ability: ability + ("*" if _is_partial(report, ability) else "") for ability in ABILITIES}
    correlated, count = ability_correlations(report, table)
    return {
        "models": rows,
        "chosen": dict(zip(SLOTS[1:], chosen, strict=False)),
        "labels": labels,
        "document": models_document(rows, paths),
        "markers": draw_markers(),
        "radar": draw_radar(lines, labels, "Scores of nine abilities, from 0 in the middle to 1"),
        "swatch": draw_swatch,
        "correlated": correlated,
        "correlated_models": count,
        "shade": _shade,
    }


def _is_partial(report: UVRBReport, ability: str) -> bool:
    return ability in report.abilities.missing and ability in report.abilities.abilities


def _shade(value: float | None) -> str:
    """The style class of a correlation: its sign and its tenths."""
    return "" if value is None else f"{'n' if value < 0 else 'p'}{round(10 * abs(value))}"
