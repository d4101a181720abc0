"""Keys of prints: short numbers that copies have in common, so that sorting brings copies together.

A key holds the signs of the lowest spatial frequencies of one print and of the next but one: coarse enough
to survive encoding, scaling, brightness and contrast. Signs of weak frequencies are noise, so a print has a
key for every way the weakest might have fallen (multi-probe hashing, Lv et al., 2007). Mirroring turns the
sign of every frequency that is odd from left to right; all are turned so that the first is positive, and a
picture and its mirror image have one key.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from filters.perceptual.geometry import View, luma, reading
from infra.media.fingerprint import LUMA_CELLS, LUMA_SIDE

NOW_BITS = 24  # signs of the print itself
THEN_BITS = 8  # and of a later one
GAP = 2  # prints between the two: a second
WEAK = 2  # signs of the print that may have fallen either way
FLAT = 2.5  # standard deviation of luma in grey levels up to which a print says nothing

Keys = NDArray[np.uint32]


def _frequencies() -> list[tuple[int, int]]:
    """(down, across) of the frequencies whose signs are taken, lowest first."""
    pairs = [(v, u) for v in range(LUMA_SIDE) for u in range(LUMA_SIDE) if (u, v) != (0, 0)]
    return sorted(pairs, key=lambda pair: (pair[0] + pair[1], pair[0]))[:NOW_BITS]


@cache
def _transform(view: View) -> NDArray[np.float32]:
    """[64, NOW_BITS]: cells of the whole picture to the frequencies of a view of it (DCT-II, orthonormal)."""
    k = np.arange(LUMA_SIDE)
    lines = np.cos(np.pi * np.outer(k, k + 0.5) / LUMA_SIDE)
    basis = np.stack([np.outer(lines[v], lines[u]).ravel() for v, u in _frequencies()])
    rows = reading(np.linspace(view.top, view.bottom, LUMA_SIDE + 1))
    columns = reading(np.linspace(view.left, view.right, LUMA_SIDE + 1))
    return np.asarray((basis @ np.kron(rows, columns)).T, np.float32)


@cache
def _odd() -> tuple[int, int]:
    """Masks over the signs of a print and of the later one: which turn when the picture is mirrored."""
    odd = [u % 2 for _, u in _frequencies()]
    now = sum(bit << i for i, bit in enumerate(odd))
    return now, now & (2**THEN_BITS - 1)


@dataclass(frozen=True)
class Signs:
    """Signs of frequencies of prints, and which of them are weakest; all [prints]."""

    bits: NDArray[np.uint32]  # bit i: frequency i is positive
    weak: NDArray[np.uint32]  # [prints, WEAK]: masks of one bit each, the weakest first
    weak_then: NDArray[np.uint32]  # mask of the weakest among the first THEN_BITS
    flat: NDArray[np.bool_]


def signs(prints: NDArray[np.uint8], view: View) -> Signs:
    """The signs of a view of some prints [n, PRINT_BYTES]."""
    cells = luma(prints)
    values = cells @ _transform(view)
    bits = (values > 0) @ (np.uint32(1) << np.arange(NOW_BITS, dtype=np.uint32))
    strength = np.abs(values)
    weak_then = np.uint32(1) << np.argmin(strength[:, :THEN_BITS], axis=1).astype(np.uint32)
    order = np.argpartition(strength, WEAK, axis=1)[:, :WEAK]
    weak = np.uint32(1) << order.astype(np.uint32)
    return Signs(bits.astype(np.uint32), weak, weak_then, cells.std(axis=1) <= FLAT)


def probes(now: Signs, then: Signs) -> list[Keys]:
    """The keys of prints and the ones a gap later, for every way that the weakest signs may have fallen."""
    keys = []
    for flips in range(2 ** (WEAK + 1)):
        bits = now.bits
        for i in range(WEAK):
            bits = bits ^ (now.weak[:, i] if flips >> i & 1 else np.uint32(0))
        later = (then.bits ^ (then.weak_then if flips >> WEAK & 1 else np.uint32(0))) & np.uint32(2**THEN_BITS - 1)
        keys.append(_canonical(bits, later))
    return keys


def _canonical(now: Keys, then: Keys) -> Keys:
    """Keys that a picture and its mirror image have in common."""
    odd_now, odd_then = _odd()
    turn = (now & np.uint32(1 << _frequencies().index((0, 1)))) == 0
    now = np.where(turn, now ^ np.uint32(odd_now), now)
    then = np.where(turn, then ^ np.uint32(odd_then), then)
    return (now << np.uint32(THEN_BITS)) | then
