"""What two frames in a row show of one thing: the questions that the vision tower learns to see by."""

from __future__ import annotations

import math
from typing import Final

from infra.sample_world.path import on_screen
from infra.sample_world.spec import BACKGROUND_COLOURS, SHAPES, SIZES, TEXTURES, THING_COLOURS, Shot, VideoSpec
from train.captioner.lessons import size_on_screen

_AT_REST: Final = 0.012  # short sides from frame to frame: about a pixel of what the captioner sees
_GROWN: Final = 1.02  # times its size

# What can be asked of two frames in a row with one thing, and the possible answers.
SIGHTS: Final[tuple[tuple[str, ...], ...]] = (
    tuple(THING_COLOURS),
    SHAPES,
    tuple(SIZES),
    TEXTURES,
    tuple(BACKGROUND_COLOURS),
    ("rest", "right", "down right", "down", "down left", "left", "up left", "up", "up right"),
    ("same size", "growing", "shrinking"),
)


def sights(
    spec: VideoSpec, shot: Shot, first_u: float, last_u: float, is_mirrored: bool
) -> tuple[tuple[str, ...], ...]:
    """The true answers of `SIGHTS` about two frames in a row; a background may have two tones."""
    (thing,) = shot.things
    aspect = spec.width / spec.height
    x, y, size = on_screen(shot, thing, first_u, aspect)
    later_x, later_y, later_size = on_screen(shot, thing, last_u, aspect)
    way = _way((x - later_x if is_mirrored else later_x - x) * aspect, later_y - y)
    growth = SIGHTS[-1][1 if later_size > _GROWN * size else 2 if size > _GROWN * later_size else 0]
    texture, radius = shot.background.texture, size_on_screen(shot, thing, first_u, spec)
    return (thing.colour,), (thing.shape,), (radius,), (texture,), shot.background.colours, (way,), (growth,)


def _way(dx: float, dy: float) -> str:
    """The direction of a displacement in short sides, y down."""
    if math.hypot(dx, dy) < _AT_REST:
        return "rest"
    return SIGHTS[-2][1 + round(math.atan2(dy, dx) / (math.pi / 4)) % 8]
