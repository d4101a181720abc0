"""What is true of a video, as short statements computed from its ground truth alone."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from infra.sample_world.path import on_screen
from infra.sample_world.spec import Background, Leg, Shot, Thing, VideoSpec


@lru_cache(maxsize=65536)
def facts(spec: VideoSpec) -> frozenset[str]:
    """Everything that queries can ask for, of all shots together."""
    aspect = spec.width / spec.height
    return frozenset(fact for shot in spec.shots for fact in _shot_facts(shot, aspect))


def _shot_facts(shot: Shot, aspect: float) -> Iterator[str]:
    yield from (shot_fact(shot), scene_fact(shot), camera_fact(shot.camera), *setting_facts(shot.background))
    for thing in shot.things:
        yield from thing_facts(thing)
        yield from place_facts(shot, thing, aspect)
    yield from order_facts(shot)
    shapes = {thing.shape for thing in shot.things}
    yield from (theme_fact(shape) for shape in shapes if len(shapes) == 1)


def name(thing: Thing) -> str:
    """A thing by colour and shape: red circle."""
    return f"{thing.colour} {thing.shape}"


def moving_legs(thing: Thing) -> list[Leg]:
    """What a thing does while the shot lasts, in the order of time."""
    return sorted((leg for leg in thing.legs if leg.stop_u > 0), key=lambda leg: leg.start_u)


def shot_fact(shot: Shot) -> str:
    """That exactly this shot is in the video: what a frame or a stretch of it shows."""
    return f"shot {hashlib.sha256(repr(shot).encode()).hexdigest()[:16]}"


def scene_fact(shot: Shot) -> str:
    """What the things of one shot do, and before what: one statement, so that shots cannot be mixed up."""
    doing = ", ".join(f"{name(thing)} {_does(thing)}" for thing in shot.things)
    return f"scene: {doing} {setting_facts(shot.background)[0]}"


def _does(thing: Thing) -> str:
    return " then ".join(leg.motion for leg in moving_legs(thing)) or "rests"


def camera_fact(camera: str) -> str:
    """The camera's motion."""
    return f"camera {camera}"


def setting_facts(background: Background) -> tuple[str, str]:
    """The background, and its texture whatever its colours."""
    return f"on {background.texture} {' and '.join(background.colours)}", f"texture {background.texture}"


def thing_facts(thing: Thing) -> tuple[str, str, str]:
    """Which thing is there, of what size, and what it does."""
    return name(thing), f"{thing.size} {name(thing)}", f"{name(thing)}: {_does(thing)}"


def place_facts(shot: Shot, thing: Thing, aspect: float) -> Iterator[str]:
    """Where a thing is at the start and the end; throughout, where that is the same."""
    start, end = (place(*on_screen(shot, thing, u, aspect)[:2]) for u in (0.0, 1.0))
    yield from (f"{name(thing)} starts {start}", f"{name(thing)} ends {end}")
    if start == end and not moving_legs(thing):
        yield f"{name(thing)} {start}"


def place(x: float, y: float) -> str:
    """A point of the frame (fractions, y down) by the ninth of the frame that it is in."""
    column, row = (("near", "middle", "far")[(v > 0.4) + (v > 0.6)] for v in (x, y))
    return _NINTHS[row, column]


_NINTHS: Final = {
    ("near", "near"): "in the upper left",
    ("near", "middle"): "near the top",
    ("near", "far"): "in the upper right",
    ("middle", "near"): "on the left",
    ("middle", "middle"): "in the middle",
    ("middle", "far"): "on the right",
    ("far", "near"): "in the lower left",
    ("far", "middle"): "near the bottom",
    ("far", "far"): "in the lower right",
}


def order_facts(shot: Shot) -> Iterator[str]:
    """All legs of a shot numbered in the order of time."""
    legs = sorted((leg.start_u, name(thing), leg.motion) for thing in shot.things for leg in moving_legs(thing))
    for number, (_, who, motion) in enumerate(legs, start=1):
        yield f"event {number}: {who} {motion}"


def theme_fact(shape: str) -> str:
    """That all things of a shot have one shape."""
    return f"all of shape {shape}"
