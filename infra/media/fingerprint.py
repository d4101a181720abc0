"""Fingerprints of moving pictures: what a film shows, twice a second, whatever was done to the file.

A print is 72 bytes: the mean picture of half a second without black bars, as 8 x 8 cells of luma and
2 x 2 cells of each chroma. Copies that were encoded, scaled or stretched anew have nearly the same
cells. Being linear in the pixels, prints also tell what a brighter, mirrored, cropped, shifted or faster
copy would have: whoever compares them works that out. A mean over time, unlike a sample, can be read
between two grid points, so copies need not start on the same frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from infra.media.reader import Picture, upright

PRINTS_PER_S = 2
LUMA_SIDE = 8  # cells; of the whole content, so that its shape does not matter
CHROMA_SIDE = 2
LUMA_CELLS = LUMA_SIDE**2
PRINT_BYTES = LUMA_CELLS + 2 * CHROMA_SIDE**2  # luma, then Cr, then Cb, row by row

_SIDE = 64  # pixels of the square in which bars are looked for
_CHROMA = 16
_DARK = 24  # luma up to which a bar may be lit; black is 0 or 16
_FULL_LINE = 0.5  # share of a line that is not dark where content begins
_BAR_LINE = 0.03  # and where there is none
_MAX_BAR = 0.4  # of a side
_UNEVEN = 3.0  # lines by which two bars may differ; what is dark at one side only is no bar


@dataclass
class Fingerprinter:
    """Takes the pictures of a video in order and gives its prints; print i is of the seconds [i, i + 1) / 2."""

    _now: tuple[float, Picture] | None = None  # the picture on show, and since when
    _mean: NDArray[np.float32] | None = None
    _weight_s: float = 0.0
    _rotation: int = 0
    _lumas: list[Picture] = field(default_factory=list)
    _chromas: list[Picture] = field(default_factory=list)

    def add(self, time_s: float, picture: Picture, rotation: int = 0) -> None:
        """Take the picture that is shown from `time_s` on: BGR uint8 [h, w, 3], to be turned by `rotation` degrees."""
        self._rotation = rotation
        if self._now is None:
            self._now = (0.0, picture)
        elif time_s > self._now[0]:
            self._show_until(time_s)
            self._now = (time_s, picture)

    def finish(self, end_s: float, shots: Sequence[tuple[float, float]]) -> bytes:
        """The prints of a video that ends at `end_s`; black bars are looked for in each of its shots, in seconds."""
        if self._now is None:
            return b""
        self._show_until(end_s)
        if self._weight_s:
            self._close()
        prints = np.zeros((len(self._lumas), PRINT_BYTES), np.uint8)
        for start_s, end_shot_s in shots:
            # The prints in the middle of transitions belong to either shot; no clip uses them.
            inside = slice(round(start_s * PRINTS_PER_S), round(end_shot_s * PRINTS_PER_S))
            whole = slice(*whole_prints(start_s, end_shot_s))
            lumas = self._lumas[whole] or self._lumas[inside]
            if lumas:
                box = content_box(np.max(lumas, axis=0))
                for i in range(*inside.indices(len(prints))):
                    prints[i] = cells(self._lumas[i], self._chromas[i], box)
        return prints.tobytes()

    def _show_until(self, time_s: float) -> None:
        assert self._now is not None
        since_s, picture = self._now
        while since_s < time_s:
            edge_s = (len(self._lumas) + 1) / PRINTS_PER_S
            until_s = min(edge_s, time_s)
            self._weigh_in(picture, until_s - since_s)
            if until_s == edge_s:
                self._close()
            since_s = until_s

    def _weigh_in(self, picture: Picture, length_s: float) -> None:
        if length_s <= 0:
            return
        if self._mean is None or self._mean.shape != picture.shape:  # a stream may change its size
            self._mean, self._weight_s = picture.astype(np.float32), 0.0
        self._weight_s += length_s
        cv2.accumulateWeighted(picture, self._mean, length_s / self._weight_s)

    def _close(self) -> None:
        assert self._mean is not None
        colours = cv2.cvtColor(np.rint(self._mean).astype(np.uint8), cv2.COLOR_BGR2YCrCb)
        colours = upright(np.asarray(colours, np.uint8), self._rotation)
        self._lumas.append(_shrink(colours[..., 0], _SIDE))
        self._chromas.append(_shrink(colours[..., 1:], _CHROMA))
        self._mean, self._weight_s = None, 0.0


def whole_prints(start_s: float, end_s: float) -> tuple[int, int]:
    """(first, past the last) of the prints that show nothing but [start_s, end_s)."""
    first, last = np.ceil(start_s * PRINTS_PER_S - 1e-6), np.floor(end_s * PRINTS_PER_S + 1e-6)
    return int(first), max(int(first), int(last))


def clip_prints(prints: bytes, start_s: float, end_s: float) -> bytes:
    """The prints of a video that show nothing but its clip [start_s, end_s)."""
    first, last = whole_prints(start_s, end_s)
    return prints[first * PRINT_BYTES : last * PRINT_BYTES]


Box = tuple[float, float, float, float]  # top, bottom, left, right in shares of the sides


def content_box(brightest: Picture) -> Box:
    """What a square luma picture shows between its black bars; `brightest` is over the length of a shot.

    A bar ends where a whole line of content begins. Something bright before a dark background begins
    with a few pixels, and nothing is cut off.
    """
    lit, level = brightest > _DARK, brightest.astype(np.float64)
    top, bottom = _between_bars(lit.mean(axis=1), level.mean(axis=1))
    left, right = _between_bars(lit.mean(axis=0), level.mean(axis=0))
    return top, bottom, left, right


def _between_bars(lit: NDArray[np.float64], level: NDArray[np.float64]) -> tuple[float, float]:
    """(start, end) between two bars of about one width, in shares, by the share of each line that is lit."""
    before, after = _bar_lines(lit, level), _bar_lines(lit[::-1], level[::-1])
    if abs(before - after) > _UNEVEN:
        return 0.0, 1.0
    return before / len(lit), 1 - after / len(lit)


def _bar_lines(lit: NDArray[np.float64], level: NDArray[np.float64]) -> float:
    """How many of the first lines are a bar; the line at its edge counts by how dark it is."""
    dark = int(np.argmax(lit > _BAR_LINE))
    if not 0 < dark <= _MAX_BAR * len(lit):
        return 0.0
    full = int(np.argmax(lit >= _FULL_LINE))
    if not dark <= full <= dark + 2:
        return 0.0
    black, content = level[0], level[full + 2]
    mixed = level[dark - 1 : full + 2]
    return dark - 1 + float(np.clip((content - mixed) / max(1.0, content - black), 0, 1).sum())


def cells(luma: Picture, chroma: Picture, box: Box) -> NDArray[np.uint8]:
    """The print of one mean picture: luma [64, 64] and CrCb [16, 16, 2] inside `box`."""
    top, bottom, left, right = box
    bright = means(top, bottom, _SIDE, LUMA_SIDE) @ luma @ means(left, right, _SIDE, LUMA_SIDE).T
    rows, columns = means(top, bottom, _CHROMA, CHROMA_SIDE), means(left, right, _CHROMA, CHROMA_SIDE)
    colours = [rows @ chroma[..., plane] @ columns.T for plane in (0, 1)]
    return np.asarray(np.rint(np.concatenate([bright.ravel(), *(colour.ravel() for colour in colours)])), np.uint8)


@lru_cache(maxsize=1024)
def means(low: float, high: float, pixels: int, count: int) -> NDArray[np.float32]:
    """The [count, pixels] matrix that takes the means of `count` equal cells between two shares of a line."""
    edges, pixel = np.linspace(low * pixels, high * pixels, count + 1), np.arange(pixels)
    cover = np.clip(np.minimum(edges[1:, None], pixel + 1) - np.maximum(edges[:-1, None], pixel), 0, 1)
    return np.asarray(cover / cover.sum(axis=1, keepdims=True), np.float32)


def _shrink(picture: Picture, side: int) -> Picture:
    return np.asarray(cv2.resize(np.ascontiguousarray(picture), (side, side), interpolation=cv2.INTER_AREA), np.uint8)
