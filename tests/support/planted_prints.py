"""Prints of clips that nobody filmed, with copies among them: as many as one likes.

A clip is a smooth random picture over which a few others come and go. As in a crawl, many clips share a
scene (a studio, a desktop, a game) and differ only in what moves, and some are nearly plain.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from infra.media.fingerprint import LUMA_SIDE, PRINT_BYTES, PRINTS_PER_S

KINDS = ("re-encode", "trim", "brightness", "mirror", "shift", "speed 1.04", "crop to 70% width")
_SHARED_SCENES = 2000
_MODES = 512
_BLOCK = 5000  # clips made at once


@dataclass(frozen=True)
class Planted:
    """A table of clips and the copies among them."""

    rows: pa.Table  # the columns that the stage `perceptual` needs, sorted by key
    copies: NDArray[np.int64]  # [copies, 2]: row of the copy, row of the clip that was copied
    kinds: Sequence[str]  # of each copy


def _pictures(rng: np.random.Generator, count: int, side: int = 16) -> NDArray[np.float32]:
    """Smooth random pictures [count, side, side] of unit deviation: amplitudes fall with frequency, as in photographs."""
    k = np.arange(side)
    lines = np.cos(np.pi * np.outer(k, k + 0.5) / side)
    size = np.hypot(*np.meshgrid(k, k))
    amplitude = np.where((size > 0) & (size <= 10), 1 / np.maximum(size, 1) ** 1.3, 0)
    pictures = lines.T @ (rng.standard_normal((count, side, side)) * amplitude) @ lines
    return (pictures / pictures.std(axis=(1, 2), keepdims=True)).astype(np.float32)


def _cells(pictures: NDArray[np.float32]) -> NDArray[np.float32]:
    """Pictures [n, 16, w] as 8 x 8 cells; 16 columns are halved, others read with weights."""
    rows = pictures.reshape(len(pictures), LUMA_SIDE, 2, -1).mean(axis=2)
    width = rows.shape[2]
    edges = np.linspace(0, width, LUMA_SIDE + 1)
    cover = np.clip(np.minimum(edges[1:, None], np.arange(width) + 1) - np.maximum(edges[:-1, None], np.arange(width)), 0, 1)
    return (rows @ (cover / cover.sum(axis=1, keepdims=True)).T.astype(np.float32)).reshape(len(pictures), -1)


def plant(clips: int, seed: int, share: float = 0.05) -> Planted:
    """`clips` clips of 2 to 30 s, `share` of them copies of others, spread over the table."""
    rng = np.random.default_rng(seed)
    originals = clips - round(clips * share)
    scenes, modes = _pictures(rng, _SHARED_SCENES), _pictures(rng, _MODES)
    lengths = np.clip(rng.gamma(2.2, 4.5, originals) + 2, 2, 30)
    first = originals - (clips - originals)  # the last originals are those that are copied
    chunks, starts, ends = [], [], []
    copies, kinds = [], []
    for begin in range(0, originals, _BLOCK):
        many = min(_BLOCK, originals - begin)
        films = _Films.drawn(rng, lengths[begin : begin + many], scenes, modes)
        chunks.append(films.prints(rng))
        for i in range(max(0, first - begin), many):
            kinds.append(KINDS[len(kinds) % len(KINDS)])
            copies.append((originals + len(copies), begin + i))
            chunks.append(films.copy(rng, i, kinds[-1]))
    return _table(rng, chunks, copies, kinds, clips)
