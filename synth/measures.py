"""What is measured on one picture of a video, or between two."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

_BLOCK = 8  # pixels between the borders of the smallest blocks that JPEG, MPEG-2 and MPEG-4 transform
_CHANGE = 24  # grey levels that coding noise seldom reaches, not even where a key frame refreshes letters
_BLACK = 30  # grey levels, video range: black is 16, and coding noise goes a little beyond

_SOFT = 2  # lines over which scaling blurs the border of a bar


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


def changed_share(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> float:
    """The share of the pixels that differ visibly, 0 for a picture that was held; 1 between two sizes."""
    if before.shape != after.shape:
        return 1.0
    return float((cv2.absdiff(before, after) > _CHANGE).mean())


def flat_share(luma: NDArray[np.uint8]) -> float:
    """The share of the pixels that look like all their neighbours, as on drawn ground but not on filmed ground."""
    gradient = cv2.morphologyEx(luma, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))
    return float((gradient <= 2).mean())


def blockiness(luma: NDArray[np.uint8]) -> float:
    """How much harder the steps at 8 x 8 block borders are than those beside them; about 1 without blocks.

    The step ratio of no-reference blockiness measures (Wang, Sheikh and Bovik, "No-reference perceptual
    quality assessment of JPEG compressed images", 2002), its median over all borders, so that a window's
    edge that happens to lie on one does not count. `luma` must have the coded resolution, and begin on
    the grid. 1.0 when it is too small to tell.
    """
    ratios = []
    for axis in (0, 1):
        later, earlier = (luma[:, 1:], luma[:, :-1]) if axis == 0 else (luma[1:], luma[:-1])
        steps = cv2.reduce(cv2.absdiff(later, earlier), axis, cv2.REDUCE_AVG, dtype=cv2.CV_32F).ravel()
        ratios.append(_border_ratio(steps))
    return sum(ratios) / 2


def _border_ratio(steps: NDArray[np.float32]) -> float:
    """Median ratio of the step at a block border to the six around it; `steps[i]` is from line i to i + 1."""
    borders = np.arange(_BLOCK - 1, len(steps) - 3, _BLOCK)
    if len(borders) < 4:
        return 1.0
    beside = np.mean([steps[borders + offset] for offset in (-3, -2, -1, 1, 2, 3)], axis=0)
    return float(np.median((steps[borders] + 0.25) / (beside + 0.25)))


def picture_share(luma: NDArray[np.uint8]) -> float:
    """The share of the picture that lies inside black bars: 1.0 without bars.

    Lines from the edge inward are a bar while they are black, as in FFmpeg's cropdetect, but only up to a
    straight border: where less than half of the next line shows something, the scene itself is dark.
    """
    lit = np.asarray(luma > _BLACK, np.uint8)
    top, bottom = _lit_part(cv2.reduce(lit, 1, cv2.REDUCE_AVG, dtype=cv2.CV_32F).ravel())
    left, right = _lit_part(cv2.reduce(lit, 0, cv2.REDUCE_AVG, dtype=cv2.CV_32F).ravel())
    inside = lit[top:bottom, left:right]
    height, width = inside.shape
    if min(height, width) <= _SOFT:
        return 1.0
    rows = height + sum(bar for bar, line in _bars(top, len(lit) - bottom, inside) if line.mean() < 0.5)
    columns = width + sum(bar for bar, line in _bars(left, lit.shape[1] - right, inside.T) if line.mean() < 0.5)
    return float(rows * columns / luma.size)


def _lit_part(lit_shares: NDArray[np.float32]) -> tuple[int, int]:
    """From the first to behind the last line that is not black."""
    lines = np.flatnonzero(lit_shares > 0.01)
    return (int(lines[0]), int(lines[-1]) + 1) if len(lines) else (0, 0)


def _bars(before: int, behind: int, inside: NDArray[np.uint8]) -> list[tuple[int, NDArray[np.uint8]]]:
    """The black lines on both sides of a picture, each with a line of it near their border."""
    return [(before, inside[_SOFT]), (behind, inside[-1 - _SOFT])]
