"""Frontal faces, by OpenCV's Haar cascades (Viola and Jones, 2001), counted only when two of them agree.

OpenCV's HOG people detector is not used: on our real clips it found people in water bottles with
more confidence than in people.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

LEAST_SIDE: Final = 200  # pixels of the frame's short side, below which nothing is looked for
_SEARCH_SIDE = 200  # pixels of the short side that is searched
_LEAST_FACE = 0.12  # of the short side
_AROUND = 0.4  # of a found face's width, searched again on every side of it


def count(frames: NDArray[np.uint8]) -> int:
    """Faces in the picture uint8 [1, h, w, 3], or in the middling one of three spread over [n, h, w, 3]."""
    if min(frames.shape[1:3]) < LEAST_SIDE:
        return 0
    chosen = sorted({len(frames) // 6, len(frames) // 2, len(frames) * 5 // 6})
    return sorted(_faces(frames[i]) for i in chosen)[len(chosen) // 2]


@cache
def _detectors() -> tuple[cv2.CascadeClassifier, cv2.CascadeClassifier]:
    folder = Path(cv2.__file__).parent / "data"
    names = ("haarcascade_frontalface_alt2.xml", "haarcascade_frontalface_default.xml")
    first, second = (cv2.CascadeClassifier(str(folder / name)) for name in names)
    return first, second


def _faces(frame: NDArray[np.uint8]) -> int:
    """Faces that two differently trained cascades agree on."""
    factor = _SEARCH_SIDE / min(frame.shape[:2])
    gray = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
    gray = cv2.equalizeHist(cv2.resize(gray, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA))
    least = round(_LEAST_FACE * _SEARCH_SIDE)
    first, second = _detectors()
    found = first.detectMultiScale(gray, 1.2, 3, minSize=(least, least))
    around = (_around(gray, *map(int, box)) for box in found)
    return sum(len(second.detectMultiScale(part, 1.1, 4, minSize=(least, least))) > 0 for part in around)


def _around(gray: NDArray[np.uint8], left: int, top: int, width: int, height: int) -> NDArray[np.uint8]:
    more = round(_AROUND * width)
    part = gray[max(0, top - more) : top + height + more, max(0, left - more) : left + width + more]
    return np.ascontiguousarray(part)
