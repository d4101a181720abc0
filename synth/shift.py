"""How far the whole picture moved between two samples: what a camera does, told from what things do."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Shift = tuple[float, float]  # (x, y)

_WIDTH, _HEIGHT = 128, 72  # of the pictures that are compared
_QUARTERS = [
    (slice(top, top + _HEIGHT // 2), slice(left, left + _WIDTH // 2))
    for top in (0, _HEIGHT // 2)
    for left in (0, _WIDTH // 2)
]
_WINDOW = cv2.createHanningWindow((_WIDTH // 2, _HEIGHT // 2), cv2.CV_32F)
_MIN_CONTRAST = 3.0  # standard deviation in grey levels under which a quarter shows nothing that could move


def shift_picture(luma: NDArray[np.uint8]) -> NDArray[np.float32]:
    """A picture as `global_shift` compares it: grey, float32 [72, 128] whatever its shape was."""
    return np.asarray(cv2.resize(luma, (_WIDTH, _HEIGHT), interpolation=cv2.INTER_AREA), np.float32)


def global_shift(before: NDArray[np.float32], after: NDArray[np.float32]) -> Shift:
    """How far the picture as a whole moved, in widths and heights; (0, 0) where its quarters do not agree.

    Phase correlation (Kuglin and Hines, "The phase correlation image alignment method", 1975) of each
    quarter; of the four answers the median that is nearer to none, so that a thing which moves over two
    quarters of a plain ground is not taken for the camera. A quarter sees up to half its size: a faster
    shift is not found.
    """
    found = np.array([_quarter_shift(before[part], after[part]) for part in _QUARTERS])
    x, y = (_cautious_median(column) for column in found.T)
    return x / _WIDTH, y / _HEIGHT


def _quarter_shift(before: NDArray[np.float32], after: NDArray[np.float32]) -> Shift:
    if min(float(cv2.meanStdDev(picture)[1][0, 0]) for picture in (before, after)) < _MIN_CONTRAST:
        return 0.0, 0.0
    (x, y), _ = cv2.phaseCorrelate(before, after, _WINDOW)
    return x, y


def _cautious_median(values: NDArray[np.float64]) -> float:
    """Of the two middle ones of four values the one nearer to zero; zero when their signs differ."""
    _, low, high, _ = sorted(float(value) for value in values)
    return 0.0 if low * high <= 0 else min(low, high, key=abs)
