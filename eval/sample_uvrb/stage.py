"""From what a video is to show to shots of the sample world: things cast, changed in details, and placed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Final

from infra.sample_world.draw import draw_background, fits, free_colours
from infra.sample_world.spec import (
    CURVED,
    MOTIONS,
    RESIZED,
    SHAPES,
    STRAIGHT,
    TEXTURES,
    Background,
    Leg,
    Shot,
    Thing,
    VideoSpec,
)

WIDTH, HEIGHT, FPS = 128, 96, 8  # no video of the sample world is of this size
SHOT_FRAMES = 24
_PLACINGS = 150  # tries to place a thing before its shot is given up
DISTANCES: Final[dict[str, float]] = {  # of a leg, by its motion: see `Leg.distance`
    **dict.fromkeys(STRAIGHT, 0.34),
    **dict.fromkeys(CURVED, 0.45),
    "clockwise": 0.18,
    "counterclockwise": 0.18,
    "grow": 2.0,
    "shrink": 0.5,
}
_SIZES: Final = {"grow": "small", "shrink": "large"}  # what has room to be resized


@dataclass(frozen=True)
class Role:
    """A thing before it has a place. It rests where it has no motion."""

    colour: str
    shape: str
    motion: str = ""
    size: str = "small"


@dataclass(frozen=True)
class Scene:
    """A shot before its things have places."""

    background: Background
    roles: tuple[Role, ...]

    def details(self) -> tuple[str, ...]:
        """What can be changed in it."""
        roles = range(len(self.roles))
        return ("background", *(f"{number} {part}" for number in roles for part in ("colour", "shape", "motion")))


def draw_scene(
    random: Random, roles: int, motions: Sequence[str] = MOTIONS, textures: Sequence[str] = TEXTURES
) -> Scene:
    """A scene of things of unlike colours, every one with a motion of its own out of `motions`."""
    while True:
        background = draw_background(random, tuple(textures))
        colours = free_colours(random, background)
        if len(colours) >= roles:
            break
    acts = random.sample(list(motions), roles) if motions else [""] * roles
    return Scene(background, tuple(role(random, colour, act) for colour, act in zip(colours, acts, strict=False)))


def role(random: Random, colour: str, motion: str = "", shape: str | None = None) -> Role:
    """A thing of a size that lets it do what it does, and of any shape where none is given."""
    return Role(colour, shape or random.choice(SHAPES), motion, _SIZES.get(motion, random.choice(("small", "medium"))))


def changed(random: Random, scene: Scene, details: Sequence[str]) -> Scene:
    """The scene with another value of each of `details`; all else stays."""
    for detail in details:
        scene = _new_background(random, scene) if detail == "background" else _new_part(random, scene, detail)
    return scene


def _new_background(random: Random, scene: Scene) -> Scene:
    """The same things before another background that they stand out from; the old one where none is found."""
    for _ in range(60):
        background = draw_background(random, TEXTURES)
        free = free_colours(random, background)
        if background.colours != scene.background.colours and all(one.colour in free for one in scene.roles):
            return replace(scene, background=background)
    return scene


def _new_part(random: Random, scene: Scene, detail: str) -> Scene:
    number, part = int(detail.split()[0]), detail.split()[1]
    old = scene.roles[number]
    if part == "colour":
        free = set(free_colours(random, scene.background)) - {one.colour for one in scene.roles}
        new = replace(old, colour=random.choice(sorted(free) or [old.colour]))
    elif part == "shape":
        new = replace(old, shape=random.choice([shape for shape in SHAPES if shape != old.shape]))
    else:
        new = _moving_anew(random, old, [one.motion for one in scene.roles])
    return replace(scene, roles=(*scene.roles[:number], new, *scene.roles[number + 1 :]))


def _moving_anew(random: Random, old: Role, taken: Sequence[str]) -> Role:
    """Another motion of the same thing, of those that a thing of its size has room for."""
    motions = [motion for motion in MOTIONS if motion not in taken and (motion in RESIZED) == (old.motion in RESIZED)]
    same_size = [motion for motion in motions if _SIZES.get(motion, old.size) == old.size]
    return replace(old, motion=random.choice(same_size)) if same_size else old


def legs(motion: str, start_u: float = 0.0, stop_u: float = 1.0) -> tuple[Leg, ...]:
    """One stretch of a motion, none where it has no name."""
    return (Leg(motion, start_u, stop_u, DISTANCES[motion]),) if motion else ()


def unplaced(scene: Scene, frames: int = SHOT_FRAMES) -> Shot:
    """The shot of a scene; its things all lie in the middle yet."""
    things = tuple(Thing(one.shape, one.colour, one.size, 0.5, 0.5, legs(one.motion)) for one in scene.roles)
    return Shot(frames, scene.background, "still", 0.0, things, "scene")


def place_alike(random: Random, shots: Sequence[Shot], fixed: int = 0) -> list[Shot]:
    """Shots whose n-th things all start at one place, apart from each other and inside the frame throughout.

    All shots have equally many things, of which the first `fixed` stay where they are. Empty where no places are found.
    """
    placed = list(shots)
    for number in range(fixed, len(shots[0].things)):
        for _ in range(_PLACINGS):
            x, y = random.random(), random.random()
            tried = [_at(shot, number, x, y) for shot in placed]
            if all(fits(_first(shot, number + 1), WIDTH / HEIGHT) for shot in tried):
                placed = tried
                break
        else:
            return []
    return placed


def _at(shot: Shot, number: int, x: float, y: float) -> Shot:
    things = (replace(thing, x=x, y=y) if n == number else thing for n, thing in enumerate(shot.things))
    return replace(shot, things=tuple(things))


def _first(shot: Shot, count: int) -> Shot:
    return replace(shot, things=shot.things[:count])


def place_each(random: Random, shots: Sequence[Shot]) -> list[Shot]:
    """The same, every shot with places of its own; empty where one of them has none."""
    placed = [shot for one in shots for shot in place_alike(random, [one])]
    return placed if len(placed) == len(shots) else []


def film(*shots: Shot) -> VideoSpec:
    """The video of some shots."""
    return VideoSpec(0, 0, WIDTH, HEIGHT, FPS, shots, "", "missing")
