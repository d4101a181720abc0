"""The picture of a training run: loss and scores by task, step by step."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")  # no display on servers
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from shards.records import TASKS

DRAWN_POINTS = 20  # independent points left on a line when its running mean is drawn
STEP_PANELS = (
    ("loss", "Loss", "symmetric InfoNCE"),
    ("positive_score", "Positive score", "mean cosine, query and its target"),
    ("negative_gap", "Gap to the best negative", "cosine difference, mean over queries"),
)
EPOCH_PANELS = (
    ("relevance", "Relevance R(k)", "mean cosine of the probes"),
    ("shares", "Shares P(k)", "of the epoch's steps"),
    ("passes", "Passes before the epoch", "over a task's pairs"),
)
COLORS = dict(zip(TASKS, ("#4e79a7", "#76b7b2", "#e15759", "#f28e2b", "#b07aa1", "#59a14f", "#9c755f"), strict=True))


def draw_curves(steps: Sequence[dict[str, Any]], epochs: Sequence[dict[str, Any]], path: Path) -> None:
    """Draw the logged steps and epochs into the PNG file `path`: one panel a measure, one line a task."""
    figure, axes = plt.subplots(2, len(STEP_PANELS), figsize=(15, 9), layout="constrained")
    tasks = [task for task in TASKS if any(entry["task"] == task for entry in steps)]
    for axis, (measure, title, unit) in zip(axes[0], STEP_PANELS, strict=True):
        _style(axis, title, unit, "step")
        for task in tasks:
            of_task = (entry for entry in steps if entry["task"] == task)
            points = [(entry["step"], entry[measure]) for entry in of_task if entry[measure] is not None]
            if points:  # a batch that knows no negatives has no gap to them
                _draw_steps(axis, task, points)
    for axis, (measure, title, unit) in zip(axes[1], EPOCH_PANELS, strict=True):
        _style(axis, title, unit, "epoch")
        for task in tasks:
            values = [(entry["epoch"] + 1, entry[measure][task]) for entry in epochs if task in entry[measure]]
            if values:
                axis.plot(*zip(*values, strict=True), color=COLORS[task], marker=".")
        axis.set_visible(bool(axis.lines))  # most schedules ask no prober
    axes[0, 0].set_ylim(bottom=0)
    axes[1, 1].set_ylim(bottom=0)
    axes[0, -1].axhline(0, color="#999999", linewidth=0.8, linestyle=":")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=len(tasks), frameon=False)
    figure.savefig(path, dpi=110, metadata={"Software": ""})
    plt.close(figure)


def _draw_steps(axis: Axes, task: str, points: Sequence[tuple[int, float]]) -> None:
    steps, values = [step for step, _ in points], [value for _, value in points]
    smooth = running_mean(values, max(0.0, 1 - DRAWN_POINTS / len(values)))
    axis.plot(steps, values, color=COLORS[task], alpha=0.2, linewidth=0.8)
    axis.plot(steps, smooth, color=COLORS[task], linewidth=1.8, label=task)


def running_mean(values: Sequence[float], memory: float) -> list[float]:
    """Exponential running mean of `values`, corrected for its start (Kingma and Ba, 2015, section 3)."""
    mean, means = 0.0, []
    for count, value in enumerate(values, start=1):
        mean = memory * mean + (1 - memory) * value
        means.append(mean / (1 - memory**count))
    return means


def _style(axis: Axes, title: str, unit: str, along: str) -> None:
    axis.set_title(title, loc="left", fontsize=12, fontweight="bold")
    axis.set_xlabel(along)
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.set_ylabel(unit)
    axis.grid(color="#e6e6e6", linewidth=0.8)
    axis.spines[["top", "right"]].set_visible(False)
