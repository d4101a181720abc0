"""The funnel as a picture: where the rows of every stage went."""

from __future__ import annotations

import io
from collections.abc import Sequence

from infra.counts import Counts

FATES = (
    ("parents", "kept", "#4e79a7"),
    ("dropped", "dropped by a filter", "#f28e2b"),
    ("quarantined", "quarantined", "#e15759"),
    ("pending", "pending", "#bab0ac"),
)


def draw_funnel(counts: Sequence[Counts]) -> bytes:
    """A PNG with one bar a stage: the share of its input rows that met each fate, and the numbers."""
    from matplotlib.figure import Figure  # takes a second

    figure = Figure(figsize=(10, 0.42 * len(counts) + 1.2), layout="constrained")
    axes = figure.subplots()
    left = [0.0] * len(counts)
    for field, label, color in FATES:
        shares = [getattr(stage, field) / stage.in_ if stage.in_ else 0.0 for stage in counts]
        axes.barh([stage.name for stage in counts], shares, left=left, color=color, label=label, height=0.7)
        left = [start + share for start, share in zip(left, shares, strict=True)]
    for row, stage in enumerate(counts):
        axes.text(1.01, row, f"{stage.in_:,} in, {stage.out:,} out", va="center", fontsize=9)
    axes.invert_yaxis()
    axes.set_xlim(0, 1.28)
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0%", "25%", "50%", "75%", "100%"])
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_bounds(0, 1)
    figure.legend(loc="outside upper left", ncols=len(FATES), frameon=False, fontsize=9)
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=110, metadata={"Software": ""})
    return picture.getvalue()
