"""What every token of a picture shows: the questions by which the captioner learns to see.

A picture is two frames in a row, since that is what the vision tower takes at once. A token that a
thing covers is asked about that thing, any other about what lies behind.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from infra.sample_world.path import is_visible, on_screen
from infra.sample_world.spec import (
    BACKGROUND_COLOURS,
    CAMERAS,
    MOTIONS,
    SHAPES,
    SIZES,
    TEXTURES,
    THING_COLOURS,
    Shot,
    Thing,
    VideoSpec,
)
from train.captioner.lessons import legs_of, size_on_screen
from train.pixels import BLOCK

_WAYS: Final = ("rest", "right", "down right", "down", "down left", "left", "up left", "up", "up right")
_GROWTH: Final = ("same size", "growing", "shrinking")
# Questions about a thing, then about the ground, each with its possible answers.
_OF_THINGS: Final = (tuple(THING_COLOURS), SHAPES, tuple(SIZES), _WAYS, _GROWTH, ("still", *MOTIONS))
_OF_GROUND: Final = (TEXTURES, tuple(BACKGROUND_COLOURS), CAMERAS)
SIGHTS: Final = (*_OF_THINGS, *_OF_GROUND)
ANSWERS: Final = sum(map(len, SIGHTS))  # to all of them
_Answers = Sequence[tuple[str, ...]]  # to each of `SIGHTS`, none where it is not asked

_AT_REST: Final = 0.012  # short sides from frame to frame: about a pixel of what the captioner sees
_GROWN: Final = 1.02  # times its size
_COVERING: Final = 0.8  # of its radius must reach into a token: what only grazes it tells nothing
_MIRRORED: Final = {"left": "right", "right": "left", "clockwise": "counterclockwise", "counterclockwise": "clockwise"}


@dataclass(frozen=True)
class Glance:
    """Two frames of a shot at progress `first_u` and `last_u`, moved (right, down) by pixels, then maybe mirrored.

    What leaves on one side enters on the other.
    """

    spec: VideoSpec
    shot: Shot
    first_u: float
    last_u: float
    moved: tuple[int, int] = (0, 0)
    is_mirrored: bool = False


def sights(glance: Glance, height: int, width: int) -> Tensor:
    """For each token of a picture of these pixels, the share of each answer to each of `SIGHTS`.

    float32 [tokens, answers]; zeros where a question is not asked. A background may have two tones, a thing
    two motions; motions and camera are those of the whole shot, of which two frames tell but a part.
    """
    asked = [_shares(_ground_answers(glance))]
    nearest = torch.full((height // BLOCK, width // BLOCK), math.inf)
    shown = torch.zeros(nearest.shape, dtype=torch.int64)
    for thing in glance.shot.things:
        if is_visible(thing, glance.first_u) or is_visible(thing, glance.last_u):
            distances, covers = _reach(glance, thing, height, width)
            covers &= distances < nearest
            nearest = torch.where(covers, distances, nearest)
            shown[covers] = len(asked)
            asked.append(_shares(_thing_answers(glance, thing)))
    return torch.tensor(asked)[shown.flatten()]


def way(glance: Glance, thing: Thing) -> str:
    """The direction in which `thing` goes on screen, from the first frame to the second."""
    aspect = glance.spec.width / glance.spec.height
    x, y, _ = on_screen(glance.shot, thing, glance.first_u, aspect)
    later_x, later_y, _ = on_screen(glance.shot, thing, glance.last_u, aspect)
    dx, dy = (x - later_x if glance.is_mirrored else later_x - x) * aspect, later_y - y  # short sides, y down
    if math.hypot(dx, dy) < _AT_REST:
        return "rest"
    return _WAYS[1 + round(math.atan2(dy, dx) / (math.pi / 4)) % 8]


def _thing_answers(glance: Glance, thing: Thing) -> _Answers:
    aspect = glance.spec.width / glance.spec.height
    size, later = (on_screen(glance.shot, thing, u, aspect)[2] for u in (glance.first_u, glance.last_u))
    growth = _GROWTH[1 if later > _GROWN * size else 2 if size > _GROWN * later else 0]
    radius = size_on_screen(glance.shot, thing, glance.first_u, glance.spec)
    motions = tuple(_seen(glance, leg.motion) for leg in legs_of(thing)) or ("still",)
    seen = [(thing.colour,), (thing.shape,), (radius,), (way(glance, thing),), (growth,), motions]
    return [*seen, *((),) * len(_OF_GROUND)]


def _ground_answers(glance: Glance) -> _Answers:
    ground, is_still = glance.shot.background, glance.first_u == glance.last_u
    camera = "still" if is_still else _seen(glance, glance.shot.camera)
    return [*((),) * len(_OF_THINGS), (ground.texture,), ground.colours, (camera,)]


def _seen(glance: Glance, motion: str) -> str:
    """The name that a motion of a thing or of the camera has in the picture."""
    if not glance.is_mirrored:
        return motion
    return "_".join(_MIRRORED.get(part, part) for part in motion.split("_"))


def _shares(answers: _Answers) -> list[float]:
    """The share of every option of every question in its answers."""
    asked = zip(SIGHTS, answers, strict=True)
    return [given.count(option) / max(1, len(given)) for options, given in asked for option in options]


def _reach(glance: Glance, thing: Thing, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Distances of the tokens' middles from a thing's, in its radii, and which tokens it covers; both [rows, columns].

    The thing is where it is half-way between the two frames.
    """
    aspect = glance.spec.width / glance.spec.height
    ends = [on_screen(glance.shot, thing, u, aspect) for u in (glance.first_u, glance.last_u)]
    x, y, size = (sum(pair) / 2 for pair in zip(*ends, strict=True))
    x, y = x * width + glance.moved[0], y * height + glance.moved[1]
    radius = SIZES[thing.size] * size * min(height, width)
    across = _around(width - x if glance.is_mirrored else x, width)[None, :]
    down = _around(y, height)[:, None]
    edges = torch.hypot((across - BLOCK / 2).clamp(min=0), (down - BLOCK / 2).clamp(min=0))
    return torch.hypot(across, down) / radius, edges < _COVERING * radius


def _around(place: float, length: int) -> Tensor:
    """Distances in pixels of the tokens' middles from `place`, on a side whose two ends are one."""
    middles = torch.arange(BLOCK / 2, length, BLOCK)
    return ((middles - place + length / 2) % length - length / 2).abs()
