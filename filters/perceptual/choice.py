"""Which clips stay when some show the same: released ones, then the better ones, whatever order they came in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from filters.perceptual.matching import Match

Pair = tuple[int, int]


def ranks(rows: pa.Table, released: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The place of every clip among all, 0 the best: released, pixels, length, bits a second, then the key.

    Length counts in factors of two at first: a part does not outdo the whole by its bits a second, nor a copy
    that is a frame longer the original.
    """
    clips = np.arange(rows.num_rows)
    if not len(clips):
        return clips
    pixels = _numbers(rows, "width") * _numbers(rows, "height")
    length_s = _numbers(rows, "end_s") - _numbers(rows, "start_s")
    rate = _numbers(rows, "size_bytes") / np.maximum(1e-3, _numbers(rows, "duration_s"))
    order = np.lexsort(
        (places(rows["key"]), -length_s, -rate, -np.rint(np.log2(np.maximum(0.1, length_s))), -pixels, ~released)
    )
    place = np.empty_like(clips)
    place[order] = clips
    return place


def _numbers(rows: pa.Table, name: str) -> NDArray[np.float64]:
    return np.asarray(np.nan_to_num(rows[name].to_numpy().astype(np.float64)))


def places(keys: pa.ChunkedArray) -> NDArray[np.int64]:
    """The place of every key in the order of keys."""
    order = pc.sort_indices(keys).to_numpy()
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    return place


def losers(matches: Mapping[Pair, Match], rank: NDArray[np.int64], fixed: NDArray[np.bool_]) -> dict[int, Pair]:
    """Clips to drop, each with the clip that stays for it and the pair that says so.

    From the best clip down, one is dropped when it matches a better one that stays; none is when it is
    `fixed`. So it never depends on a clip that is gone itself.
    """
    partners: dict[int, dict[int, Pair]] = {}
    for a, b in matches:
        partners.setdefault(a, {})[b] = (a, b)
        partners.setdefault(b, {})[a] = (a, b)
    lost: dict[int, Pair] = {}
    for clip in sorted(partners, key=lambda clip: int(rank[clip])):
        better = [other for other in partners[clip] if rank[other] < rank[clip] and other not in lost]
        if better and not fixed[clip]:
            lost[clip] = partners[clip][min(better, key=lambda other: int(rank[other]))]
    return lost


def winner_of(clip: int, pair: Sequence[int]) -> int:
    """The other clip of a pair."""
    return pair[1] if pair[0] == clip else pair[0]
