"""Which part of one picture another one shows: cells of both made comparable."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from infra.media.fingerprint import CHROMA_SIDE, LUMA_CELLS, LUMA_SIDE

Cells = NDArray[np.float32]
Matrix = NDArray[np.float32]


@dataclass(frozen=True)
class View:
    """The part of the whole picture that a copy shows, in shares of its sides, and whether the copy is mirrored."""

    left: float = 0.0
    right: float = 1.0
    top: float = 0.0
    bottom: float = 1.0
    mirrored: bool = False

    @property
    def area(self) -> float:
        """The share of the picture that the copy shows."""
        return (self.right - self.left) * (self.bottom - self.top)

    @property
    def is_crop(self) -> bool:
        """Whether the copy lacks a part of the picture."""
        return (self.left, self.right, self.top, self.bottom) != (0.0, 1.0, 0.0, 1.0)


def comparable(whole: NDArray[np.uint8], copy: NDArray[np.uint8], view: View) -> tuple[Cells, Cells]:
    """Cells [prints, n] of the whole and of a copy that show the same places, luma only.

    They are the whole's own cells, those that lie inside the view; the copy, which shows them larger, is
    reduced to them. Nothing is ever enlarged, so nothing has to be guessed.
    """
    if view.is_crop:
        pick, reduce = luma_matrices(view)
        return luma(whole) @ pick.T, luma(copy) @ reduce.T
    a, b = luma(whole), luma(copy)
    return a, b.reshape(-1, LUMA_SIDE, LUMA_SIDE)[..., ::-1].reshape(b.shape) if view.mirrored else b


def comparable_chroma(whole: NDArray[np.uint8], copy: NDArray[np.uint8], view: View) -> tuple[Cells, Cells]:
    """Chroma [prints, n] of the whole and of a copy; of a crop only the mean, its quarters are too coarse."""
    a, b = (
        prints[:, LUMA_CELLS:].astype(np.float32).reshape(-1, 2, CHROMA_SIDE, CHROMA_SIDE) for prints in (whole, copy)
    )
    if view.is_crop:
        a, b = a.mean(axis=(2, 3)), b.mean(axis=(2, 3))
    elif view.mirrored:
        b = b[..., ::-1]
    return a.reshape(len(a), -1), b.reshape(len(b), -1)


def luma(prints: NDArray[np.uint8]) -> Cells:
    """The luma cells [prints, 64]."""
    return prints[:, :LUMA_CELLS].astype(np.float32)


@lru_cache(maxsize=4096)
def luma_matrices(view: View) -> tuple[Matrix, Matrix]:
    """What picks the whole's cells inside a view, and what reduces the copy's cells to them: [n, 64] each."""
    (pick_rows, reduce_rows), (pick_columns, reduce_columns) = (
        _line(view.top, view.bottom),
        _line(view.left, view.right),
    )
    if view.mirrored:
        reduce_columns = reduce_columns[:, ::-1]
    return np.kron(pick_rows, pick_columns), np.kron(reduce_rows, reduce_columns)


def _line(low: float, high: float) -> tuple[Matrix, Matrix]:
    edges = np.arange(LUMA_SIDE + 1) / LUMA_SIDE
    inside = edges[(edges >= low - 1e-6) & (edges <= high + 1e-6)]
    first = round(inside[0] * LUMA_SIDE)
    pick = np.eye(LUMA_SIDE, dtype=np.float32)[first : first + len(inside) - 1]
    return pick, reading((inside - low) / (high - low))


def reading(edges: NDArray[np.float64]) -> Matrix:
    """The matrix that reads means between `edges` (shares of a line) from the means of a line's 8 cells.

    The integral from the beginning of the line, known at the edges of the cells, is interpolated by a
    natural cubic spline: means are kept, and no cell is taken to be flat.
    """
    integral = _integrals(np.clip(edges, 0.0, 1.0) * LUMA_SIDE)
    return np.asarray(np.diff(integral, axis=0) / np.diff(edges * LUMA_SIDE)[:, None], np.float32)


def _integrals(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """[len(x), 8]: the integral up to each x (in cells), linear in the cells' means."""
    n = LUMA_SIDE
    knots = np.tril(np.ones((n + 1, n)), -1)
    inner = np.arange(1, n)
    system, right = np.eye(n + 1), np.zeros((n + 1, n + 1))
    system[inner, inner] = 4.0
    for beside, weight in ((-1, 6.0), (1, 6.0)):
        system[inner, inner + beside] = 1.0
        right[inner, inner + beside] = weight
    right[inner, inner] = -12.0
    curvature = np.linalg.solve(system, right) @ knots
    i = np.clip(np.floor(x).astype(int), 0, n - 1)
    t = (x - i)[:, None]
    s = 1 - t
    bend = (s**3 - s) * curvature[i] + (t**3 - t) * curvature[i + 1]
    return np.asarray(s * knots[i] + t * knots[i + 1] + bend / 6)
