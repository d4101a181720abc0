"""What is measured on one small picture of a video."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray


def brightness_contrast(luma: NDArray[np.uint8], full_range: bool) -> tuple[float, float]:
    """Mean and standard deviation of the luma, in grey levels 0-255 of the full range."""
    mean, deviation = (float(x[0, 0]) for x in cv2.meanStdDev(luma))
    if full_range:
        return mean, deviation
    scale = 255 / 219  # video range: 16 is black, 235 is white
    return min(255.0, max(0.0, (mean - 16) * scale)), deviation * scale


def sharpness(luma: NDArray[np.uint8]) -> int:
    """How hard the hardest edges are: the |Laplacian|, 0-255, that one pixel in a thousand exceeds.

    A Laplacian focus measure (Pertuz et al., "Analysis of focus measure operators for shape-from-focus",
    2013), but not its variance over the picture, which a plain picture with few edges fails too.
    """
    strength = cv2.convertScaleAbs(cv2.Laplacian(luma, cv2.CV_16S))
    counts = cv2.calcHist([strength], [0], None, [256], [0, 256]).ravel()
    return 255 - int(np.searchsorted(np.cumsum(counts[::-1]), luma.size / 1000))


def motion(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> float:
    """Mean absolute difference of two pictures of one size, in grey levels."""
    return float(cv2.norm(before, after, cv2.NORM_L1)) / before.size
