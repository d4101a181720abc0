"""Lines of text in a picture, found by their shape; nothing is read."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

_STEP = 28  # grey levels between a letter and its ground
_JOIN = np.ones((1, 9), np.uint8)  # gaps between strokes and letters that one line bridges, pixels
_SHAPE = np.ones((3, 7), np.uint8)  # the smallest line: 3 pixels high
_MAX_HEIGHT = 40
_MIN_WIDTH = 10


class Lines(NamedTuple):
    """Boxes of text lines in pixels, one array each of the same length."""

    left: NDArray[np.int32]
    top: NDArray[np.int32]
    width: NDArray[np.int32]
    height: NDArray[np.int32]


def text_share(luma: NDArray[np.uint8]) -> float:
    """The share of a picture that lines of text cover, at a short side of about 256 pixels."""
    lines = text_lines(luma)
    return float((lines.width * lines.height).sum()) / luma.size


def text_lines(luma: NDArray[np.uint8]) -> Lines:
    """Boxes of what looks like horizontal text: rows of dense upright strokes between quiet rows.

    Edge morphology as in Wu, Hsieh and Chen, "Morphology-based text line extraction" (2008): upright edges
    are closed along the line into bars, and bars of a line's proportions are kept. Leaves, fences and
    grids give such bars too, but seldom with a quiet row right above and below, which is asked for besides.
    """
    steps = np.zeros_like(luma)
    steps[:, 1:] = cv2.absdiff(luma[:, 1:], luma[:, :-1])
    strokes = cv2.threshold(steps, _STEP, 1, cv2.THRESH_BINARY)[1]
    bars = cv2.morphologyEx(cv2.morphologyEx(strokes, cv2.MORPH_CLOSE, _JOIN), cv2.MORPH_OPEN, _SHAPE)
    _, _, boxes, _ = cv2.connectedComponentsWithStats(bars, connectivity=8, ltype=cv2.CV_16U)  # 8 is quicker than 4
    left, top, width, height, filled = boxes[1:].T
    shaped = (height <= _MAX_HEIGHT) & (width >= 1.5 * height) & (width >= _MIN_WIDTH)
    lines = Lines(*(side[shaped & (filled >= 0.5 * width * height)] for side in (left, top, width, height)))
    found = _is_text(strokes, lines)
    return Lines(*(side[found] for side in lines))


def _is_text(strokes: NDArray[np.uint8], lines: Lines) -> NDArray[np.bool_]:
    """Which boxes are dense with strokes, and have a row next to each long side with few."""
    sums = cv2.integral(strokes)
    rows = len(strokes)

    def density(top: NDArray[np.int32], height: NDArray[np.int32] | int) -> NDArray[np.float64]:
        above, below = np.clip(top, 0, rows), np.clip(top + height, 0, rows)
        left, right = lines.left, lines.left + lines.width
        inside = sums[below, right] - sums[above, right] - sums[below, left] + sums[above, left]
        return np.asarray(inside / (lines.width * height), np.float64)

    dense = density(lines.top, lines.height)
    over = np.minimum(density(lines.top - 1, 1), density(lines.top - 2, 1))
    bottom = lines.top + lines.height
    under = np.minimum(density(bottom, 1), density(bottom + 1, 1))
    return (dense >= 0.25) & (np.maximum(over, under) <= 0.25 * dense)
