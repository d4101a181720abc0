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
    MOST_NOW_BITS,
    NOW_BITS,
    SIGNS_TYPE,
    THEN_BITS,
    WEAK,
    Signs,
    further_key,
    has_key,
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

_PIECE = 1 << 15  # prints at once
_ENTRIES = 1 << 23  # keys sorted at once
_WINDOW = 1 << 19  # sorted keys gone through at once
_LOOKED_AT = 1 << 22  # entries at once, for whether they are in a share
_KEYS = 6  # of a print, about
_ROOM = 8  # keys that there could be for each that there is, so that few are shared by chance
SHORT, _VERY_SHORT = 10, 5  # prints of clips that have few to be found by
_EVERY = 2  # prints, of which one is looked for in crops
_BURST, _PERIOD = 6, 8  # the first prints of so many that are looked for in crops of clips that are not short
_NO_KEY = 255


@dataclass(frozen=True)
class Keyed:
    """The prints that are keyed, one view of all clips after the other; an entry is known by its place here.

    Of the whole picture all prints are keyed, of every part the same sample.
    """

    signs: Signs  # [places]
    sample: NDArray[np.uint32]
    clip_of: NDArray[np.uint32]  # of every print of the clips
    lengths: NDArray[np.int32]  # prints of every clip
    views: range
    now_bits: int  # signs of the print itself in a key

    @property
    def whole(self) -> int:
        """How many entries are of whole pictures; they come first."""
        return len(self.clip_of)

    def print_of(self, places: NDArray[np.int64]) -> NDArray[np.int64]:
        """The prints that entries are of."""
        if not len(self.sample):
            return places
        return np.where(places < self.whole, places, self.sample[(places - self.whole) % len(self.sample)])

    def view_of(self, places: NDArray[np.int64]) -> NDArray[np.int64]:
        """The views that entries are of."""
        return np.where(places < self.whole, 0, 1 + (places - self.whole) // max(1, len(self.sample)))

    def length(self, places: NDArray[np.int64]) -> NDArray[np.int32]:
        """How many prints the clips of entries have."""
        return self.lengths[self.clip_of[self.print_of(places)]]

    def flips(self, places: NDArray[np.int64]) -> NDArray[np.uint8]:
        """In how many ways the weakest signs are flipped, see `now_key`: the less there is to be found by, the more."""
        in_part, length = places >= self.whole, self.length(places)
        few, some, many = (np.where(in_part, *ways).astype(np.uint8) for ways in ((2, 4), (4, 16), (4, 2**WEAK)))
        return np.select([length > SHORT, length > _VERY_SHORT], [few, some], many)

    def pieces(self, view: int, ahead: int = 0) -> Iterator[NDArray[np.int64]]:
        """The places of a view's entries but the last `ahead`, some at a time."""
        edges = [0, *(self.whole + v * len(self.sample) for v in self.views)]
        stop = edges[view + 1] - ahead
        for at in range(edges[view], stop, _PIECE):
            yield np.arange(at, min(at + _PIECE, stop))


def keyed_prints(prints: Prints, views: Sequence[View], pool: Executor) -> Keyed:
    """The entries of all prints, for some of VIEWS."""
    clip_of = prints.clip_of()
    lengths = np.diff(prints.starts).astype(np.int32)
    sample = _looked_for(prints.starts, lengths, clip_of) if len(views) > 1 else np.zeros(0, np.uint32)
    made = np.empty(len(clip_of) + (len(views) - 1) * len(sample), SIGNS_TYPE)
    keyed = Keyed(made, sample, clip_of, lengths, range(len(views)), _now_bits(len(made)))

    def fill(view: int, places: NDArray[np.int64]) -> None:
        some = prints.take(keyed.print_of(places))
        keyed.signs[places[0] : places[-1] + 1] = signs(some, views[view], keyed.now_bits)

    for _ in pool.map(fill, *zip(*((v, places) for v in keyed.views for places in keyed.pieces(v)), strict=True)):
        pass
    return keyed


def _now_bits(entries: int) -> int:
    """Were keys as short whatever there is, those shared by chance would grow with the square of the entries."""
    return min(max((_ROOM * _KEYS * entries).bit_length() - THEN_BITS, NOW_BITS), MOST_NOW_BITS)


def _looked_for(
    starts: NDArray[np.int64], lengths: NDArray[np.int32], clip_of: NDArray[np.uint32]
) -> NDArray[np.uint32]:
    """The prints that are keyed of parts of the picture."""
    found = [np.zeros(0, np.uint32)]
    for at in range(0, len(clip_of), _PIECE):
        some = np.arange(at, min(at + _PIECE, len(clip_of)))
        clip = clip_of[some]
        in_clip = some - starts[clip]
        taken = (in_clip % _EVERY == 0) & ((lengths[clip] <= SHORT) | (in_clip % _PERIOD < _BURST))
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
        self._id_bits = len(keyed.signs).bit_length() + 1
        self._fine_bits = min(FINE_BITS, 64 - keyed.now_bits - THEN_BITS - self._id_bits)
        kinds = product((False, True), (False, True))
        self._parts = [
            *pool.map(partial(_part_of_later, keyed), *zip(*kinds, strict=True)),
            *pool.map(partial(_part_of_short, keyed), (False, True)),
        ]

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

    def windows(self, share: Share) -> Iterator[NDArray[np.uint64]]:
        """The entries of a share, sorted, some at a time; those of one key are in one window."""
        some = (numbers for part in self._parts for numbers in self._numbers(part, share))
        entries = np.concatenate([np.zeros(0, np.uint64), *some])
        entries.sort()
        below_key = np.uint64(2 ** (self._fine_bits + self._id_bits) - 1)
        at = 0
        while at < len(entries):
            last = entries[min(at + _WINDOW, len(entries)) - 1]
            stop = int(np.searchsorted(entries, last | below_key, side="right"))
            yield entries[at:stop]
            at = stop

    def near(self, numbers: NDArray[np.uint64], apart: int) -> NDArray[np.bool_]:
        """Which of some sorted entries may have one of the same key beside them whose amplitudes are near theirs.

        At most `apart`, see `keys.apart`; a few others are told as well.
        """
        top = numbers >> np.uint64(self._id_bits)
        close = np.diff(top) <= (apart >> (FINE_BITS - self._fine_bits)) + 1
        near = np.zeros(len(numbers), bool)
        near[1:] = close
        near[:-1] |= close
        return near

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
        for place, then in part.entries(share.then):
            made, ways = self.keyed.signs[place], self.keyed.flips(place)
            fine = made["amplitudes"][:, 0].astype(np.uint64) >> np.uint64(FINE_BITS - self._fine_bits)
            identity = place.astype(np.uint64) << np.uint64(1) | np.uint64(part.mirrored)
            low = fine << np.uint64(self._id_bits) | identity
            for flips in range(int(ways.max())):
                left = ways > flips
                if not left.all():
                    made, ways, then, low = made[left], ways[left], then[left], low[left]
                own = now_key(made, part.mirrored, flips, self.keyed.now_bits)
                here = own & np.uint64(share.endings - 1) == share.ending
                key = own[here] << np.uint64(THEN_BITS) | then[here]
                yield key << np.uint64(self._fine_bits + self._id_bits) | low[here]


@dataclass(frozen=True)
class _Part:
    """The second part of the keys of some entries, of one kind; _NO_KEY where an entry has no key of the kind."""

    keys: NDArray[np.uint8]
    of: NDArray[np.uint32] | None  # the entries' places; None: of all there are
    mirrored: bool
    counts: NDArray[np.float64]  # entries by key, each as often as its signs are flipped

    def entries(self, wanted: range) -> Iterator[tuple[NDArray[np.int64], NDArray[np.uint8]]]:
        """The places of those entries whose key is wanted, and these keys; some at a time."""
        for at in range(0, len(self.keys), _LOOKED_AT):
            keys = self.keys[at : at + _LOOKED_AT]
            here = np.flatnonzero((keys >= wanted.start) & (keys < wanted.stop))
            if len(here):
                place = here + at if self.of is None else self.of[here + at].astype(np.int64)
                yield place, keys[here]


def _part_of_later(keyed: Keyed, mirrored: bool, is_flipped: bool) -> _Part:
    """Keys that come from a later print of the same clip."""
    keys = np.full(len(keyed.signs), _NO_KEY, np.uint8)
    counts = np.zeros(_NO_KEY + 1)
    for v in keyed.views:
        step = GAP // _EVERY if v else GAP
        for now in keyed.pieces(v, step):
            of, of_then = keyed.print_of(now), keyed.print_of(now + step)
            usable = (keyed.clip_of[of] == keyed.clip_of[of_then]) & (of_then - of == GAP)
            usable &= has_key(keyed.signs[now], mirrored)
            keys[now] = np.where(usable, then_key(keyed.signs[now + step], mirrored, is_flipped), _NO_KEY)
            counts += np.bincount(keys[now], keyed.flips(now), _NO_KEY + 1)
    return _Part(keys, None, mirrored, counts)


def _part_of_short(keyed: Keyed, mirrored: bool) -> _Part:
    """Keys of short clips that come from the print itself."""
    of, keys, counts = [np.zeros(0, np.uint32)], [np.zeros(0, np.uint8)], np.zeros(_NO_KEY + 1)
    for v in keyed.views:
        for now in keyed.pieces(v):
            places = now[(keyed.length(now) <= SHORT) & has_key(keyed.signs[now], mirrored)]
            of.append(places.astype(np.uint32))
            keys.append(further_key(keyed.signs[places], mirrored, keyed.now_bits).astype(np.uint8))
            counts += np.bincount(keys[-1], keyed.flips(places), _NO_KEY + 1)
    return _Part(np.concatenate(keys), np.concatenate(of), mirrored, counts)
