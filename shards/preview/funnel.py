"""The funnel as a Sankey that runs down the page, one piece of inline SVG a stage, stacked without gaps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from shards.preview.charts import short

FATES = ("dropped", "quarantined", "pending")  # what happens to rows that do not go on
WIDTH, HEIGHT = 100, 44  # of one piece; the page stretches it
NODE_TOP, NODE_BOTTOM = 18, 22
WIDEST, LEAST = 70.0, 0.7  # the widest stream and the thinnest
CENTRE = 2 + WIDEST / 2
ASIDE = 9.0  # how far what leaves the stream steps aside


@dataclass(frozen=True)
class Flow:
    """One stage: its counts, and its piece of the drawing."""

    name: str
    in_: int
    out: int
    lost: tuple[tuple[str, int], ...]  # fate and rows, those that are not zero
    picture: Markup


def draw_funnel(stages: Sequence[Mapping[str, int | str]]) -> list[Flow]:
    """The pieces of the Sankey of a manifest's funnel: rows with `name`, `in`, `out`, `parents` and FATES.

    A stream's width is its number of rows, on one scale for all stages. It widens where a row becomes
    several; what is dropped, quarantined or pending leaves it on the right.
    """
    counts = [{name: int(value) for name, value in stage.items() if name != "name"} for stage in stages]
    scale = WIDEST / max([1, *(count[end] for count in counts for end in ("in", "out"))])
    flows = []
    for place, (stage, count) in enumerate(zip(stages, counts, strict=True)):
        below = counts[place + 1]["in"] if place + 1 < len(counts) else count["out"]
        lost = tuple((fate, count[fate]) for fate in FATES if count[fate])
        widths = [_wide(count["parents"], scale), *(_wide(rows, scale) for _, rows in lost)]
        picture = _draw_piece(place == 0, widths, [fate for fate, _ in lost], _wide(below, scale))
        flows.append(Flow(str(stage["name"]), count["in"], count["out"], lost, picture))
    return flows


def _wide(rows: int, scale: float) -> float:
    return max(rows * scale, LEAST) if rows else 0.0


def _draw_piece(is_first: bool, widths: Sequence[float], fates: Sequence[str], below: float) -> Markup:
    """A node, the stream that comes in above it, what goes on below it, and what leaves it."""
    whole = sum(widths)
    left, right = CENTRE - whole / 2, CENTRE + whole / 2
    shapes = [] if is_first else [_ribbon("kept", (left, right), (left, right), 0, NODE_TOP)]
    start = left
    for place, (fate, width) in enumerate(zip(["kept", *fates], widths, strict=True)):
        top = (start, start + width)
        aside = (top[0] + ASIDE * place, top[1] + ASIDE * place)
        bottom = (CENTRE - below / 2, CENTRE + below / 2) if place == 0 else aside
        shapes.append(_ribbon(fate, top, bottom, NODE_BOTTOM, HEIGHT))
        start += width
    x, width_of_all, thick = short(left), short(whole), NODE_BOTTOM - NODE_TOP
    shapes.append(f'<rect class="node" x="{x}" y="{NODE_TOP}" width="{width_of_all}" height="{thick}"/>')
    return Markup(
        f'<svg class="flow" viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none" aria-hidden="true">'
        f"{''.join(shapes)}</svg>"
    )


def _ribbon(kind: str, top: tuple[float, float], bottom: tuple[float, float], y: float, end: float) -> str:
    """A band from `top` at height `y` to `bottom` at `end`; both its sides bend alike."""
    (a, b), (d, c), half = top, bottom, short((y + end) / 2)
    return (
        f'<path class="{kind}" d="M{short(a)} {short(y)}H{short(b)}C{short(b)} {half} {short(c)} {half} {short(c)} '
        f'{short(end)}H{short(d)}C{short(d)} {half} {short(a)} {half} {short(a)} {short(y)}Z"/>'
    )
