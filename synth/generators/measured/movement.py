"""From the way of a point to words for it: rest, straight legs, circles, zigzags, or nothing."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from synth.generators.measured.observation import Move

Path = NDArray[np.float64]
_REST_EXTENT = 0.045  # short sides: a way within this is none
_REST_SPEED = 0.025  # short sides a second
_LEAST_REST = 0.2  # of the time, to be called a pause
_LEAST_LEG = 0.1  # short sides
_STRAIGHT = 0.94  # net displacement / way
_LEAST_TURN_DEG = 35.0
_SWING = 0.035  # short sides


def moves(path: Path, times: NDArray[np.float64]) -> tuple[Move, ...]:
    """The stretches of a way [n, 2] (short sides, y down) seen at `times` [n] in seconds.

    A move of kind "" says that it moved in a way that has no name here.
    """
    path = _without_outliers(path)
    if np.ptp(path, axis=0).max() < _REST_EXTENT:
        return (Move("still", float(times[0]), float(times[-1]), 0.0),)
    speed = np.hypot(*np.diff(path, axis=0).T) / np.maximum(np.diff(times), 1e-6)
    moving = np.flatnonzero(speed > _REST_SPEED)
    if not len(moving):
        return (Move("", float(times[0]), float(times[-1]), _length(path)),)
    first, last = int(moving[0]), int(moving[-1]) + 1
    rest_s = _LEAST_REST * (times[-1] - times[0])
    before = times[first] - times[0] >= rest_s
    after = times[-1] - times[last] >= rest_s
    found = list(_moving(path[first : last + 1], times[first : last + 1]))
    if before:
        found.insert(0, Move("still", float(times[0]), float(times[first]), 0.0))
    if after:
        found.append(Move("still", float(times[last]), float(times[-1]), 0.0))
    return tuple(found)


def _without_outliers(path: Path) -> Path:
    """Every point but the ends replaced by the median of itself and its neighbours."""
    if len(path) < 3:
        return path
    return np.concatenate([path[:1], np.median(np.stack([path[:-2], path[1:-1], path[2:]]), axis=0), path[-1:]])


def _moving(path: Path, times: NDArray[np.float64]) -> tuple[Move, ...]:
    """One figure or up to two straight legs."""
    start_s, stop_s = float(times[0]), float(times[-1])
    if len(path) < 3:
        return (Move("", start_s, stop_s, _length(path)),)
    if _straightness(path) > _STRAIGHT:
        return (Move(direction(path[-1] - path[0]), start_s, stop_s, _length(path)),)
    figure = _circle(path) or _zigzag(path)
    if figure:
        return (Move(figure, start_s, stop_s, _length(path)),)
    turn = _turn(path)
    if turn is None:
        return (Move("", start_s, stop_s, _length(path)),)
    legs = ((path[: turn + 1], times[: turn + 1]), (path[turn:], times[turn:]))
    return tuple(Move(direction(leg[-1] - leg[0]), float(t[0]), float(t[-1]), _length(leg)) for leg, t in legs)


def _length(path: Path) -> float:
    return float(np.hypot(*np.diff(path, axis=0).T).sum())


def _straightness(path: Path) -> float:
    return float(np.hypot(*(path[-1] - path[0])) / max(_length(path), 1e-9))


def direction(vector: NDArray[np.float64]) -> str:
    """One of eight directions, `mostly_` one of four when it lies between, "" without a displacement."""
    if np.hypot(*vector) < _REST_EXTENT:
        return ""
    angle = float(np.rad2deg(np.arctan2(-vector[1], vector[0])) % 360)
    names = ("right", "up_right", "up", "up_left", "left", "down_left", "down", "down_right")
    off = (angle + 22.5) % 45 - 22.5
    if abs(off) <= 17:
        return names[round(angle / 45) % 8]
    return "mostly_" + names[2 * round(angle / 90) % 8]


def _circle(path: Path) -> str:
    """`clockwise` or `counterclockwise` when the way goes round a fitted circle for 270 degrees or more."""
    system = np.column_stack([2 * path, np.ones(len(path))])
    centre_x, centre_y, _ = np.linalg.lstsq(system, (path**2).sum(axis=1), rcond=None)[0]
    spokes = path - (centre_x, centre_y)
    radii = np.hypot(spokes[:, 0], spokes[:, 1])
    if radii.std() > 0.15 * radii.mean():
        return ""
    angles = np.unwrap(np.arctan2(spokes[:, 1], spokes[:, 0]))
    turned = float(np.rad2deg(angles[-1] - angles[0]))
    steady = (np.sign(np.diff(angles)) == np.sign(turned)).mean() > 0.9
    if abs(turned) < 270 or not steady:
        return ""
    return "clockwise" if turned > 0 else "counterclockwise"  # y points down


def _zigzag(path: Path) -> str:
    """`zigzag_right`, ... when one coordinate keeps its direction and the other reverses twice or more."""
    for axis, names in ((0, ("zigzag_left", "zigzag_right")), (1, ("zigzag_up", "zigzag_down"))):
        along, across = path[:, axis], path[:, 1 - axis]
        way = along[-1] - along[0]
        if abs(way) < 2 * _LEAST_LEG or (np.diff(along) * np.sign(way) > 0).mean() < 0.9:
            continue
        if _reversals(across) >= 2:
            return names[int(way > 0)]
    return ""


def _reversals(values: NDArray[np.float64]) -> int:
    """How often a coordinate turns round after a swing of at least _SWING."""
    count, heading, extreme = 0, 0.0, float(values[0])
    for value in map(float, values):
        if heading == 0.0:
            heading = float(np.sign(value - extreme)) if abs(value - extreme) > _SWING else 0.0
            extreme = value if heading else extreme
        elif (value - extreme) * heading > 0:
            extreme = value
        elif (extreme - value) * heading > _SWING:
            count, heading, extreme = count + 1, -heading, value
    return count


def _turn(path: Path) -> int | None:
    """Index of the one corner between two straight legs that differ in direction, or None."""
    options = [
        (_straightness(path[: k + 1]) + _straightness(path[k:]), k)
        for k in range(1, len(path) - 1)
        if min(_length(path[: k + 1]), _length(path[k:])) >= _LEAST_LEG
    ]
    if not options:
        return None
    _, best = max(options)
    first, second = path[best] - path[0], path[-1] - path[best]
    if min(_straightness(path[: best + 1]), _straightness(path[best:])) < _STRAIGHT:
        return None
    cosine = first @ second / max(float(np.hypot(*first) * np.hypot(*second)), 1e-9)
    return best if np.rad2deg(np.arccos(np.clip(cosine, -1, 1))) >= _LEAST_TURN_DEG else None
