"""Charts as inline SVG: numbers in, markup out. Colours are classes that the page's style sheet fills.

Words and numbers that belong to a whole chart stand beside it in HTML, where they wrap and can be read aloud.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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


def histogram(values: ArrayLike, weights: ArrayLike | None = None, whole: bool = False) -> Histogram:
    """At most MOST_BINS bins of a nice width over at least one value; `whole` numbers get bins at least 1 wide."""
    held = np.asarray(values, np.float64)
    low, high = float(held.min()), float(held.max())
    step = max(nice_step((high - low) / (MOST_BINS - 2)), 1.0 if whole else 0.0)
    first = np.floor(low / step)
    edges = (first + np.arange(int(np.floor(high / step) - first) + 2)) * step
    counts, _ = np.histogram(held, edges, weights=None if weights is None else np.asarray(weights))
    return Histogram(edges, counts.astype(np.int64))


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
            _number(i * step + 0.75),
            _number(PLOT_HEIGHT - (height := max(PLOT_HEIGHT * count / top, 1.5))),
            _number(max(step - 1.5, 1.0)),
            _number(height),
            f"{drawn.edges[i]:g} to {drawn.edges[i + 1]:g}{unit}: {count:,}",
        )
        for i, count in enumerate(drawn.counts.tolist())
        if count
    )
    labels = Markup("").join(
        Markup('<text x="{}" y="{}" text-anchor="{}">{:g}{}</text>').format(
            _number(i * step), HEIGHT - 6, anchor, drawn.edges[i], unit
        )
        for i, anchor in _ticks(bins)
    )
    return Markup(
        '<svg viewBox="0 0 {w} {h}" role="img" aria-label="{name}"><line class="axis" x1="0" y1="{y}" x2="{w}" y2="{y}"/>'
        "{bars}{labels}</svg>"
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
    ).format(_number(100 * share))


@dataclass(frozen=True)
class Flow:
    """One stage of the Sankey: its counts, and its piece of the drawing."""

    name: str
    in_: int
    out: int
    lost: tuple[tuple[str, int], ...]  # fate and rows, those that are not zero
    picture: Markup


FATES = ("dropped", "quarantined", "pending")
FLOW_WIDTH, FLOW_HEIGHT, FLOW_TURN = 100, 40, 24  # what is lost has left the stream at FLOW_TURN
WIDEST, LEAST, ASIDE = 80.0, 0.6, 5.0  # the widest stream, the thinnest, and how far what is lost steps aside


def draw_funnel(stages: Sequence[Mapping[str, int | str]]) -> list[Flow]:
    """A Sankey that runs down the page, one piece a stage, to be stacked without gaps.

    A stream's width is its number of rows, on one scale for all stages. What is kept runs on at the left
    and widens where a row becomes several; what is dropped, quarantined or pending branches off.
    """
    counts = [{name: int(value) for name, value in stage.items() if name != "name"} for stage in stages]
    scale = WIDEST / max([1, *(count[end] for count in counts for end in ("in", "out"))])
    flows = []
    for place, (stage, count) in enumerate(zip(stages, counts, strict=True)):
        below = counts[place + 1]["in"] if place + 1 < len(counts) else count["out"]
        lost = tuple((fate, count[fate]) for fate in FATES if count[fate])
        picture = _draw_flow(_wide(count["parents"], scale), _wide(below, scale), lost, scale)
        flows.append(Flow(str(stage["name"]), count["in"], count["out"], lost, picture))
    return flows


def _wide(rows: int, scale: float) -> float:
    return max(rows * scale, LEAST) if rows else 0.0


def _draw_flow(kept: float, below: float, lost: Sequence[tuple[str, int]], scale: float) -> Markup:
    middle = (FLOW_TURN + FLOW_HEIGHT) / 2
    paths = [
        f'<path class="kept" d="M0 0H{_number(kept)}V{FLOW_TURN}C{_number(kept)} {_number(middle)} {_number(below)} '
        f'{_number(middle)} {_number(below)} {FLOW_HEIGHT}H0Z"/>'
    ]
    left = kept
    for place, (fate, rows) in enumerate(lost, start=1):
        width, half = _wide(rows, scale), FLOW_TURN / 2
        a, b = left, left + width
        c, d = b + ASIDE * place, a + ASIDE * place
        paths.append(
            f'<path class="{fate}" d="M{_number(a)} 0H{_number(b)}C{_number(b)} {_number(half)} {_number(c)} '
            f"{_number(half)} {_number(c)} {FLOW_TURN}H{_number(d)}C{_number(d)} {_number(half)} {_number(a)} "
            f'{_number(half)} {_number(a)} 0Z"/>'
        )
        left = b
    return Markup(
        f'<svg class="flow" viewBox="0 0 {FLOW_WIDTH} {FLOW_HEIGHT}" preserveAspectRatio="none" aria-hidden="true">'
        f"{''.join(paths)}</svg>"
    )


def _number(value: float) -> str:
    """A coordinate as short as it can be written."""
    return f"{value:.2f}".rstrip("0").rstrip(".")
