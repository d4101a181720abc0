"""Where things are at any moment of a shot: pure trajectories and the camera's view of them."""

from __future__ import annotations

import math

from infra.sample_world.spec import STRAIGHT, Leg, Shot, Thing

ZIGZAG_TEETH = 4
ZIGZAG_WIDTH = 0.22  # of the distance
TURNS = 1.25  # of a circle, so that its way is seen closed


def leg_offset(motion: str, progress: float) -> tuple[float, float]:
    """Displacement (x right, y down) after `progress` in [0, 1] of a leg, in units of its distance."""
    if motion in STRAIGHT:
        dx, dy = STRAIGHT[motion]
        return dx * progress, dy * progress
    if motion in ("clockwise", "counterclockwise"):
        angle = 2 * math.pi * TURNS * progress
        return math.sin(angle), (1 - math.cos(angle)) * (1 if motion == "clockwise" else -1)
    if motion in ("zigzag_right", "zigzag_left"):
        side = 1 if motion == "zigzag_right" else -1
        return side * progress, ZIGZAG_WIDTH * _triangle(ZIGZAG_TEETH / 2 * progress)
    if motion == "back_and_forth":
        return _triangle(progress), 0.0
    if motion == "up_and_down":
        return 0.0, -_triangle(progress)
    return 0.0, 0.0


def _triangle(cycles: float) -> float:
    """Triangle wave: 0 at whole cycles, 1 between them."""
    return 1 - abs(2 * (cycles % 1.0) - 1)


def _progress(leg: Leg, u: float) -> float:
    return min(1.0, max(0.0, (u - leg.start_u) / (leg.stop_u - leg.start_u)))


def thing_at(thing: Thing, u: float, aspect: float) -> tuple[float, float, float]:
    """Centre (fractions of width and height) and radius factor of `thing` at progress `u` of its shot.

    `aspect` is width / height of a landscape frame, whose height is the unit of distances.
    """
    x, y, factor = thing.x, thing.y, 1.0
    for leg in thing.legs:
        progress = _progress(leg, u)
        if leg.motion in ("grow", "shrink"):
            factor *= leg.distance**progress
        else:
            dx, dy = leg_offset(leg.motion, progress)
            x, y = x + dx * leg.distance / aspect, y + dy * leg.distance
    return x, y, factor


def camera_at(shot: Shot, u: float) -> tuple[float, float, float]:
    """The view at progress `u`: zoom factor about the frame's centre, then shift in frame sizes (x, y)."""
    amount = shot.amount * u
    shifts = {
        "pan_right": (-amount, 0.0),
        "pan_left": (amount, 0.0),
        "tilt_up": (0.0, amount),
        "tilt_down": (0.0, -amount),
    }
    if shot.camera in shifts:
        return (1.0, *shifts[shot.camera])
    if shot.camera == "zoom_in":
        return shot.amount**u, 0.0, 0.0
    if shot.camera == "zoom_out":
        return shot.amount ** (1 - u), 0.0, 0.0
    return 1.0, 0.0, 0.0


def on_screen(shot: Shot, thing: Thing, u: float, aspect: float) -> tuple[float, float, float]:
    """Centre (fractions of the frame) and radius factor of `thing` as the camera sees it."""
    x, y, factor = thing_at(thing, u, aspect)
    zoom, shift_x, shift_y = camera_at(shot, u)
    return 0.5 + (x - 0.5) * zoom + shift_x, 0.5 + (y - 0.5) * zoom + shift_y, factor * zoom


def is_visible(thing: Thing, u: float) -> bool:
    """Whether `thing` is in the world at progress `u`."""
    return thing.appears_u <= u and (u < thing.disappears_u or thing.disappears_u >= 1.0)
