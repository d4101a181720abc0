"""Where one shot ends and the next begins: hard cuts, and dissolves or fades that take a while.

Both detectors are fed small pictures in the order of presentation and keep a bounded number of them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from fractions import Fraction

import cv2
import numpy as np
from numpy.typing import NDArray
from scenedetect import AdaptiveDetector, FrameTimecode
from scenedetect.common import Timecode

Interval = tuple[float, float]  # (start_s, end_s); both equal for a hard cut

_FLASH_S = 0.5  # a flash is over by then
_COARSE = (16, 9)  # (width, height) of pictures compared over time: so coarse that motion hardly shows
_WINDOW = 2  # frames before and after that AdaptiveDetector compares a change with


class CutDetector:
    """Hard cuts: PySceneDetect's AdaptiveDetector, less the flashes it takes for cuts.

    A candidate is a cut only if for half a second no picture comes that differs from the one before it
    by less than a third of the jump; after a flash the old picture is back.
    """

    def __init__(self, adaptive_threshold: float, min_content: float, min_shot_s: float) -> None:
        self.cuts: list[float] = []
        self._detector = AdaptiveDetector(
            adaptive_threshold=adaptive_threshold,
            min_content_val=min_content,
            min_scene_len=min_shot_s,
            window_width=_WINDOW,
        )
        self._recent: deque[tuple[float, NDArray[np.uint8]]] = deque(maxlen=_WINDOW + 2)
        self._candidate: tuple[float, NDArray[np.uint8], float] | None = None

    def add(self, time_s: float, picture: NDArray[np.uint8]) -> None:
        """Take the next frame, BGR uint8 [h, w, 3]."""
        self._recent.append((time_s, picture))
        self._settle(time_s, picture)
        # Microseconds, not frame numbers: the rate may vary. The rate itself is used by no one, but required.
        now = FrameTimecode(Timecode(round(time_s * 1e6), Fraction(1, 10**6)), fps=Fraction(30))
        if self._detector.process_frame(now, picture):
            (_, before), (cut_s, after) = self._recent[0], self._recent[1]
            self._accept()
            self._candidate = (cut_s, _coarse(before), _distance(_coarse(before), _coarse(after)))

    def finish(self) -> list[float]:
        """Times of all cuts in seconds: each the first frame of a new shot."""
        self._accept()
        return self.cuts

    def _settle(self, time_s: float, picture: NDArray[np.uint8]) -> None:
        """Forget the candidate when the old picture is back, accept it when that took too long."""
        if self._candidate is None:
            return
        cut_s, before, jump = self._candidate
        if _distance(before, _coarse(picture)) < jump / 3:
            self._candidate = None
        elif time_s >= cut_s + _FLASH_S:
            self._accept()

    def _accept(self) -> None:
        if self._candidate is not None:
            self.cuts.append(self._candidate[0])
            self._candidate = None


def _coarse(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.asarray(cv2.resize(picture, _COARSE, interpolation=cv2.INTER_AREA), np.uint8)


def _distance(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    """Mean absolute difference of two pictures of one size."""
    return float(cv2.norm(a, b, cv2.NORM_L1)) / a.size


class DissolveDetector:
    """Dissolves, and fades from or to a plain picture: the middle is a mixture of both ends.

    While shot A turns into shot B, every picture M between them is (1 - a) A + a B (the classical
    model; Lienhart, "Reliable transition detection in videos", 2001). So M, projected on the line from A
    to B, must lie well between them and close to the line, and A and B must be different pictures.
    A hard cut puts M at one of the ends. Motion moves it off the line, so a dissolve between shots whose
    whole picture moves fast is missed.
    """

    _WIDTHS = (4, 2, 1)  # samples between the middle and each end: 1, 0.5 and 0.25 s at 4 samples a second
    _MIN_CHANGE = 18.0  # root mean square difference of the ends, in grey levels
    _MIXED = (0.25, 0.75)  # range of a in the middle
    # Distance from the line over the distance of the ends. A pattern of waves that moves on by an angle x
    # from sample to sample has tan(x / 2) / 2 here and cos(2 x) as likeness: no pan passes both limits.
    _OFF_LINE = 0.145
    _MAX_LIKENESS = 0.4  # covariance of the ends over the larger of their variances

    def __init__(self) -> None:
        self._times: deque[float] = deque(maxlen=2 * max(self._WIDTHS) + 1)
        self._pictures: deque[NDArray[np.float32]] = deque(maxlen=2 * max(self._WIDTHS) + 1)
        self._found: list[Interval] = []

    def add(self, time_s: float, picture: NDArray[np.uint8]) -> None:
        """Take the next sample, grey uint8 [h, w]."""
        self._times.append(time_s)
        self._pictures.append(_coarse(picture).astype(np.float32).ravel())
        for width in self._WIDTHS:
            if len(self._times) > 2 * width and self._is_mixture(width):
                self._found.append(self._extent(width))
                return

    def finish(self) -> list[Interval]:
        """Spans of all dissolves, ascending and apart."""
        return merged(self._found)

    def _is_mixture(self, width: int) -> bool:
        a, middle, b = (self._pictures[i] for i in (-2 * width - 1, -width - 1, -1))
        line, off = b - a, middle - a
        square = float(line @ line)
        if square < self._MIN_CHANGE**2 * a.size:
            return False
        share = float(off @ line) / square
        residual = max(0.0, float(off @ off) - share**2 * square)
        if not self._MIXED[0] < share < self._MIXED[1] or residual > self._OFF_LINE**2 * square:
            return False
        a, b = a - a.mean(), b - b.mean()
        return float(a @ b) < self._MAX_LIKENESS * max(float(a @ a), float(b @ b))

    def _extent(self, width: int) -> Interval:
        """From the last sample that is still A to the first that is already B."""
        pictures = np.stack(list(self._pictures)[-2 * width - 1 :])
        times = list(self._times)[-2 * width - 1 :]
        line = pictures[-1] - pictures[0]
        share = (pictures - pictures[0]) @ line / float(line @ line)
        start = max(i for i in range(width) if share[i] < 0.1)
        end = min(i for i in range(width + 1, 2 * width + 1) if share[i] > 0.9)
        return times[start], times[end]


def merged(intervals: Iterable[Interval]) -> list[Interval]:
    """The same stretch of time as intervals that are ascending and do not touch."""
    apart: list[Interval] = []
    for start, end in sorted(intervals):
        if apart and start <= apart[-1][1]:
            apart[-1] = (apart[-1][0], max(end, apart[-1][1]))
        else:
            apart.append((start, end))
    return apart
