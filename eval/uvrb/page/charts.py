"""The page's charts as inline SVG. Lines differ by dash and marker, so that colour is never needed to tell them apart.

Colours, dashes and markers are classes that the page's style sheet fills.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, cos, floor, pi, sin
from typing import Final

from markupsafe import Markup

from eval.uvrb.abilities import ABILITIES
from eval.uvrb.records import DatasetScores
from shards.preview.charts import nice_step, short

SLOTS: Final = ("own", "first", "second", "third")  # lines of a chart, each with its dash, marker and colour
RADAR_WIDTH, RADAR_HEIGHT, RADIUS = 400, 350, 138.0  # in SVG units
CENTRE: Final = (RADAR_WIDTH / 2, RADAR_HEIGHT / 2)
RINGS: Final = (0.2, 0.4, 0.6, 0.8, 1.0)
CURVE_WIDTH, CURVE_HEIGHT, CURVE_LEFT, CURVE_BOTTOM = 360, 230, 44, 30
CURVE_INDENT = 24  # between the ends of the axis and the first and last place

# Path data of markers that leave the middle of a 10 x 10 box free of doubt which is which.
_MARKERS: Final = {
    "own": "M5 1.2a3.8 3.8 0 1 1 0 7.6a3.8 3.8 0 1 1 0-7.6z",
    "first": "M1.6 1.6h6.8v6.8h-6.8z",
    "second": "M5 .9 9.3 8.6H.7z",
    "third": "M5 .3 9.7 5 5 9.7.3 5z",
}


def draw_markers() -> Markup:
    """The definitions of all SLOTS' markers, once a page."""
    return Markup("").join(
        Markup(
            '<marker id="mark-{0}" class="mark {0}" viewBox="0 0 10 10" refX="5" refY="5" markerWidth="9" '
            'markerHeight="9" markerUnits="userSpaceOnUse"><path d="{1}"/></marker>'
        ).format(slot, shape)
        for slot, shape in _MARKERS.items()
    )


def radar_path(abilities: Mapping[str, float]) -> str:
    """Path data of one model: closed over nine abilities; a line only between neighbours that both have scores."""
    points = [_at(place, abilities[name]) if name in abilities else None for place, name in enumerate(ABILITIES)]
    if None not in points:
        return "M" + "L".join(f"{short(x)} {short(y)}" for x, y in filter(None, points)) + "Z"
    pieces = []
    for place, point in enumerate(points):
        if point is None:
            continue
        following = points[(place + 1) % len(points)]
        end = f"L{short(following[0])} {short(following[1])}" if following else "h0"
        pieces.append(f"M{short(point[0])} {short(point[1])}{end}")
    return "".join(pieces)


def _at(place: int, value: float) -> tuple[float, float]:
    """Where `value` lies on the axis of an ability; the first points upward, the rest follow clockwise."""
    angle = 2 * pi * place / len(ABILITIES)
    return CENTRE[0] + RADIUS * value * sin(angle), CENTRE[1] - RADIUS * value * cos(angle)


def draw_radar(paths: Mapping[str, str], labels: Mapping[str, str], name: str) -> Markup:
    """The radar: rings, an axis for every ability with its label, and the line of every slot of `paths`."""
    lines = Markup("").join(
        Markup('<path class="line {0}" id="radar-{0}" d="{1}"/>').format(slot, paths.get(slot, ""))
        for slot in reversed(SLOTS)
    )
    return Markup(
        '<svg class="radar" viewBox="0 0 {w} {h}" role="img" aria-label="{name}">{rings}{axes}{lines}{ticks}</svg>'
    ).format(
        w=RADAR_WIDTH,
        h=RADAR_HEIGHT,
        name=name,
        rings=Markup("").join(map(_ring, RINGS)),
        axes=Markup("").join(_axis(place, labels[ability]) for place, ability in enumerate(ABILITIES)),
        lines=lines,
        ticks=Markup("").join(map(_tick, RINGS)),
    )


def _ring(value: float) -> Markup:
    corners = " ".join(",".join(map(short, _at(place, value))) for place in range(len(ABILITIES)))
    return Markup('<polygon class="ring" points="{}"/>').format(corners)


def _tick(value: float) -> Markup:
    """The value of a ring, in the middle of its side between the last axis and the first, where few lines are."""
    (ax, ay), (bx, by) = _at(0, value), _at(len(ABILITIES) - 1, value)
    return Markup('<text class="tick" x="{}" y="{}" text-anchor="middle">{:g}</text>').format(
        short((ax + bx) / 2), short((ay + by) / 2 + 3), value
    )


def _axis(place: int, label: str) -> Markup:
    (x, y), (label_x, label_y) = _at(place, 1), _at(place, 1.1)
    aside = label_x - CENTRE[0]
    anchor = "middle" if abs(aside) < 12 else "start" if aside > 0 else "end"
    return Markup(
        '<line class="axis" x1="{}" y1="{}" x2="{}" y2="{}"/><text x="{}" y="{}" text-anchor="{}">{}</text>'
    ).format(*map(short, (*CENTRE, x, y, label_x, label_y + 4)), anchor, label)


def draw_swatch(slot: str) -> Markup:
    """A piece of a slot's line, for keys."""
    return Markup(
        '<svg class="swatch" viewBox="0 0 44 12" aria-hidden="true"><path class="line {}" d="M4 6L22 6L40 6"/></svg>'
    ).format(slot)


def draw_score(found: DatasetScores) -> Markup:
    """A score from 0 to 1 as a bar, its interval as a line with ends, and chance as a tick across."""
    low, high = (100 * end for end in found.interval)
    interval = f"M{short(low)} 3v6m0-3H{short(high)}m0-3v6"
    return Markup(
        '<svg class="score" viewBox="-1 0 102 12" preserveAspectRatio="none" aria-hidden="true">'
        '<rect class="ground" width="100" height="8" y="2"/><rect class="bar" width="{}" height="8" y="2"/>'
        '<path class="chance" d="M{} 0v12"/><path class="interval" d="{}"/></svg>'
    ).format(short(100 * found.score), short(100 * found.chance), interval)


@dataclass(frozen=True)
class Curve:
    """One line of a chart: a value at some of the places along its axis."""

    slot: str
    values: Mapping[int, float]


def draw_curves(curves: Sequence[Curve], name: str) -> Markup:
    """Curves over places that are numbers spaced alike, whatever their distance; values over their own range."""
    places = sorted({place for curve in curves for place in curve.values})
    lines = _grid_lines([value for curve in curves for value in curve.values.values()])
    top, bottom = 6.0, float(CURVE_HEIGHT - CURVE_BOTTOM)

    def x(place: int) -> str:
        inner = CURVE_WIDTH - CURVE_LEFT - 2 * CURVE_INDENT
        return short(CURVE_LEFT + CURVE_INDENT + inner * places.index(place) / max(len(places) - 1, 1))

    def y(value: float, below: int = 0) -> str:
        return short(top + (bottom - top) * (lines[-1] - value) / (lines[-1] - lines[0]) + below)

    digits = 2 if lines[1] - lines[0] > 0.0099 else 3
    grid = Markup("").join(
        Markup('<path class="axis" d="M{} {}H{}"/><text x="{}" y="{}" text-anchor="end">{}</text>').format(
            CURVE_LEFT, y(value), CURVE_WIDTH, CURVE_LEFT - 6, y(value, below=4), f"{value:.{digits}f}"
        )
        for value in lines
    )
    ticks = Markup("").join(
        Markup('<text x="{}" y="{}" text-anchor="middle">{}</text>').format(x(place), CURVE_HEIGHT - 6, place)
        for place in places
    )
    drawn = Markup("").join(
        Markup('<path class="line {}" d="{}"/>').format(
            curve.slot, _joined([(x(place), y(value)) for place, value in sorted(curve.values.items())])
        )
        for curve in curves
    )
    return Markup('<svg viewBox="0 0 {} {}" role="img" aria-label="{}">{}{}{}</svg>').format(
        CURVE_WIDTH, CURVE_HEIGHT, name, grid, ticks, drawn
    )


def _grid_lines(values: Sequence[float]) -> list[float]:
    """Round values from below the least of `values` to above the greatest, at least two."""
    step = nice_step(max(max(values) - min(values), 0.02) / 4)
    low, high = floor(min(values) / step), ceil(max(values) / step)
    return [number * step for number in range(low, max(high, low + 1) + 1)]


def _joined(points: Sequence[tuple[str, str]]) -> str:
    """Path data through points; one alone still has its marker."""
    return "M" + "L".join(f"{x} {y}" for x, y in points) + ("h0" if len(points) == 1 else "")
