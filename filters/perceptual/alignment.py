"""Whether two clips show the same moments, and how: the prints of one laid over those of the other in time.

Luma is compared by normalised cross-correlation, which neither brightness nor contrast changes. Where the
picture moves, the changes are compared by themselves as well: two stretches from one fixed camera share
everything but them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from filters.perceptual.geometry import Cells

MIN_PRINTS = 3  # fewer say too little
SPEEDS = (1.0, 0.98, 1.02, 0.96, 1.04, 0.94, 1.06, 0.92, 1.08, 0.9, 1.1)
CROP_SPEEDS = SPEEDS[:5]  # a part of a picture at any speed fits too many others
_STEP = 0.25  # of a print: how exactly clips are laid over each other
_SHIFTS = np.arange(-0.5, 0.51, _STEP, dtype=np.float32)
_CHANGE_WEIGHT = 0.1
_SPEED_WEIGHT = 0.01  # a few prints fit at many speeds
_OVER_EDGE = 0.5  # of a print: clips whose prints lie half a print apart would lose one at an end
_NO_HOPE = 0.25  # a distance that no finer alignment mends
_NO_HOPE_CHANGE = 0.7  # and one of what changes
_SURE = 0.004  # a distance that no other alignment betters by much


@dataclass(frozen=True)
class Alignment:
    """How well and where clip B lies over clip A: print k of B is over print `lag + speed * k` of A."""

    distance: float  # 1 - correlation of luma over the overlap
    change_distance: float  # 1 - correlation of what changes in it
    change: float  # how much changes: root mean square in grey levels, of the clip that changes more
    contrast: float  # standard deviation of luma in grey levels, of the clip that has less
    lag: float
    speed: float
    overlap: int  # prints of B


def align(whole: Cells, copy: Cells, min_overlap: float, all_speeds: Sequence[float] = SPEEDS) -> Alignment | None:
    """The alignment of least distance among all that cover `min_overlap` of the shorter clip; None when all are bad.

    Cells are [prints, n], both of the same places. First all whole lags are tried, by the squared difference of
    the pictures, then speeds and parts of a print around the best of them.
    """
    need = max(MIN_PRINTS, int(np.ceil(min_overlap * min(len(whole), len(copy)))))
    found = None
    for lag in _whole_lags(whole, copy, need):
        for speeds in (all_speeds[:1], all_speeds[1:]):
            near = _refined(whole, copy, lag, need, speeds)
            if near is not None and (found is None or badness(near) < badness(found)):
                found = near
            if near is None or near.distance > _NO_HOPE or near.change_distance > _NO_HOPE_CHANGE:
                break
            if near.distance < _SURE and near.change_distance < 10 * _SURE:
                return near
    return found


def badness(alignment: Alignment) -> float:
    """What alignments are ranked by: the distance, and a little of what changes where that is more than noise."""
    return alignment.distance + _CHANGE_WEIGHT * alignment.change_distance * min(1.0, alignment.change)


def _whole_lags(a: Cells, b: Cells, need: int, count: int = 2) -> list[int]:
    """The lags, in whole prints, at which normalised pictures differ least; none when that is hopeless."""
    if min(len(a), len(b)) < need:
        return []
    x, y = _normalised(a), _normalised(b)
    similar = x @ y.T
    squares = (x * x).sum(axis=1)[:, None] + (y * y).sum(axis=1)[None, :] - 2 * similar
    lag = np.arange(len(a))[:, None] - np.arange(len(b))[None, :] + len(b) - 1
    prints = np.bincount(lag.ravel())
    total = np.bincount(lag.ravel(), squares.ravel())
    mean = np.where(prints >= need, total / (2 * a.shape[1] * prints), np.inf)
    best = [int(i) for i in np.argsort(mean, kind="stable")[:count] if mean[i] < _NO_HOPE]
    return [i - (len(b) - 1) for i in best]


def _normalised(cells: Cells) -> Cells:
    return np.asarray((cells - cells.mean()) / max(1e-3, float(cells.std())))


def _refined(a: Cells, b: Cells, lag: int, need: int, speeds: Sequence[float]) -> Alignment | None:
    """The best of all speeds and shifts around a whole lag."""
    first, last = max(0, -lag), min(len(b), len(a) - lag)
    middle = (first + last - 1) / 2
    speed, shift = (grid.ravel() for grid in np.meshgrid(np.array(speeds, np.float32), _SHIFTS, indexing="ij"))
    begin = lag + shift + middle * (1 - speed)
    position = begin[:, None] + speed[:, None] * np.arange(len(b), dtype=np.float32)
    inside = (position >= -_OVER_EDGE) & (position <= len(a) - 1 + _OVER_EDGE)
    enough = inside.sum(axis=1) >= need
    if not enough.any():
        return None
    begin, speed, position, inside = (values[enough] for values in (begin, speed, position, inside))
    scores = distances(*laid_over(a, b, position, speed[:, None]), inside)
    distance, change_distance, change, _ = scores
    rating = distance + _CHANGE_WEIGHT * change_distance * np.minimum(1.0, change) + _SPEED_WEIGHT * np.abs(speed - 1)
    best = int(np.argmin(rating))
    return alignment_of(scores, best, float(begin[best]), float(speed[best]), int(inside[best].sum()))


def laid_over(a: Cells, b: Cells, position: Cells, speed: Cells | float) -> tuple[Cells, Cells]:
    """Cells [h, k, n] of A at `position` [h, k] and of B's prints k, both read between prints by the same share.

    Reading between prints blurs what moves; where A alone was read so, its blur would count as a difference.
    Both are moved half of the way to the nearest print of A instead.
    """
    half = (position - np.rint(position)) / 2
    own = np.arange(len(b)) - half / speed
    return _between(a, position - half), _between(b, own)


def _between(cells: Cells, position: NDArray[np.floating]) -> Cells:
    """Cells [h, k, n] at positions [h, k] between prints; outside, those at the ends."""
    low = np.clip(position.astype(np.int64), 0, max(0, len(cells) - 2))
    share = np.clip(position - low, 0.0, 1.0)[..., None].astype(np.float32)
    before = cells[low]
    return np.asarray(before + share * (cells[np.minimum(low + 1, len(cells) - 1)] - before))


Scores = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]


def alignment_of(scores: Scores, which: int, lag: float, speed: float, overlap: int) -> Alignment:
    """One hypothesis of several."""
    distance, change_distance, change, contrast = (float(score[which]) for score in scores)
    return Alignment(distance, change_distance, change, contrast, lag, speed, overlap)


def distances(x: Cells, y: Cells, inside: NDArray[np.bool_]) -> Scores:
    """The first four fields of an Alignment for each hypothesis; x and y are [h, k, n], `inside` is [h, k]."""
    weight = inside.astype(np.float32)[..., None]
    prints = weight.sum(axis=1)  # [h, 1]
    x, y = x * weight, y * weight
    mean_x, mean_y = x.sum(axis=1) / prints, y.sum(axis=1) / prints  # [h, n]
    dx, dy = (x - mean_x[:, None]) * weight, (y - mean_y[:, None]) * weight
    size = prints[:, 0] * x.shape[2]
    sx, sy = mean_x - mean_x.mean(axis=1, keepdims=True), mean_y - mean_y.mean(axis=1, keepdims=True)
    xx, yy, xy = ((u * v).sum(axis=(1, 2)) for u, v in ((dx, dx), (dy, dy), (dx, dy)))
    # The whole is what changes plus what stays, print by print.
    all_xx, all_yy, all_xy = (
        changing + prints[:, 0] * (u * v).sum(axis=1) for changing, u, v in ((xx, sx, sx), (yy, sy, sy), (xy, sx, sy))
    )
    return (
        1 - all_xy / np.sqrt(np.maximum(1e-6, all_xx * all_yy)),
        1 - xy / np.sqrt(np.maximum(1e-6, xx * yy)),
        np.sqrt(np.maximum(xx, yy) / size),
        np.sqrt(np.minimum(all_xx, all_yy) / size),
    )
