"""Which pairs of clips are worth comparing: those with prints that share a key. Sorting, so n log n.

All keys of all prints are sorted, a share of the key space at a time; entries with one key are neighbours
then, and each is paired with the next few. Where very many prints share a key (plain pictures), those next
to each other are alike in one more number.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from filters.perceptual.geometry import Cells, View, comparable
from filters.perceptual.keys import GAP, SIGNS_TYPE, Signs, probe, signs, unlike
from filters.perceptual.prints import Prints

# Views that prints are keyed by: whole, and parts that crops are found by; keys survive a few percent more or less.
VIEWS = (View(), View(0.15, 0.85, 0.0, 1.0), View(0.0, 1.0, 0.1, 0.9), View(0.1, 0.9, 0.1, 0.9))

_PIECE = 1 << 17  # prints at once
_ENTRIES = 1 << 26  # keys sorted at once
_NEIGHBOURS = 8  # entries of one key that each entry is paired with
_MAX_UNLIKE = 14  # of the signs
_MIN_ALIKE = 0.9  # correlation of the two prints
_BESIDE = (-4, -2, 2, 4)  # prints away, where what changes is looked at
_MIN_CHANGE = 1.2  # grey levels; what changes less is not compared
_MIN_CHANGE_ALIKE = 0.7  # correlation of what changes
_GOLDEN = np.uint32(2654435769)  # spreads keys evenly (Fibonacci hashing; Knuth, TAOCP 3, section 6.4)


@dataclass(frozen=True)
class Candidates:
    """Pairs of clips, sorted, each once per view; all [pairs]."""

    whole: NDArray[np.int64]  # clip; with view 0 the one that comes first
    copy: NDArray[np.int64]
    view: NDArray[np.int64]  # which of VIEWS of the whole the copy seems to show


@dataclass(frozen=True)
class _Keyed:
    """The prints that are keyed, one view of all clips after the other; an entry is known by its place here."""

    signs: Signs
    print_of: NDArray[np.uint32]
    edges: tuple[int, ...]  # of the views

    def every(self, view: int) -> int:
        """Only every second print is looked for in crops."""
        return 2 if view else 1

    def flips(self, view: int) -> tuple[int, ...]:
        """Which signs are flipped, see `probe`."""
        return (0, 1, 4, 5) if view else tuple(range(8))


def find_candidates(prints: Prints, group: NDArray[np.int8], cropped: bool) -> Candidates:
    """Pairs worth comparing; clips of one group [clips] are not compared with each other, but those of group 0 are."""
    found = [np.zeros((0, 3), np.int64)]
    if prints.count:
        clip_of = prints.clip_of()
        keyed = _keyed(prints, clip_of, VIEWS if cropped else VIEWS[:1])
        for i, j in _hits(keyed, clip_of, group):
            found.append(_alike(prints, clip_of, keyed, i, j))
    pairs = _unique(np.concatenate(found))
    return Candidates(pairs[:, 0], pairs[:, 1], pairs[:, 2])


def _keyed(prints: Prints, clip_of: NDArray[np.uint32], views: tuple[View, ...]) -> _Keyed:
    place = np.arange(prints.count, dtype=np.int64) - prints.starts[clip_of]
    counts = [prints.count, *[int(np.count_nonzero(place % 2 == 0))] * (len(views) - 1)]
    edges = tuple(int(edge) for edge in np.cumsum([0, *counts]))
    keyed = _Keyed(np.empty(edges[-1], SIGNS_TYPE), np.empty(edges[-1], np.uint32), edges)
    for v, view in enumerate(views):
        at = edges[v]
        for first, piece in prints.pieces(_PIECE):
            taken = np.flatnonzero(place[first : first + len(piece)] % keyed.every(v) == 0)
            keyed.signs[at : at + len(taken)] = signs(piece[taken], view)
            keyed.print_of[at : at + len(taken)] = first + taken
            at += len(taken)
    return keyed


def _hits(
    keyed: _Keyed, clip_of: NDArray[np.uint32], group: NDArray[np.int8]
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Entries that have a key in common and few unlike signs, of two clips; the first is of the earlier view."""
    views = range(len(keyed.edges) - 1)
    total = sum((keyed.edges[v + 1] - keyed.edges[v]) * len(keyed.flips(v)) for v in views)
    share_bits = max(0, int(np.ceil(np.log2(total / _ENTRIES))))
    id_bits = int(keyed.edges[-1]).bit_length()
    fine_bits = min(8, 64 - (32 - share_bits) - id_bits)
    for share in range(1 << share_bits):
        entries = np.concatenate(
            [
                piece
                for v in views
                for flips in keyed.flips(v)
                for piece in _packed(keyed, clip_of, v, flips, (share, share_bits), (fine_bits, id_bits))
            ]
        )
        entries.sort()
        yield from _neighbours(keyed, clip_of, group, entries, fine_bits, id_bits)


def _packed(
    keyed: _Keyed, clip_of: NDArray[np.uint32], view: int, flips: int, share: tuple[int, int], widths: tuple[int, int]
) -> Iterator[NDArray[np.uint64]]:
    """Entries of one view and probe as sortable numbers: key, fine, place; only those of one share of the keys."""
    (which, share_bits), (fine_bits, id_bits) = share, widths
    later = GAP // keyed.every(view)
    first, last = keyed.edges[view], keyed.edges[view + 1] - later
    for at in range(first, last, _PIECE):
        now, then = slice(at, min(at + _PIECE, last)), slice(at + later, min(at + _PIECE, last) + later)
        key = probe(keyed.signs[now], keyed.signs[then], flips) * _GOLDEN
        usable = keyed.signs["tells"][now] & (clip_of[keyed.print_of[now]] == clip_of[keyed.print_of[then]])
        if share_bits:
            usable &= key >> np.uint32(32 - share_bits) == which
            key &= np.uint32((1 << (32 - share_bits)) - 1)
        here = np.flatnonzero(usable)
        fine = keyed.signs["fine"][now][here].astype(np.uint64) >> np.uint64(8 - fine_bits)
        number = (key[here].astype(np.uint64) << np.uint64(fine_bits) | fine) << np.uint64(id_bits)
        yield number | (here + at).astype(np.uint64)


def _neighbours(
    keyed: _Keyed,
    clip_of: NDArray[np.uint32],
    group: NDArray[np.int8],
    entries: NDArray[np.uint64],
    fine_bits: int,
    id_bits: int,
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Pairs of neighbours among sorted entries."""
    key = (entries >> np.uint64(fine_bits + id_bits)).astype(np.uint32)
    shared = np.zeros(len(key), bool)
    shared[1:] = key[1:] == key[:-1]
    shared[:-1] |= shared[1:]
    key = key[shared]
    place = (entries[shared] & np.uint64((1 << id_bits) - 1)).astype(np.int64)
    clip = clip_of[keyed.print_of[place]]
    again = np.zeros(len(key), bool)  # a picture that stays has one key for long
    again[1:] = (key[1:] == key[:-1]) & (clip[1:] == clip[:-1])
    key, place, clip = key[~again], place[~again], clip[~again]
    bits = keyed.signs["bits"][place]
    for step in range(1, _NEIGHBOURS + 1):
        pair = (key[step:] == key[:-step]) & (clip[step:] != clip[:-step])
        at = np.flatnonzero(pair)
        one, other = group[clip[at]], group[clip[at + step]]
        at = at[(one == 0) | (one != other)]
        at = at[unlike(bits[at], bits[at + step]) <= _MAX_UNLIKE]
        i, j = place[at], place[at + step]
        one_is_whole = np.minimum(i, j) < keyed.edges[1]  # parts are looked for in whole pictures only
        i, j = np.minimum(i, j)[one_is_whole], np.maximum(i, j)[one_is_whole]
        both = np.unique(i << 32 | j)  # each only once, though more than one of their keys may be the same
        yield both >> 32, both & 0xFFFFFFFF


def _alike(
    prints: Prints, clip_of: NDArray[np.uint32], keyed: _Keyed, i: NDArray[np.int64], j: NDArray[np.int64]
) -> NDArray[np.int64]:
    """(whole, copy, view) of those hits whose two prints look alike; `i` are whole pictures, `j` views."""
    view = np.searchsorted(keyed.edges, j, side="right") - 1
    found = [np.zeros((0, 3), np.int64)]
    for v in range(len(keyed.edges) - 1):
        of_view = np.flatnonzero(view == v)
        for at in range(0, len(of_view), _PIECE // 8):
            some = of_view[at : at + _PIECE // 8]
            copy, whole = (keyed.print_of[entries[some]].astype(np.int64) for entries in (i, j))
            good = _show_the_same(prints, clip_of, whole, copy, VIEWS[v])
            a, b = clip_of[whole[good]].astype(np.int64), clip_of[copy[good]].astype(np.int64)
            if v == 0:
                a, b = np.minimum(a, b), np.maximum(a, b)
            found.append(_unique(np.stack([a, b, np.full(len(a), v)], axis=1)))
    return _unique(np.concatenate(found))


def _show_the_same(
    prints: Prints, clip_of: NDArray[np.uint32], whole: NDArray[np.int64], copy: NDArray[np.int64], view: View
) -> NDArray[np.bool_]:
    """Whether prints look alike one by one, and what changes around them as well.

    Clips from one studio look alike all the time; what moves tells them apart.
    """
    good = np.zeros(len(whole), bool)
    now = prints.take(whole), prints.take(copy)
    for mirrored in (False, True):
        seen = replace(view, mirrored=mirrored)
        alike = np.flatnonzero((_correlation(*comparable(*now, seen)) >= _MIN_ALIKE) & ~good)
        x, y = comparable(now[0][alike], now[1][alike], seen)
        xx, yy, xy = (np.zeros(len(alike), np.float32) for _ in range(3))
        for step in _BESIDE:
            beside = comparable(*_beside(prints, clip_of, whole[alike], copy[alike], step), seen)
            dx, dy = beside[0] - x, beside[1] - y
            for total, u, v in ((xx, dx, dx), (yy, dy, dy), (xy, dx, dy)):
                total += np.einsum("ij,ij->i", u, v)
        moves = xx + yy > _MIN_CHANGE**2 * len(_BESIDE) * x.shape[1]
        good[alike] = ~moves | (xy >= _MIN_CHANGE_ALIKE * np.sqrt(xx * yy))
    return good


def _beside(
    prints: Prints, clip_of: NDArray[np.uint32], whole: NDArray[np.int64], copy: NDArray[np.int64], step: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The prints some steps on in both clips, or the same ones again where one of the clips has none."""
    last = len(clip_of) - 1
    there = [np.clip(at + step, 0, last) for at in (whole, copy)]
    both = (clip_of[there[0]] == clip_of[whole]) & (clip_of[there[1]] == clip_of[copy])
    return prints.take(np.where(both, there[0], whole)), prints.take(np.where(both, there[1], copy))


def _correlation(x: Cells, y: Cells) -> NDArray[np.float32]:
    """Of rows one by one."""
    x, y = x - x.mean(axis=1, keepdims=True), y - y.mean(axis=1, keepdims=True)
    xx, yy, xy = (np.einsum("ij,ij->i", u, v) for u, v in ((x, x), (y, y), (x, y)))
    return np.asarray(xy / np.sqrt(np.maximum(1e-6, xx * yy)))


def _unique(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """The different ones of some rows, sorted."""
    rows = rows[np.lexsort(rows.T[::-1])]
    new = np.ones(len(rows), bool)
    new[1:] = (rows[1:] != rows[:-1]).any(axis=1)
    return rows[new]
