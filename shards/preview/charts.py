"""Charts as inline SVG: numbers in, markup out. Colours are classes that the page's style sheet fills.

Words and numbers that belong to a whole chart stand beside it in HTML, where they wrap and can be read aloud.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from numpy.typing import ArrayLike, NDArray

WIDTH, HEIGHT = 320, 132  # of a histogram, in SVG units
PLOT_HEIGHT = 108
MOST_BINS = 24
NICE = (1.0, 2.0, 5.0, 10.0)  # steps that people count in, times a power of ten


@dataclass(frozen=True)
class Histogram:
    """How many values lie in each of [edges[i], edges[i + 1]), the last one closed."""

    edges: NDArray[np.float64]
    counts: NDArray[np.int64]
    whole: bool  # the values are whole numbers

    def span(self, i: int) -> str:
        """The values of bin `i` in words."""
        last = self.edges[i + 1] - self.whole
        return f"{self.edges[i]:g}" if last == self.edges[i] else f"{self.edges[i]:g} to {last:g}"


def histogram(values: ArrayLike, weights: ArrayLike, whole: bool = False) -> Histogram:
    """Values, at least one, that occur `weights` times each, in at most MOST_BINS bins of a nice width.

    Bins of `whole` numbers are at least 1 wide.
    """
    held = np.asarray(values, np.float64)
    low, high = float(held.min()), float(held.max())
    step = max(nice_step((high - low) / (MOST_BINS - 2)), 1.0 if whole else 0.0)
    first = np.floor(low / step)
    bins = int(np.floor(high / step) - first) + 1
    places = np.clip(np.floor(held / step) - first, 0, bins - 1).astype(np.int64)
    counts = np.bincount(places, np.asarray(weights), bins).astype(np.int64)
    return Histogram((first + np.arange(bins + 1)) * step, counts, whole)


def nice_step(least: float) -> float:
    """The smallest of 1, 2 or 5 times a power of ten that is at least `least`; 1 for nothing to step over."""
    if least <= 0:
        return 1.0
    scale = 10.0 ** np.floor(np.log10(least))
    return float(scale * next((factor for factor in NICE if factor * scale >= least * (1 - 1e-9)), NICE[-1]))


def draw_histogram(drawn: Histogram, name: str, unit: str = "") -> Markup:
    """Bars over an axis with its ends and middle labelled; every bar says its range and count on hover."""
    bins, top = len(drawn.counts), max(int(drawn.counts.max()), 1)
    step = WIDTH / bins
    bars = Markup("").join(
        Markup('<rect class="bar" x="{}" y="{}" width="{}" height="{}" rx="1.5"><title>{}</title></rect>').format(
            short(i * step + 0.75),
            short(PLOT_HEIGHT - (height := max(PLOT_HEIGHT * count / top, 1.5))),
            short(max(step - 1.5, 1.0)),
            short(height),
            f"{drawn.span(i)}{unit}: {count:,}",
        )
        for i, count in enumerate(drawn.counts.tolist())
        if count
    )
    labels = Markup("").join(
        Markup('<text x="{}" y="{}" text-anchor="{}">{:g}{}</text>').format(
            short(i * step), HEIGHT - 6, anchor, drawn.edges[i], unit
        )
        for i, anchor in _ticks(bins)
    )
    return Markup(
        '<svg viewBox="0 0 {w} {h}" role="img" aria-label="{name}"><line class="axis" x1="0" y1="{y}" '
        'x2="{w}" y2="{y}"/>{bars}{labels}</svg>'
    ).format(w=WIDTH, h=HEIGHT, y=PLOT_HEIGHT + 0.5, name=name, bars=bars, labels=labels)


def _ticks(bins: int) -> list[tuple[int, str]]:
    """Edges to label, and which side of them the label lies on."""
    middle = [(bins // 2, "middle")] if bins >= 4 else []
    return [(0, "start"), *middle, (bins, "end")]


def draw_bar(share: float) -> Markup:
    """A bar that fills `share` of its line; as wide as the page makes it."""
    return Markup(
        '<svg class="meter" viewBox="0 0 100 1" preserveAspectRatio="none" aria-hidden="true">'
        '<rect class="bar" width="{}" height="1"/></svg>'
    ).format(short(100 * share))


def short(value: float) -> str:
    """A coordinate as short as it can be written."""
    return f"{value:.2f}".rstrip("0").rstrip(".")
