"""Test-time scaling: the same model with more frames of a video and more tokens of a frame (appendix A.12)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from markupsafe import Markup

from eval.uvrb.abilities import ability_scores
from eval.uvrb.page.charts import SLOTS, Curve, draw_curves
from eval.uvrb.records import UVRBReport
from infra.errors import UsageError


@dataclass(frozen=True)
class ScaledRow:
    """One setting's scores over the datasets that all settings have."""

    frames: int
    tokens: int
    dataset_average: float
    abilities: Mapping[str, float]


@dataclass(frozen=True)
class Scaling:
    """A table by frames and tokens, its drawing, and which line of it is which number of tokens."""

    rows: tuple[ScaledRow, ...]  # by tokens, then frames
    datasets: tuple[str, ...]
    lines: Mapping[int, str]  # the slot of each number of tokens drawn
    picture: Markup


def scale(reports: Sequence[UVRBReport]) -> Scaling | None:
    """Reports of one model under other input settings beside each other; None of a single one.

    Raises UsageError when they are of several models, have a setting twice or no dataset in common.
    """
    if len(reports) < 2:
        return None
    _check(reports)
    common = [name for name in reports[0].scores if all(name in report.scores for report in reports)]
    if not common:
        raise UsageError("the reports with other frames and tokens have no dataset in common")
    rows = sorted((_row(report, common) for report in reports), key=lambda row: (row.tokens, row.frames))
    drawn = sorted({row.tokens for row in rows})[: len(SLOTS)]
    lines = dict(zip(drawn, SLOTS, strict=False))
    curves = [
        Curve(slot, {row.frames: row.dataset_average for row in rows if row.tokens == tokens})
        for tokens, slot in lines.items()
    ]
    return Scaling(tuple(rows), tuple(common), lines, draw_curves(curves, "Mean score over frames of a video"))


def _check(reports: Sequence[UVRBReport]) -> None:
    if models := sorted({report.model for report in reports} - {reports[0].model}):
        raise UsageError(f"test-time scaling is of one model, {reports[0].model}, not of {', '.join(models)} too")
    settings = [(report.frames, report.tokens) for report in reports]
    if twice := [setting for setting in settings if settings.count(setting) > 1]:
        raise UsageError(f"two reports have {twice[0][0]} frames and {twice[0][1]} tokens")


def _row(report: UVRBReport, names: Sequence[str]) -> ScaledRow:
    scores = {name: report.scores[name] for name in names}
    return ScaledRow(report.frames, report.tokens, fmean(scores.values()), ability_scores(scores).abilities)
