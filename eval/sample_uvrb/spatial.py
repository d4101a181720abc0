"""CRB-S and VDC-O: where things are, and which of them is the main one. Nothing that is asked for needs time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import Final

from eval.sample_uvrb.analogue import Analogue, Asked, Dial, Told, gather, told_analogue
from eval.sample_uvrb.stage import HEIGHT, WIDTH, Role, Scene, draw_scene, film, place_alike, unplaced
from eval.sample_uvrb.truth import name, place
from eval.sample_uvrb.wording import article, listed, sentence, sized
from infra.sample_world.draw import fits
from infra.sample_world.spec import SHAPES, Shot, Thing

Point = tuple[float, float]
_COLUMNS, _ROWS = (0.22, 0.5, 0.78), (0.25, 0.5, 0.75)
_SPOTS: Final = tuple((x, y) for y in _ROWS for x in _COLUMNS)
_MAIN_SPOTS: Final = tuple((x, y) for y in (0.3, 0.7) for x in _COLUMNS)  # where a large thing and others have room


def crb_s(dial: Dial) -> Analogue:
    """Two things at rest and their places, one to the left of the other; distractors share a third one's movement.

    The nearer distractors hold the same words: colours, shapes or places have changed hands.
    """
    random = dial.random("CRB-S")
    return told_analogue("CRB-S", gather("CRB-S", dial.queries, lambda: _spatial(random, dial)), dial.queries)


def _spatial(random: Random, dial: Dial) -> list[Told]:
    scene = draw_scene(random, 3, textures=("plain", "vertical_gradient", "horizontal_gradient"))
    resting = [replace(one, motion="", size="small") for one in scene.roles[:2]]
    actor = scene.roles[2]
    arranged = [(resting, _two_spots(random))]
    for _ in range(dial.family - 1):
        arranged.append(_rearranged(random, dial, *arranged[0]))
    shots = [_posed(replace(scene, roles=(*pair, actor)), spots) for pair, spots in arranged]
    return [Told(film(shot), (_ask_places(shot),)) for shot in place_alike(random, shots, fixed=2)]


def _two_spots(random: Random) -> list[Point]:
    """Two of the nine places, in different columns."""
    while True:
        first, second = random.sample(_SPOTS, 2)
        if first[0] != second[0]:
            return [first, second]


def _rearranged(
    random: Random, dial: Dial, pair: Sequence[Role], spots: Sequence[Point]
) -> tuple[list[Role], list[Point]]:
    """The same two things, or others of their colours, elsewhere."""
    first, second = pair
    if random.random() >= dial.difficulty:
        shapes = random.sample(SHAPES, 2)
        return [replace(one, shape=shape) for one, shape in zip(pair, shapes, strict=True)], _two_spots(random)
    kind = random.choice(("places", "colours", "elsewhere"))
    if kind == "elsewhere":
        return [first, second], _two_spots(random)
    if kind == "colours":
        return [replace(first, colour=second.colour), replace(second, colour=first.colour)], list(spots)
    return [first, second], [spots[1], spots[0]]


def _posed(scene: Scene, spots: Sequence[Point]) -> Shot:
    """The shot of a scene whose first things are at `spots`."""
    shot = unplaced(scene)
    posed = (replace(thing, x=x, y=y) for thing, (x, y) in zip(shot.things, spots, strict=False))
    return replace(shot, things=(*posed, *shot.things[len(spots) :]))


def _ask_places(shot: Shot) -> Asked:
    first, second = sorted(shot.things[:2], key=lambda thing: thing.x)
    where = {thing: place(thing.x, thing.y) for thing in (first, second)}
    said = listed([f"{article(name(thing))} is {where[thing]}" for thing in (first, second)])
    aside = f"the {name(first)} is to the left of the {name(second)}"
    wanted = {fact for thing in (first, second) for fact in (name(thing), f"{name(thing)} {where[thing]}")}
    return Asked(frozenset(wanted), f"{sentence(said)} {sentence(aside)}")


def vdc_o(dial: Dial) -> Analogue:
    """The large thing among small ones; near distractors hold the same things, another of them large."""
    random = dial.random("VDC-O")
    return told_analogue("VDC-O", gather("VDC-O", dial.queries, lambda: _objects(random, dial)), dial.queries)


def _objects(random: Random, dial: Dial) -> list[Told]:
    scene = draw_scene(random, 4, motions=(), textures=("plain", "vertical_gradient", "horizontal_gradient"))
    spots = random.sample(_MAIN_SPOTS, 4)
    roles = [replace(one, size="small") for one in scene.roles]
    casts = [roles, *(_recast(random, dial, roles, number) for number in range(1, min(dial.family, len(roles))))]
    shots = [_posed(replace(scene, roles=_with_main(cast)), spots) for cast in casts]
    if not all(fits(shot, WIDTH / HEIGHT) for shot in shots):
        return []
    return [Told(film(shot), (_ask_main(shot.things[0]),)) for shot in shots]


def _recast(random: Random, dial: Dial, roles: Sequence[Role], main: int) -> list[Role]:
    """The things with number `main` in front; as things of other shapes where the dial is low."""
    turned = [*roles[main:], *roles[:main]]
    if random.random() < dial.difficulty:
        return turned
    return [replace(one, shape=random.choice(SHAPES)) for one in turned]


def _with_main(cast: Sequence[Role]) -> tuple[Role, ...]:
    return (replace(cast[0], size="large"), *cast[1:])


def _ask_main(main: Thing) -> Asked:
    where = place(main.x, main.y)
    text = f"{article(sized(main))} stays still {where}"
    wanted = frozenset({name(main), f"{main.size} {name(main)}", f"{name(main)} {where}"})
    return Asked(wanted, sentence(f"the main object: {text}"))
