"""Keys of prints: short numbers that copies have in common, so that sorting brings copies together.

A key tells which of the lowest spatial frequencies of a print, and of the next but one, are clearly positive;
of short clips also keys of more of one print's own. That is coarse enough to survive encoding, scaling, brightness
and contrast. Which side the weakest are on is chance, so a print has a key for every way they might have fallen
(multi-probe hashing, Lv et al., 2007). Mirroring turns the sign of every frequency that is odd from left to right.
A key is of the picture or of its mirror image, whichever is seen the usual way round, so that both have one key; a
picture that is about symmetric has two.

By chance, prints of different films share a key as well. Most are told apart by their other signs, and by the
amplitudes of a few frequencies, before anything else of them is looked at.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from filters.perceptual.geometry import View, luma, reading
from infra.media.fingerprint import LUMA_SIDE

SIGNS = 56  # frequencies whose signs are kept
NOW_BITS, MOST_NOW_BITS = 23, 25  # of them in a key, at least and at most
THEN_BITS = 7  # signs of a later print in a key
WEAK = 6  # signs that may have fallen either way
GAP = 2  # prints until then: a second
FLAT = 1.5  # standard deviation of luma in grey levels up to which a print says nothing
FINE_BITS = 8
_MIRROR_BITS = 32


def _frequencies() -> list[tuple[int, int]]:
    """(down, across) of the frequencies whose signs are taken, lowest first."""
    pairs = [(v, u) for v in range(LUMA_SIDE) for u in range(LUMA_SIDE) if (v, u) != (0, 0)]
    return sorted(pairs, key=lambda pair: (pair[0] + pair[1], pair[0]))[:SIGNS]


_TELLING = [_frequencies().index(pair) for pair in ((1, 0), (0, 2), (2, 0), (1, 2))]  # low, and no mirror turns them
_ODD = np.array([u % 2 == 1 for _, u in _frequencies()])
_PLACE_BITS = 5  # tell one of MOST_NOW_BITS
_CLOSE = 0.15  # share of the odd frequencies' energy by which the usual way must win
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


# What keys are made of, one record a print: there are tens of millions, so spare bits are used.
SIGNS_TYPE = np.dtype(
    [
        ("bits", np.uint64),  # bit i: frequency i is clearly positive; from SIGNS: the weakest of the first THEN_BITS
        ("mirrored", np.uint32),  # the first of them in the mirror image
        ("weak", np.uint32),  # which of those in a key are weakest, the weakest in the lowest; then, see `_ways`
        ("amplitudes", np.uint8, (len(_TELLING),)),  # in shares of the contrast, -1 to 1: of _TELLING frequencies
    ]
)
Signs = NDArray[np.void]


def signs(prints: NDArray[np.uint8], view: View, now_bits: int) -> Signs:
    """The signs of a view of some prints [n, PRINT_BYTES], for keys of `now_bits` of them: SIGNS_TYPE [n]."""
    values = luma(prints) @ _transform(view)
    contrast = np.sqrt(np.einsum("ij,ij->i", values, values))
    amplitudes = (values[:, _TELLING] / np.maximum(1e-3, contrast)[:, None] + 1) * 2 ** (FINE_BITS - 1)
    # At -_CLEAR a frequency is far from clear, but the mirror turns those that are odd.
    either_way = np.where(_ODD[:now_bits], np.abs(values[:, :now_bits]), values[:, :now_bits])
    strength = np.abs(either_way - _CLEAR)
    made = np.zeros(len(prints), SIGNS_TYPE)
    weakest_then = np.argmin(strength[:, :THEN_BITS], axis=1).astype(np.uint64)
    made["bits"] = _bits(values) | weakest_then << np.uint64(SIGNS)
    turned = np.where(_ODD, np.float32(-1), np.float32(1))[:_MIRROR_BITS]
    made["mirrored"] = _bits(values[:, :_MIRROR_BITS] * turned)
    weakest = np.argsort(strength, axis=1, kind="stable")[:, :WEAK].astype(np.uint32)
    ways = np.where(contrast > FLAT * LUMA_SIDE, _ways(values), 0).astype(np.uint32)
    made["weak"] = (weakest << _PLACE_BITS * np.arange(WEAK, dtype=np.uint32)).sum(axis=1) | ways << _PLACE_BITS * WEAK
    made["amplitudes"] = np.clip(amplitudes, 0, 2**FINE_BITS - 1)
    return made


def has_key(made: Signs, mirrored: bool) -> NDArray[np.bool_]:
    """Whether prints have keys as they are, or in the mirror."""
    return np.asarray(made["weak"] >> np.uint32(_PLACE_BITS * WEAK + mirrored) & np.uint32(1), bool)


def _bits(values: NDArray[np.float32]) -> NDArray[np.uint64]:
    """Which frequencies [prints, up to 64] are clearly positive, the first in the lowest bit."""
    positive = np.zeros((len(values), 8), np.uint8)
    positive[:, : values.shape[1] // 8] = np.packbits(values > _CLEAR, axis=1, bitorder="little")
    return positive.view("<u8").ravel()


def _ways(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Bit 0: the odd frequencies, above all the strong ones, are positive; bit 1: negative; both when it is close."""
    odd = values[:, np.flatnonzero(_ODD[:NOW_BITS])]
    side = np.einsum("ij,ij->i", odd, np.abs(odd))
    close = _CLOSE * np.einsum("ij,ij->i", odd, odd)
    return np.asarray((side >= -close) + 2 * (side <= close), np.uint8)


def unlike(made: Signs, a: NDArray[np.int64], b: NDArray[np.int64], in_mirror: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """How many signs of prints `a` and `b` of some differ.

    Where one picture is seen in the mirror only the first signs are known, and count double.
    """
    differ = np.bitwise_count((made["bits"][a] ^ made["bits"][b]) << np.uint64(64 - SIGNS))
    turned = np.flatnonzero(in_mirror)
    first = made["mirrored"][a[turned]] ^ made["bits"][b[turned]].astype(np.uint32)
    differ[turned] = 2 * np.bitwise_count(first)
    return np.asarray(differ, np.uint8)


def apart(made: Signs, a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.int16]:
    """How far the amplitudes of prints `a` and `b` of some are apart, at most, in steps of 2 / 256 of the contrast."""
    amplitudes = made["amplitudes"]
    return np.asarray(np.abs(amplitudes[a].astype(np.int16) - amplitudes[b]).max(axis=1))


def now_key(now: Signs, mirrored: bool, flips: int, now_bits: int) -> NDArray[np.uint64]:
    """The part of the key that comes from the print itself, `now_bits`, with some of the weakest signs flipped.

    Bit i of `flips`: the sign that is weakest but i.
    """
    bits = _low(now, mirrored, now_bits)
    for i in range(WEAK):
        if flips >> i & 1:
            weak = now["weak"] >> np.uint32(_PLACE_BITS * i) & np.uint32(2**_PLACE_BITS - 1)
            bits = bits ^ (np.uint64(1) << weak.astype(np.uint64))
    return bits


def then_key(then: Signs, mirrored: bool, is_flipped: bool) -> NDArray[np.uint64]:
    """The part of the key that comes from the later print, THEN_BITS, its weakest sign flipped or not."""
    bits = _low(then, mirrored, THEN_BITS)
    return bits ^ (np.uint64(1) << (then["bits"] >> np.uint64(SIGNS))) if is_flipped else bits


def further_key(now: Signs, mirrored: bool, now_bits: int) -> NDArray[np.uint64]:
    """What stands in for the part of a later print: as many further signs of the print itself."""
    return _low(now, mirrored, now_bits + THEN_BITS) >> np.uint64(now_bits)


def _low(made: Signs, mirrored: bool, count: int) -> NDArray[np.uint64]:
    bits = made["mirrored" if mirrored else "bits"].astype(np.uint64)
    return bits & np.uint64(2**count - 1)
