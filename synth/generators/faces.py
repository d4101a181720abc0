"""Frontal faces, by OpenCV's Haar cascade (Viola and Jones, 2001), counted only when beyond doubt."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

LEAST_SIDE: Final = 200  # pixels of the frame's short side, below which nothing is looked for
_SEARCH_SIDE = 240  # pixels of the short side that is searched
_NEIGHBOURS = 8  # overlapping hits that make a face; OpenCV's default is 3
_LEAST_FACE = 0.12  # of the short side

Box = tuple[int, int, int, int]


def count(frames: NDArray[np.uint8]) -> int:
    """Faces seen in all of three frames spread over `frames`, uint8 [n, h, w, 3] (in both of two, in one of one)."""
    if min(frames.shape[1:3]) < LEAST_SIDE:
        return 0
    chosen = sorted({0, len(frames) // 2, len(frames) - 1})
    return min(len(_faces(frames[i])) for i in chosen)


@cache
def _detectors() -> tuple[cv2.CascadeClassifier, cv2.CascadeClassifier]:
    folder = Path(cv2.data.haarcascades)
    names = ("haarcascade_frontalface_alt2.xml", "haarcascade_frontalface_default.xml")
    first, second = (cv2.CascadeClassifier(str(folder / name)) for name in names)
    return first, second


def _faces(frame: NDArray[np.uint8]) -> list[Box]:
    """Faces that two differently trained cascades agree on."""
    height, width = frame.shape[:2]
    factor = _SEARCH_SIDE / min(height, width)
    gray = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
    gray = cv2.equalizeHist(cv2.resize(gray, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA))
    least = round(_LEAST_FACE * _SEARCH_SIDE)
    first, second = (
        [tuple(map(int, box)) for box in detector.detectMultiScale(gray, 1.1, _NEIGHBOURS, minSize=(least, least))]
        for detector in _detectors()
    )
    return [a for a in first if any(_overlap(a, b) > 0.4 for b in second)]


def _overlap(a: Box, b: Box) -> float:
    """Intersection over union."""
    wide = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    high = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    shared = max(0, wide) * max(0, high)
    return shared / (a[2] * a[3] + b[2] * b[3] - shared)
