"""The keys of all prints, sorted: entries that have a key in common become neighbours.

A print has many keys. They are made and sorted a share of the key space at a time, so that never all are held at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from filters.perceptual.geometry import View
from filters.perceptual.keys import (
    FINE_BITS,
    GAP,
    KEY_BITS,
    SIGNS_TYPE,
    THEN_BITS,
    WEAK,
    Signs,
    further_key,
    now_key,
    signs,
    then_key,
)
from filters.perceptual.prints import Prints

# Views that prints are keyed by: whole, and parts that crops are found by; keys survive a few percent more or less.
VIEWS = (View(), View(0.15, 0.85, 0.0, 1.0), View(0.1, 0.9, 0.1, 0.9))

_PIECE = 1 << 17  # prints at once
_ENTRIES = 1 << 24  # keys sorted at once
_SHORT = 10  # prints of a short clip
_NO_KEY = 255


@dataclass(frozen=True)
class Keyed:
    """The prints that are keyed, one view of all clips after the other; an entry is known by its place here."""

    signs: Signs
    print_of: NDArray[np.uint32]
    is_short: NDArray[np.bool_]  # of short clips, which have few prints to be found by
    edges: tuple[int, ...]  # of the views

    def of_view(self, view: int) -> range:
        """The places of a view's entries."""
        return range(self.edges[view], self.edges[view + 1])

    @property
    def views(self) -> range:
        """All views that are keyed."""
        return range(len(self.edges) - 1)


def _every(view: int) -> int:
    """Only every second print is looked for in crops."""
    return 2 if view else 1


def _flips(view: int) -> range:
    """How the signs of a print are flipped, see `now_key`: in any way of the two weakest, in crops of the weakest."""
    return range(2 if view else 4)


def _more_flips(view: int) -> range:
    """Further ways for short clips: all of the whole picture, in crops those of the two weakest."""
    return range(2, 4) if view else range(4, 2**WEAK)


def keyed_prints(prints: Prints, clip_of: NDArray[np.uint32], views: Sequence[View]) -> Keyed:
    """The entries of all prints, for some of VIEWS."""
    lengths = np.diff(prints.starts)
    counts = [int((-(-lengths // _every(v))).sum()) for v in range(len(views))]
    edges = tuple(int(edge) for edge in np.cumsum([0, *counts]))
    keyed = Keyed(np.empty(edges[-1], SIGNS_TYPE), np.empty(edges[-1], np.uint32), np.empty(edges[-1], np.bool_), edges)
    for v, view in enumerate(views):
        at = edges[v]
        for first, piece in prints.pieces(_PIECE):
            in_clip = np.arange(first, first + len(piece)) - prints.starts[clip_of[first : first + len(piece)]]
            taken = np.flatnonzero(in_clip % _every(v) == 0)
            keyed.signs[at : at + len(taken)] = signs(piece[taken], view)
            keyed.print_of[at : at + len(taken)] = first + taken
            keyed.is_short[at : at + len(taken)] = lengths[clip_of[first + taken]] <= _SHORT
            at += len(taken)
    return keyed


def sorted_entries(keyed: Keyed, clip_of: NDArray[np.uint32]) -> Iterator[tuple[NDArray[np.uint64], int, int]]:
    """All entries as sorted numbers, a share of the keys at a time, each with its bits for `fine` and for the entry.

    What a number is made of is told at `_numbers`.
    """
    parts = [_later_part(keyed, clip_of, *kind) for kind in product((False, True), (False, True))]
    parts += [_further_part(keyed, mirrored) for mirrored in (False, True)]
    id_bits = int(keyed.edges[-1]).bit_length() + 1
    widths = (min(FINE_BITS, 64 - KEY_BITS - id_bits), id_bits)
    for share in _shares(keyed, parts):
        entries = np.concatenate(
            [numbers for part in parts for v in keyed.views for numbers in _packed(keyed, part, v, share, widths)]
        )
        entries.sort()
        yield entries, *widths


@dataclass(frozen=True)
class _Part:
    """The second part of the keys of all entries, of one kind; _NO_KEY where an entry has no key of the kind."""

    keys: NDArray[np.uint8]
    mirrored: bool


def _later_part(keyed: Keyed, clip_of: NDArray[np.uint32], mirrored: bool, is_flipped: bool) -> _Part:
    """Keys that come from the later print of each."""
    keys = np.full(keyed.edges[-1], _NO_KEY, np.uint8)
    for v in keyed.views:
        step = GAP // _every(v)
        places = keyed.of_view(v)
        for at in range(places.start, places.stop - step, _PIECE):
            now = slice(at, min(at + _PIECE, places.stop - step))
            then = slice(now.start + step, now.stop + step)
            usable = _has_way(keyed.signs[now], mirrored)
            usable &= clip_of[keyed.print_of[now]] == clip_of[keyed.print_of[then]]
            keys[now] = np.where(usable, then_key(keyed.signs[then], mirrored, is_flipped), _NO_KEY)
    return _Part(keys, mirrored)


def _further_part(keyed: Keyed, mirrored: bool) -> _Part:
    """Keys that come from the print itself, of short clips."""
    keys = np.full(keyed.edges[-1], _NO_KEY, np.uint8)
    short = np.flatnonzero(keyed.is_short)
    now = keyed.signs[short]
    keys[short] = np.where(_has_way(now, mirrored), further_key(now, mirrored), _NO_KEY)
    return _Part(keys, mirrored)


def _has_way(made: Signs, mirrored: bool) -> NDArray[np.bool_]:
    return np.asarray(made["ways"] & (2 if mirrored else 1), bool)


def _shares(keyed: Keyed, parts: Sequence[_Part]) -> Iterator[tuple[int, int]]:
    """Ranges of the second parts of keys with about as many entries as are sorted at once."""
    count = np.zeros(_NO_KEY + 1, np.int64)
    for part in parts:
        for v in keyed.views:
            places = keyed.of_view(v)
            for at in range(places.start, places.stop, _PIECE):
                piece = slice(at, min(at + _PIECE, places.stop))
                keys, short = part.keys[piece], keyed.is_short[piece]
                count += np.bincount(keys, minlength=_NO_KEY + 1) * len(_flips(v))
                count += np.bincount(keys[short], minlength=_NO_KEY + 1) * len(_more_flips(v))
    low, entries = 0, 0
    for value in range(_NO_KEY):
        if entries and entries + count[value] > _ENTRIES:
            yield low, value
            low, entries = value, 0
        entries += count[value]
    yield low, _NO_KEY


def _packed(
    keyed: Keyed, part: _Part, view: int, share: tuple[int, int], widths: tuple[int, int]
) -> Iterator[NDArray[np.uint64]]:
    """Entries of one view as sortable numbers, those whose second part is in the share."""
    keys = part.keys[keyed.edges[view] : keyed.edges[view + 1]]
    place = np.flatnonzero((keys >= share[0]) & (keys < share[1])) + keyed.edges[view]
    for flips in _flips(view):
        yield _numbers(keyed, part, place, flips, widths)
    short = place[keyed.is_short[place]]
    for flips in _more_flips(view):
        yield _numbers(keyed, part, short, flips, widths)


def _numbers(
    keyed: Keyed, part: _Part, place: NDArray[np.int64], flips: int, widths: tuple[int, int]
) -> NDArray[np.uint64]:
    """From the top: the key, `fine`, the place, whether the picture is seen in the mirror."""
    fine_bits, id_bits = widths
    taken = keyed.signs[place]
    number = now_key(taken, part.mirrored, flips) << np.uint64(THEN_BITS) | part.keys[place]
    fine = taken["fine"].astype(np.uint64) >> np.uint64(FINE_BITS - fine_bits)
    identity = place.astype(np.uint64) << np.uint64(1) | np.uint64(part.mirrored)
    return (number << np.uint64(fine_bits) | fine) << np.uint64(id_bits) | identity
