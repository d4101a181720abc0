"""Keys of prints: short numbers that copies have in common, so that sorting brings copies together.

A key tells which of the lowest spatial frequencies of a print, and of the next but one, are clearly positive:
coarse enough to survive encoding, scaling, brightness and contrast. Which side the weakest are on is chance, so a
print has a key for every way they might have fallen (multi-probe hashing, Lv et al., 2007). Mirroring turns the
sign of every frequency that is odd from left to right; they are turned to one usual way, so that a picture and its
mirror image have one key.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from filters.perceptual.geometry import View, luma, reading
from infra.media.fingerprint import LUMA_SIDE

SIGNS = 56  # frequencies whose signs are kept
NOW_BITS = 23  # of them in a key
THEN_BITS = 7  # signs of a later print in a key
WEAK = 4  # signs that may have fallen either way
GAP = 2  # prints until then: a second
FLAT = 1.5  # standard deviation of luma in grey levels up to which a print says nothing
FINE_BITS = 8
KEY_BITS = NOW_BITS + THEN_BITS


def _frequencies() -> list[tuple[int, int]]:
    """(down, across) of the frequencies whose signs are taken, lowest first."""
    pairs = [(v, u) for v in range(LUMA_SIDE) for u in range(LUMA_SIDE) if (v, u) != (0, 0)]
    return sorted(pairs, key=lambda pair: (pair[0] + pair[1], pair[0]))[:SIGNS]


_FIRST_DOWN = _frequencies().index((1, 0))
_ODD = np.array([u % 2 == 1 for _, u in _frequencies()])
_CLEAR = 2.0  # amplitude from which a frequency is there, in grey levels of the orthonormal transform


@cache
def _transform(view: View) -> NDArray[np.float32]:
    """[64, SIGNS]: cells of the whole picture to the frequencies of a view of it (DCT-II, orthonormal)."""
    k = np.arange(LUMA_SIDE)
    lines = np.cos(np.pi * np.outer(k, k + 0.5) / LUMA_SIDE)
    lines /= np.linalg.norm(lines, axis=1, keepdims=True)
    basis = np.stack([np.outer(lines[v], lines[u]).ravel() for v, u in _frequencies()])
    rows = reading(np.linspace(view.top, view.bottom, LUMA_SIDE + 1))
    columns = reading(np.linspace(view.left, view.right, LUMA_SIDE + 1))
    return np.asarray((basis @ np.kron(rows, columns)).T, np.float32)


# What keys are made of, one record a print.
SIGNS_TYPE = np.dtype(
    [
        ("bits", np.uint64),  # bit i: frequency i is clearly positive, turned the usual way
        ("weak", np.uint8, (WEAK,)),  # which of the first NOW_BITS are weakest, the weakest first
        ("weakest_then", np.uint8),  # and of the first THEN_BITS
        ("fine", np.uint8),  # share of the contrast that goes from top to bottom: orders prints that share a key
        ("tells", np.bool_),  # whether the picture is more than a plain surface
    ]
)
Signs = NDArray[np.void]


def signs(prints: NDArray[np.uint8], view: View) -> Signs:
    """The signs of a view of some prints [n, PRINT_BYTES]: SIGNS_TYPE [n]."""
    values = _turned(luma(prints) @ _transform(view))
    contrast = np.sqrt((values * values).sum(axis=1))
    fine = (values[:, _FIRST_DOWN] / np.maximum(1e-3, contrast) + 1) * 2 ** (FINE_BITS - 1)
    strength = np.abs(values[:, :NOW_BITS] - _CLEAR)
    made = np.zeros(len(prints), SIGNS_TYPE)
    positive = np.zeros((len(prints), 8), np.uint8)
    positive[:, : SIGNS // 8] = np.packbits(values > _CLEAR, axis=1, bitorder="little")
    made["bits"] = positive.view("<u8").ravel()
    made["weakest_then"] = np.argmin(strength[:, :THEN_BITS], axis=1)
    made["weak"] = np.argsort(strength, axis=1, kind="stable")[:, :WEAK]
    made["fine"] = np.clip(fine, 0, 2**FINE_BITS - 1)
    made["tells"] = contrast > FLAT * LUMA_SIDE
    return made


def _turned(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Frequencies [prints, SIGNS] of the pictures or of their mirror images: whichever are positive in the odd ones.

    The strong ones count most, so that noise does not decide.
    """
    odd = np.flatnonzero(_ODD[:NOW_BITS])
    side = np.where((values[:, odd] * np.abs(values[:, odd])).sum(axis=1) < 0, np.float32(-1), np.float32(1))
    return np.where(_ODD, values * side[:, None], values)


def unlike(a: NDArray[np.uint64], b: NDArray[np.uint64]) -> NDArray[np.uint8]:
    """How many signs differ."""
    return np.asarray(np.bitwise_count(a ^ b), np.uint8)


def now_key(now: Signs, flips: int) -> NDArray[np.uint64]:
    """The part of the key that comes from the print itself, NOW_BITS, with some of the weakest signs flipped.

    Bit i of `flips`: the sign weak[i].
    """
    bits = now["bits"] & np.uint64(2**NOW_BITS - 1)
    for i in range(WEAK):
        if flips >> i & 1:
            bits = bits ^ (np.uint64(1) << now["weak"][:, i].astype(np.uint64))
    return bits


def then_key(then: Signs, is_flipped: bool) -> NDArray[np.uint64]:
    """The part of the key that comes from the later print, THEN_BITS, its weakest sign flipped or not."""
    bits = then["bits"] & np.uint64(2**THEN_BITS - 1)
    return bits ^ (np.uint64(1) << then["weakest_then"].astype(np.uint64)) if is_flipped else bits
