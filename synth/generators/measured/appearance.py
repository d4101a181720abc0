"""Whole sentences for what a picture looks like, each true by itself, the most telling first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from synth.generators.measured import phrases
from synth.generators.measured.observation import Look, Patch
from synth.generators.measured.voice import Voice, listed, sentence, with_article

SPATIAL: Final = "spatial"
TEMPORAL: Final = "temporal"
OTHER: Final = "other"


@dataclass(frozen=True)
class Fact:
    """One sentence; `about` is the part of the content budget it belongs to (appendix A.6).

    What `is_telling` sets this clip apart: its things, their movement, the background, the camera.
    """

    text: str
    about: str
    is_telling: bool = False


def frame_facts(look: Look, voice: Voice) -> list[Fact]:
    """Everything worth saying about one picture."""
    told = phrases.told_patches(look)
    return [
        *(fact for patch in told for fact in _patch(patch, look, voice)),
        *setting(look, voice),
        *relation([(patch, patch.x, patch.y) for patch in told], look, voice, ""),
        Fact(f"The {voice.word('picture')} holds one single moment, in which nothing moves.", TEMPORAL),
        *appearance(look, voice),
    ]


def _patch(patch: Patch, look: Look, voice: Voice) -> Iterator[Fact]:
    spot = phrases.place(patch.x, patch.y) or "near the middle"
    subject = with_article(phrases.noun(patch, look, voice))
    yield Fact(sentence(voice.pick(f"{subject} is {spot}", f"there is {subject} {spot}")), SPATIAL, True)
    if voice.chance(0.7):
        yield covers(patch, look, voice)


def covers(patch: Patch, look: Look, voice: Voice) -> Fact:
    """How much of the picture a thing takes."""
    text = f"the {phrases.short(patch, look)} covers {voice.share(patch.area)} of the {voice.word('picture')}"
    return Fact(sentence(text), SPATIAL)


def setting(look: Look, voice: Voice) -> Iterator[Fact]:
    """The background or the main colours."""
    found = phrases.setting(look, voice)
    if found:
        text = voice.pick(f"there is {found}", f"the {voice.word('picture')} {voice.word('shows')} {found}")
        yield Fact(sentence(text), SPATIAL, True)


def relation(placed: Sequence[tuple[Patch, float, float]], look: Look, voice: Voice, when: str) -> Iterator[Fact]:
    """How the two largest of some things at (x, y) lie to each other; `when` opens the sentence."""
    if len(placed) < 2:
        return
    (a, ax, ay), (b, bx, by) = placed[:2]
    side = "to the left of" if ax < bx - 0.15 else "to the right of" if ax > bx + 0.15 else ""
    height = "above" if ay < by - 0.2 else "below" if ay > by + 0.2 else ""
    relation = listed([part for part in (side, height) if part]) if side or height else ""
    if relation:
        yield Fact(
            sentence(f"{when}the {phrases.short(a, look)} is {relation} the {phrases.short(b, look)}"), SPATIAL, True
        )
    if len(placed) == 2 and voice.chance(0.5):
        yield Fact(
            f"Two things stand out: {listed([with_article(phrases.short(p, look)) for p, _, _ in placed])}.", SPATIAL
        )


def appearance(look: Look, voice: Voice) -> Iterator[Fact]:
    """Faces, colours and where they are, light, detail and format."""
    if look.faces:
        who = "A face" if look.faces == 1 else "More than one face"
        yield Fact(f"{who} can be seen from the front.", SPATIAL)
    yield _colours(look, voice)
    yield from _spots(look)
    yield from _grid(look, voice)
    yield _light(look, voice)
    yield from _balance(look)
    yield Fact(_vivid(look), OTHER)
    yield Fact(_detail(look, voice), OTHER)
    yield Fact(framing(look, voice), OTHER)


def _colours(look: Look, voice: Voice) -> Fact:
    first, *rest = [(name, share) for name, share in look.palette if share > 0.05][:3] or [look.palette[0]]
    text = f"{first[0]} covers {voice.share(first[1])} of the {voice.word('picture')}"
    more = [f"{name} {voice.share(share)}" for name, share in rest]
    return Fact(sentence(f"{text}, {listed(more)}" if more else text), SPATIAL)


def _grid(look: Look, voice: Voice) -> Iterator[Fact]:
    """Rows of the 3x3 grid of one colour, else cells that have one; a drawn background has been told already."""
    if phrases.is_drawn(look):
        return
    if look.grid[0] and len(set(look.grid)) == 1:
        yield Fact(f"All parts of the picture are {voice.word('mostly')} {look.grid[0]}.", SPATIAL)
        return
    rows = {row: look.grid[3 * row] for row in range(3) if len(set(look.grid[3 * row : 3 * row + 3])) == 1}
    for row, shade in rows.items():
        if shade:
            text = f"The whole {('top', 'middle', 'bottom')[row]} third is {voice.word('mostly')} {shade}."
            yield Fact(text, SPATIAL, True)
    single = [i for i, shade in enumerate(look.grid) if shade and i // 3 not in rows][:4]
    cells = [f"the {phrases.cell(i)} is {voice.word('mostly')} {look.grid[i]}" for i in single]
    for start in range(0, len(cells), 2):
        yield Fact(sentence(listed(cells[start : start + 2])), SPATIAL)


_LIGHT: Final = ((0.22, "dark"), (0.4, "rather dark"), (0.62, "of medium brightness"), (0.78, "bright"),
                 (2.0, "very bright"))  # fmt: skip


def brightness(look: Look) -> str:
    """How bright a picture is, as an adjective."""
    return _shade(look.brightness)


def _shade(light: float) -> str:
    return next(text for limit, text in _LIGHT if light < limit)


def _light(look: Look, voice: Voice) -> Fact:
    contrast = "strong" if look.contrast > 0.26 else "weak" if look.contrast < 0.13 else "moderate"
    text = (
        f"The {voice.word('picture')} is {brightness(look)} overall, with {contrast} contrast between light and dark."
    )
    return Fact(text, OTHER)


def _balance(look: Look) -> Iterator[Fact]:
    """The brightest and the darkest part, and which side is brighter."""
    cells = sorted(range(9), key=look.lights.__getitem__)
    if look.lights[cells[-1]] - look.lights[cells[0]] > 0.1:
        text = (
            f"The {phrases.cell(cells[-1])} is the brightest part of it and the {phrases.cell(cells[0])} the darkest."
        )
        yield Fact(text, SPATIAL)
    columns = [sum(look.lights[k::3]) / 3 for k in range(3)]
    rows = [sum(look.lights[3 * k : 3 * k + 3]) / 3 for k in range(3)]
    for values, (first, second) in ((columns, ("left", "right")), (rows, ("top", "bottom"))):
        if abs(values[2] - values[0]) > 0.06:
            brighter, darker = (second, first) if values[2] > values[0] else (first, second)
            yield Fact(f"It is brighter at the {brighter} than at the {darker}.", SPATIAL)


def cell_lights(look: Look) -> Iterator[Fact]:
    """How bright each of the nine parts is: true of every picture, and little telling."""
    for light in dict.fromkeys(map(_shade, look.lights)):
        cells = [f"the {phrases.cell(i)}" for i in range(9) if _shade(look.lights[i]) == light]
        for start in range(0, len(cells), 3):
            part = cells[start : start + 3]
            yield Fact(sentence(f"{listed(part)} {'is' if len(part) == 1 else 'are'} {light}"), SPATIAL)


def _spots(look: Look) -> Iterator[Fact]:
    """Where colours lie that are in one place, unless things have been told that have them."""
    if phrases.is_drawn(look) and phrases.told_patches(look):
        return
    for name, index in look.spots[:3]:
        yield Fact(f"Most of the {name} in it is in the {phrases.cell(index)}.", SPATIAL, True)


def _vivid(look: Look) -> str:
    if look.colourfulness < 15:
        return "There is hardly any colour in it."
    return "Its colours are strong." if look.colourfulness > 60 else "Its colours are moderate in strength."


def _detail(look: Look, voice: Voice) -> str:
    if look.detail > 0.14:
        return f"It is full of fine detail, with {voice.word('many')} edges."
    if look.detail < 0.04:
        return "It is made of large smooth areas with few edges."
    return "It has a moderate amount of detail and edges."


def framing(look: Look, voice: Voice) -> str:
    if look.aspect > 1.1:
        return f"The {voice.word('picture')} is wider than high."
    if look.aspect < 0.9:
        return f"The {voice.word('picture')} is higher than wide."
    return f"The {voice.word('picture')} is about as wide as high."
