"""Which pairs of clips are worth comparing: those with prints that share a key. Sorting, so n log n.

Entries with one key are neighbours once sorted, and each is paired with the next few. Where very many prints
share a key (plain pictures), those next to each other are alike in one more number.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import product

import numpy as np
from numpy.typing import NDArray

from filters.perceptual.entries import SHORT, VIEWS, Entries, Keyed, Share, keyed_prints
from filters.perceptual.geometry import Cells, View, comparable
from filters.perceptual.keys import apart, unlike
from filters.perceptual.prints import Prints

_THREADS = 4  # at most; each sorts a share of the keys, so more take more memory
_PIECE = 1 << 14  # pairs of prints at once
_STAY = 4  # entries of one key and clip that are kept
_NEIGHBOURS = 10  # entries of one key that each entry is paired with
_MAX_APART, _MAX_UNLIKE = 16, 8  # of the amplitudes of two prints, and of their signs
_MAX_APART_SHORT, _MAX_UNLIKE_SHORT = 28, 11  # of short clips, which have few prints to be found by
_MIN_ALIKE = 0.93  # correlation of the two prints
_BESIDE = (-4, -2, 2, 4)  # prints away, where what changes is looked at
_MIN_CHANGE = 1.2  # grey levels; what changes less is not compared
_MIN_CHANGE_ALIKE = 0.8  # correlation of what changes


@dataclass(frozen=True)
class Candidates:
    """Pairs of clips, sorted, each once per view; all [pairs]."""

    whole: NDArray[np.int64]  # clip; with view 0 the one that comes first
    copy: NDArray[np.int64]
    view: NDArray[np.int64]  # which of VIEWS of the whole the copy seems to show


def find_candidates(prints: Prints, group: NDArray[np.int8], cropped: bool) -> Candidates:
    """Pairs worth comparing; clips of one group [clips] are not compared with each other, but those of group 0 are."""
    found = [np.zeros((0, 3), np.int64)]
    if prints.count:
        with ThreadPoolExecutor(min(_THREADS, os.cpu_count() or 1)) as pool:  # NumPy works outside Python's lock
            entries = Entries(keyed_prints(prints, VIEWS if cropped else VIEWS[:1], pool), pool)
            found += pool.map(partial(_of_share, prints, group, entries), entries.shares())
    pairs = _unique(np.concatenate(found))
    return Candidates(pairs[:, 0], pairs[:, 1], pairs[:, 2])


def _of_share(prints: Prints, group: NDArray[np.int8], entries: Entries, share: Share) -> NDArray[np.int64]:
    """(whole, copy, view) of the candidates whose prints share one of some keys."""
    hits = (_neighbours(group, entries, numbers) for numbers in entries.windows(share))
    alike = (_alike(prints, entries.keyed, some) for some in hits)
    return _unique(np.concatenate([np.zeros((0, 3), np.int64), *alike]))


@dataclass(frozen=True)
class _Hits:
    """Pairs of entries that have a key in common and few unlike signs, of two clips; all [hits]."""

    whole: NDArray[np.int64]  # the place of an entry of a whole picture
    view: NDArray[np.int64]  # and of one of any view
    in_mirror: NDArray[np.bool_]  # whether one of them is seen in the mirror


def _neighbours(group: NDArray[np.int8], entries: Entries, numbers: NDArray[np.uint64]) -> _Hits:
    """Pairs of neighbours among sorted entries, each once, though more than one of their keys may be the same."""
    keyed, numbers = entries.keyed, numbers[entries.near(numbers, _MAX_APART_SHORT)]
    place = entries.place(numbers)
    clip = keyed.clip_of[keyed.print_of(place)]
    key = entries.key(numbers)
    again = np.zeros(len(key), bool)  # a picture that stays has one key for long
    again[_STAY:] = (key[_STAY:] == key[:-_STAY]) & (clip[_STAY:] == clip[:-_STAY])
    key, place, clip, numbers = key[~again], place[~again], clip[~again], numbers[~again]
    mirrored, is_whole = entries.mirrored(numbers), place < keyed.whole
    made, is_short = keyed.signs[place], keyed.lengths[clip] <= SHORT
    first, found = np.arange(len(key)), [np.zeros(0, np.int64)]
    for step in range(1, _NEIGHBOURS + 1):
        first = first[: np.searchsorted(first, len(key) - step)]
        first = first[key[first] == key[first + step]]
        i, j = first, first + step
        # Parts are looked for in whole pictures only.
        near = (clip[i] != clip[j]) & (is_whole[i] | is_whole[j])
        i, j = i[near], j[near]
        near = apart(made, i, j) <= np.where(is_short[i] | is_short[j], _MAX_APART_SHORT, _MAX_APART)
        i, j = i[near], j[near]
        one, other = group[clip[i]], group[clip[j]]
        near = (one == 0) | (one != other)
        i, j = i[near], j[near]
        in_mirror = mirrored[i] != mirrored[j]
        most_unlike = np.where(is_short[i] | is_short[j], _MAX_UNLIKE_SHORT, _MAX_UNLIKE)
        near = unlike(made, i, j, in_mirror) <= most_unlike
        a, b, in_mirror = place[i[near]], place[j[near]], in_mirror[near]
        found.append((np.minimum(a, b) << 32 | np.maximum(a, b)) << 1 | in_mirror)
    both = np.unique(np.concatenate(found))
    return _Hits(both >> 33, both >> 1 & 0xFFFFFFFF, (both & 1).astype(bool))


def _alike(prints: Prints, keyed: Keyed, hits: _Hits) -> NDArray[np.int64]:
    """(whole, copy, view) of those hits whose two prints look alike."""
    of_view = keyed.view_of(hits.view)
    found = [np.zeros((0, 3), np.int64)]
    for v, mirrored in product(keyed.views, (False, True)):
        of_kind = np.flatnonzero((of_view == v) & (hits.in_mirror == mirrored))
        for at in range(0, len(of_kind), _PIECE):
            some = of_kind[at : at + _PIECE]
            copy, whole = (keyed.print_of(entries[some]) for entries in (hits.whole, hits.view))
            good = _show_the_same(prints, keyed.clip_of, whole, copy, replace(VIEWS[v], mirrored=mirrored))
            a, b = keyed.clip_of[whole[good]].astype(np.int64), keyed.clip_of[copy[good]].astype(np.int64)
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
    now = prints.take(whole), prints.take(copy)
    good = _correlation(*comparable(*now, view)) >= _MIN_ALIKE
    alike = np.flatnonzero(good)
    x, y = comparable(now[0][alike], now[1][alike], view)
    xx, yy, xy = (np.zeros(len(alike), np.float32) for _ in range(3))
    for step in _BESIDE:
        beside = comparable(*_beside(prints, clip_of, whole[alike], copy[alike], step), view)
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
