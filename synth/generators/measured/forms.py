"""The outline of a patch, named by its overlap with ideal forms, or not named at all."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

_SIDE = 48  # pixels of the square that outlines are compared in
_LEAST_SIDE = 7  # pixels of a patch, below which nothing is said
_LEAST_OVERLAP = 0.8  # intersection over union with the best form
_MARGIN = 0.05  # by which the best form must beat the next


def form_of(mask: NDArray[np.bool_]) -> str:
    """The form of the pixels set in `mask` [h, w], or "" when it is none of ours or unclear."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if min(len(rows), len(columns)) < _LEAST_SIDE:
        return ""
    filled = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    height, width = filled.shape
    scaled = cv2.resize(filled.astype(np.float32), (_SIDE, _SIDE), interpolation=cv2.INTER_AREA) > 0.5
    overlaps = {name: (scaled & ideal).sum() / (scaled | ideal).sum() for name, ideal in _ideals().items()}
    best, second = sorted(overlaps, key=overlaps.__getitem__, reverse=True)[:2]
    if overlaps[best] < _LEAST_OVERLAP or overlaps[best] - overlaps[second] < _MARGIN:
        return ""
    return _by_aspect(best, width / height)


def _by_aspect(name: str, aspect: float) -> str:
    even = 0.84 < aspect < 1.19
    if name == "box":
        return "square" if even else "bar" if max(aspect, 1 / aspect) > 2 else "rectangle"
    if name == "circle":
        return "circle" if even else "oval"
    return name if 0.6 < aspect < 1.67 else ""


@cache
def _ideals() -> dict[str, NDArray[np.bool_]]:
    """Every form stretched to fill a square; bool [_SIDE, _SIDE]."""
    circle = _polygon(_round(64))
    star = _round(10, -90) * np.where(np.arange(10) % 2 == 0, 1.0, 0.42)[:, None]
    middle = np.abs(np.linspace(-1, 1, _SIDE)) < 0.33
    return {
        "box": np.ones((_SIDE, _SIDE), np.bool_),
        "circle": circle,
        "triangle": _polygon(np.array([(0, -1), (1, 1), (-1, 1)], np.float64)),
        "diamond": _polygon(_round(4)),
        "star": _polygon(star),
        "cross": middle[:, None] | middle[None, :],
        "ring": circle & ~_polygon(0.55 * _round(64), fill=False),
    }


def _round(corners: int, start_deg: float = 0.0) -> NDArray[np.float64]:
    angles = np.deg2rad(start_deg) + 2 * np.pi * np.arange(corners) / corners
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def _polygon(corners: NDArray[np.float64], fill: bool = True) -> NDArray[np.bool_]:
    """The polygon's pixels; with `fill` its bounding box is stretched to the whole square."""
    low, high = (corners.min(axis=0), corners.max(axis=0)) if fill else (np.full(2, -1.0), np.full(2, 1.0))
    points = np.rint((corners - low) / (high - low) * (_SIDE - 1)).astype(np.int32)
    canvas = np.zeros((_SIDE, _SIDE), np.uint8)
    cv2.fillPoly(canvas, [points], 1)
    return canvas.astype(bool)
