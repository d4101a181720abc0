"""The charts and tables that count what a release holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
from markupsafe import Markup

from shards.preview.charts import draw_bar, draw_histogram, histogram
from shards.preview.survey import Survey
from shards.records import TASKS

RESOLUTIONS = 8  # listed one by one
Number = TypeVar("Number", int, float)


@dataclass(frozen=True)
class Chart:
    """A drawing, and in words what it shows."""

    title: str
    note: str
    picture: Markup


@dataclass(frozen=True)
class Line:
    """One line of a table: how many there are of something, in all and by split, and a bar of that length."""

    name: str
    count: int
    bar: Markup
    by_split: Mapping[str, int] = field(default_factory=dict)


def list_tasks(pairs: Mapping[str, Mapping[str, int]]) -> list[Line]:
    """The pairs of every task of a release, counted by task and split."""
    counts = {task: sum(pairs[task].values()) for task in TASKS if task in pairs}
    most = max(counts.values(), default=1)
    return [Line(task, count, draw_bar(count / most), pairs[task]) for task, count in counts.items()]


def list_sizes(seen: Survey) -> list[Line]:
    """The RESOLUTIONS that most clips have, and how many have others; nothing where sizes are not told."""
    ranked = sorted(Counter(seen.clip_size.values()).items(), key=lambda entry: (-entry[1], entry[0]))
    counts = {f"{width} × {height}": clips for (width, height), clips in ranked[:RESOLUTIONS]}
    if rest := sum(clips for _, clips in ranked[RESOLUTIONS:]):
        counts["others"] = rest
    most = max(counts.values(), default=1)
    return [Line(name, count, draw_bar(count / most)) for name, count in counts.items()]


def draw_distributions(seen: Survey) -> list[Chart]:
    """A histogram of everything that varies over pairs or clips, as far as the release tells."""
    per_video = Counter(seen.pairs_by_video.values())
    charts = [
        _draw("Clip durations", "clips", Counter(seen.clip_s.values()), unit=" s"),
        _draw("Words per text", "texts", seen.words, whole=True),
        _draw("Pairs per source video", "videos", per_video, whole=True),
    ]
    for name, scores in sorted(seen.scores.items()):
        charts.append(_draw(_title(name), "clips", Counter(scores.values())))
    return [chart for chart in charts if chart is not None]


def _title(name: str) -> str:
    """The name of a score as a heading."""
    return name[:1].upper() + name[1:].replace("_", " ")


def _draw(title: str, what: str, counted: Counter[Number], unit: str = "", whole: bool = False) -> Chart | None:
    """The histogram of values and how often each occurs; None of nothing."""
    if not counted:
        return None
    values = np.array(sorted(counted), np.float64)
    weights = np.array([counted[value] for value in sorted(counted)])
    middle = np.median(np.repeat(values, weights))
    note = f"{weights.sum():,} {what}, median {middle:.3g}{unit}, {values[0]:.3g} to {values[-1]:.3g}{unit}"
    return Chart(title, note, draw_histogram(histogram(values, weights, whole), f"{title}: {note}", unit))
