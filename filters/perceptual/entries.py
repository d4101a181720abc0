"""The keys of all prints, sorted: entries that have a key in common become neighbours.

A print has many keys. They are made and sorted a share of the key space at a time, so that never all are held at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
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
VIEWS = (
    View(),
    View(0.15, 0.85, 0.0, 1.0),
    View(0.0, 1.0, 0.1, 0.9),
    View(0.1, 0.9, 0.1, 0.9),
    View(0.05, 0.95, 0.05, 0.95),
)

_PIECE = 1 << 17  # prints at once
_ENTRIES = 1 << 22  # keys sorted at once
_LOOKED_AT = 1 << 22  # entries at once, for whether they are in a share
_SHORT, _VERY_SHORT = 10, 5  # prints of clips that have few to be found by
_EVERY = 2  # prints, of which one is looked for in crops
_BURST, _PERIOD = 6, 8  # the first prints of so many that are looked for in crops of clips that are not short
_NO_KEY = 255


@dataclass(frozen=True)
class Keyed:
    """The prints that are keyed, one view of all clips after the other; an entry is known by its place here."""

    signs: Signs
    print_of: NDArray[np.uint32]
    clip_of: NDArray[np.uint32]  # of every print of the clips
    flips: NDArray[np.uint8]  # in how many ways the weakest signs are flipped, see `now_key`
    edges: tuple[int, ...]  # of the views

    @property
    def views(self) -> range:
        """All views that are keyed."""
        return range(len(self.edges) - 1)

    def is_short(self, places: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether entries are of short clips."""
        long = np.array([_flips(view, np.array(_SHORT + 1)) for view in (0, 1)])
        return np.asarray(self.flips[places] > long[(places >= self.edges[1]).astype(np.int8)])

    def pieces(self, view: int, ahead: int = 0) -> Iterator[slice]:
        """The places of a view's entries but the last `ahead`, some at a time."""
        stop = self.edges[view + 1] - ahead
        for at in range(self.edges[view], stop, _PIECE):
            yield slice(at, min(at + _PIECE, stop))


def _flips(view: int, lengths: NDArray[np.int64]) -> NDArray[np.uint8]:
    """For prints of clips of some lengths: the less there is to be found by, the more."""
    few, some, many = (2, 4, 4) if view else (4, 16, 2**WEAK)
    return np.select([lengths > _SHORT, lengths > _VERY_SHORT], [np.uint8(few), np.uint8(some)], np.uint8(many))


def keyed_prints(prints: Prints, views: Sequence[View], pool: Executor) -> Keyed:
    """The entries of all prints, for some of VIEWS."""
    clip_of = prints.clip_of()
    print_of = [_looked_for(prints, clip_of, v) for v in range(len(views))]
    edges = tuple(int(edge) for edge in np.cumsum([0, *map(len, print_of)]))
    made, flips = np.empty(edges[-1], SIGNS_TYPE), np.empty(edges[-1], np.uint8)
    keyed = Keyed(made, np.concatenate(print_of), clip_of, flips, edges)
    lengths = np.diff(prints.starts)

    def fill(view: int, piece: slice) -> None:
        of = keyed.print_of[piece]
        keyed.signs[piece] = signs(prints.take(of.astype(np.int64)), views[view])
        keyed.flips[piece] = _flips(view, lengths[clip_of[of]])

    for _ in pool.map(fill, *zip(*((v, piece) for v in keyed.views for piece in keyed.pieces(v)), strict=True)):
        pass
    return keyed


def _looked_for(prints: Prints, clip_of: NDArray[np.uint32], view: int) -> NDArray[np.uint32]:
    """The prints that are keyed of a view: all of the whole picture, of its parts a sample."""
    if not view:
        return np.arange(prints.count, dtype=np.uint32)
    found, is_short = [np.zeros(0, np.uint32)], np.diff(prints.starts) <= _SHORT
    for at in range(0, prints.count, _PIECE):
        some = np.arange(at, min(at + _PIECE, prints.count))
        clip = clip_of[some]
        in_clip = some - prints.starts[clip]
        taken = (in_clip % _EVERY == 0) & (is_short[clip] | (in_clip % _PERIOD < _BURST))
        found.append(some[taken].astype(np.uint32))
    return np.concatenate(found)


@dataclass(frozen=True)
class Share:
    """The keys whose part of the later print is in `then`, and whose own part ends in `ending`."""

    then: range
    endings: int  # how many there are, a power of two
    ending: int


class Entries:
    """All entries as sortable numbers, to be had sorted a share of the keys at a time.

    From the top a number holds the key, the first of the amplitudes, the place of the print in `keyed`, and whether
    the picture is seen in the mirror.
    """

    def __init__(self, keyed: Keyed, pool: Executor) -> None:
        self.keyed = keyed
        self._id_bits = int(keyed.edges[-1]).bit_length() + 1
        self._fine_bits = min(FINE_BITS, 64 - KEY_BITS - self._id_bits)
        kinds = product((False, True), (False, True, None))
        self._parts = list(pool.map(partial(_part, keyed), *zip(*kinds, strict=True)))

    def shares(self) -> Iterator[Share]:
        """Shares of all keys, each with at most about as many entries as are sorted at once."""
        count = np.sum([part.counts for part in self._parts], axis=0)[:_NO_KEY]
        low = 0
        while low < _NO_KEY:
            high = max(low + 1, int(np.searchsorted(np.cumsum(count[low:]), _ENTRIES, side="right")) + low)
            endings = 1 << max(0, int(np.ceil(np.log2(max(1.0, count[low:high].sum() / _ENTRIES)))))
            for ending in range(endings):
                yield Share(range(low, high), endings, ending)
            low = high

    def sorted(self, share: Share) -> NDArray[np.uint64]:
        """The entries of a share, sorted."""
        entries = np.concatenate([numbers for part in self._parts for numbers in self._numbers(part, share)])
        entries.sort()
        return entries

    def key(self, numbers: NDArray[np.uint64]) -> NDArray[np.uint64]:
        """The keys of some entries."""
        return numbers >> np.uint64(self._fine_bits + self._id_bits)

    def place(self, numbers: NDArray[np.uint64]) -> NDArray[np.int64]:
        """Their places among what is keyed."""
        return (numbers & np.uint64(2**self._id_bits - 1)).astype(np.int64) >> 1

    def mirrored(self, numbers: NDArray[np.uint64]) -> NDArray[np.bool_]:
        """Whether their pictures are seen in the mirror."""
        return (numbers & np.uint64(1)).astype(bool)

    def _numbers(self, part: _Part, share: Share) -> Iterator[NDArray[np.uint64]]:
        place = part.places(share.then)
        made, ways, then = self.keyed.signs[place], self.keyed.flips[place], part.keys[place]
        fine = made["amplitudes"][:, 0].astype(np.uint64) >> np.uint64(FINE_BITS - self._fine_bits)
        identity = place.astype(np.uint64) << np.uint64(1) | np.uint64(part.mirrored)
        low = fine << np.uint64(self._id_bits) | identity
        for flips in range(2**WEAK):
            left = ways > flips
            if not left.all():
                made, ways, then, low = made[left], ways[left], then[left], low[left]
            own = now_key(made, part.mirrored, flips)
            here = own & np.uint64(share.endings - 1) == share.ending
            key = own[here] << np.uint64(THEN_BITS) | then[here]
            yield key << np.uint64(self._fine_bits + self._id_bits) | low[here]


@dataclass(frozen=True)
class _Part:
    """The second part of the keys of all entries, of one kind; _NO_KEY where an entry has no key of the kind."""

    keys: NDArray[np.uint8]
    mirrored: bool
    counts: NDArray[np.float64]  # entries by key

    def places(self, wanted: range) -> NDArray[np.int64]:
        """The entries whose key of this kind is wanted."""
        found = [np.zeros(0, np.int64)]
        for at in range(0, len(self.keys), _LOOKED_AT):
            keys = self.keys[at : at + _LOOKED_AT]
            found.append(np.flatnonzero((keys >= wanted.start) & (keys < wanted.stop)) + at)
        return np.concatenate(found)


def _part(keyed: Keyed, mirrored: bool, is_flipped: bool | None) -> _Part:
    """Keys that come from the later print of each; if `is_flipped` is None those of short clips, from itself."""
    keys = np.full(keyed.edges[-1], _NO_KEY, np.uint8)
    counts = np.zeros(_NO_KEY + 1)
    for v in keyed.views:
        step = GAP // _EVERY if v else GAP
        for now in keyed.pieces(v, 0 if is_flipped is None else step):
            made, flips = keyed.signs[now], keyed.flips[now]
            if is_flipped is None:
                usable = keyed.is_short(np.arange(now.start, now.stop))
                key = further_key(made, mirrored)
            else:
                then = slice(now.start + step, now.stop + step)
                of, of_then = keyed.print_of[now], keyed.print_of[then]
                usable = (keyed.clip_of[of] == keyed.clip_of[of_then]) & (of_then - of == GAP)
                key = then_key(keyed.signs[then], mirrored, is_flipped)
            usable &= np.asarray(made["ways"] & (2 if mirrored else 1), bool)
            keys[now] = np.where(usable, key, _NO_KEY)
            counts += np.bincount(keys[now], flips, _NO_KEY + 1)
    return _Part(keys, mirrored, counts)
