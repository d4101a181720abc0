"""Stage `semantic`: of clips that show the same thing to an embedder, one is kept.

SemDeDup (Abbas et al. 2023, "SemDeDup: Data-efficient learning at web-scale through semantic
deduplication"): k-means over embeddings, then every cosine within a cluster. Two things differ. Clusters
overlap, so that borders hide no pair. And a clip is only dropped for one that is itself kept, so that a
chain of small steps does not empty out a whole neighbourhood.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from math import sqrt
from typing import ClassVar, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from infra.stage import Drop, Row, TableStage
from shards.clusters import CLUSTER_ROWS, Rows, overlapping_clusters
from shards.vectors import to_unit, unpack_chunks, with_vectors

BLOCK: Final = 2048  # rows of a cluster compared at once
PAIRS: Final = 16_384  # pairs summed in float64 at once
DOUBT: Final = 1e-5  # float32 sums may be this wrong, and how wrong depends on what is summed beside them

Vectors = NDArray[np.float16]

_FACTS: Final = pa.schema(
    [
        ("key", pa.string()),
        ("vector_model", pa.string()),
        ("width", pa.int64()),
        ("height", pa.int64()),
        ("clip_duration_s", pa.float64()),
    ]
)


@dataclass(frozen=True)
class SemanticDuplicates(TableStage):
    """Drops a clip whose cosine with a kept one is at least `min_cosine`, within one video or across several.

    Of two the released one is kept, then the one with more pixels, the longer one, the one whose key sorts
    first. Clips of earlier releases count even where they are no longer among the rows, as long as the same
    prober embedded them: vectors of two models cannot be compared. Without a prober there are no vectors:
    everything passes, and `semantic_checked` is false.
    """

    min_cosine: float = 0.99  # re-encoded and slightly trimmed clips stay above it, even to the tiny model
    seed: int = 42

    name: ClassVar[str] = "semantic"
    version: ClassVar[int] = 1
    needs: ClassVar[tuple[str, ...]] = ("clip_vector", "vector_model", "width", "height", "clip_duration_s")
    remembers: ClassVar[tuple[str, ...]] = needs
    schema: ClassVar[pa.Schema] = pa.schema([("semantic_checked", pa.bool_())])

    def compute(self, rows: pa.Table, released: pa.Table) -> Iterable[Row | Drop]:
        """The kept clips, and the dropped ones with the clip that stands for each."""
        lost = self._lost(rows, released)
        for key, winner, cosine in zip(*(lost[name].to_pylist() for name in lost.column_names), strict=True):
            detail = {"duplicate_of": winner, "cosine": round(cosine, 6), "min_cosine": self.min_cosine}
            yield Drop(key, "semantic_duplicate", detail)
        is_kept = pc.invert(pc.is_in(rows["key"], value_set=lost["key"]))
        keys, checked = (c.filter(is_kept).to_pylist() for c in (rows["key"], pc.is_valid(rows["clip_vector"])))
        for key, is_checked in zip(keys, checked, strict=True):
            yield {"key": key, "parent": key, "semantic_checked": is_checked}

    def _lost(self, rows: pa.Table, released: pa.Table) -> pa.Table:
        """The clips to drop: key, key of the clip each is dropped for, and their cosine."""
        clips = rank_clips(rows, released)
        lost_to = duplicates(clips.vectors, clips.released, self.min_cosine, self.seed)
        lost = np.flatnonzero(lost_to >= 0)
        winners = lost_to[lost]
        cosines = pair_cosines(clips.vectors, lost, winners)
        return pa.table({"key": clips.keys.take(lost), "winner": clips.keys.take(winners), "cosine": cosines})


@dataclass(frozen=True)
class RankedClips:
    """Clips that have vectors, best first: keys [n] and vectors [n, dim]; the first `released` are released."""

    keys: pa.ChunkedArray
    vectors: Vectors
    released: int


def rank_clips(rows: pa.Table, released: pa.Table) -> RankedClips:
    """The clips of `rows`, and the released ones not among them that the same model embedded."""
    current = with_vectors(rows, ["clip_vector"])
    known = pc.is_in(released["key"], value_set=rows["key"])
    comparable = pc.is_in(released["vector_model"], value_set=current["vector_model"].unique())
    past = released.filter(pc.and_not(comparable, known)).select(current.column_names)
    facts = pa.concat_tables([table.drop_columns(["clip_vector"]).cast(_FACTS) for table in (current, past)])
    is_released = pc.is_in(facts["key"], value_set=released["key"])
    order = pc.sort_indices(
        pa.table(
            {
                "new": pc.invert(is_released).cast(pa.int8()),
                "pixels": pc.multiply(pc.multiply(facts["width"], facts["height"]), -1),
                "seconds": pc.multiply(facts["clip_duration_s"], -1.0),
                "key": facts["key"],
            }
        ),
        sort_keys=[(name, "ascending") for name in ("new", "pixels", "seconds", "key")],
    )
    vectors = _ordered([current["clip_vector"], past["clip_vector"]], order.to_numpy())
    return RankedClips(facts["key"].take(order), vectors, pc.sum(is_released).as_py() or 0)


def _ordered(columns: Sequence[pa.ChunkedArray], order: NDArray[np.uint64]) -> Vectors:
    """Row order[0], order[1]... of `columns` put one below the other; each vector is copied once."""
    pieces = chain.from_iterable(map(unpack_chunks, columns))
    place = np.argsort(order)
    ordered = np.empty((0, 0), np.float16)
    start = 0
    for piece in pieces:
        if not start:
            ordered = np.empty((len(order), piece.shape[1]), np.float16)
        ordered[place[start : start + len(piece)]] = piece
        start += len(piece)
    return ordered


def duplicates(vectors: Vectors, fixed: int, min_cosine: float, seed: int, cluster_rows: int = CLUSTER_ROWS) -> Rows:
    """For each of `vectors` [n, dim], best first, the kept one that it is dropped for, or -1; int64 [n].

    The first `fixed` are kept whatever they equal. Of the others one is kept when no better one that is
    kept is near; the rest are dropped for the best of those. Decided in rounds: whoever has no better
    neighbour left is kept, its neighbours go.
    """
    reach = sqrt(max(0.0, 2 - 2 * min_cosine))
    clusters = list(overlapping_clusters(vectors, reach, seed, cluster_rows)) if len(vectors) else []
    kept = np.zeros(len(vectors), bool)
    undecided, left = ~kept, clusters
    while undecided.any():
        stays = undecided & ~_beaten(vectors, left, min_cosine)
        stays[:fixed] = undecided[:fixed]
        kept |= stays
        undecided &= ~stays & (_best_kept(vectors, left, stays, min_cosine) < 0)
        left = [rows[undecided[rows]] for rows in left]
    return _best_kept(vectors, clusters, kept, min_cosine)


def _beaten(vectors: Vectors, clusters: Sequence[Rows], min_cosine: float) -> NDArray[np.bool_]:
    """Which rows have a better near one in some cluster.

    A row is not compared any further once it has: a cluster of vectors that are all alike takes no time.
    """
    beaten = np.zeros(len(vectors), bool)
    for rows in clusters:
        units, places = to_unit(vectors[rows]), np.arange(len(rows))
        for start in range(0, len(rows), BLOCK):
            unbeaten = places[start : start + BLOCK]
            for first in range(0, start + 1, BLOCK):
                better = places[first : first + BLOCK]
                near = _near(units[unbeaten], units[better], min_cosine)
                lost = (near & (better < unbeaten[:, None])).any(axis=1)
                beaten[rows[unbeaten[lost]]] = True
                unbeaten = unbeaten[~lost]
    return beaten


def _best_kept(vectors: Vectors, clusters: Sequence[Rows], kept: NDArray[np.bool_], min_cosine: float) -> Rows:
    """For each row that is not kept the best of the better near ones that are; -1 where there is none."""
    nobody = len(vectors)
    best = np.full(len(vectors), nobody)
    for rows in clusters:
        winners, others = rows[kept[rows]], rows[~kept[rows]]
        if not len(winners) or not len(others):
            continue
        units = to_unit(vectors[winners])
        for start in range(0, len(others), BLOCK):
            block = others[start : start + BLOCK]
            near = _near(to_unit(vectors[block]), units, min_cosine) & (winners < block[:, None])
            found = np.where(near.any(axis=1), winners[near.argmax(axis=1)], nobody)
            best[block] = np.minimum(best[block], found)
    return np.where(best < nobody, best, -1)


def _near(a: NDArray[np.float32], b: NDArray[np.float32], min_cosine: float) -> NDArray[np.bool_]:
    """Whether the cosine of each of `a` with each of `b` is at least `min_cosine`, bool [len(a), len(b)].

    Cosines too close to it for float32 are summed again in float64, so that a pair gets one answer
    whatever it is computed beside.
    """
    cosines = a @ b.T
    near: NDArray[np.bool_] = cosines >= min_cosine
    i, j = np.nonzero(np.abs(cosines - min_cosine) < DOUBT)
    for start in range(0, len(i), PAIRS):
        pairs = i[start : start + PAIRS], j[start : start + PAIRS]
        near[pairs] = _exact_cosines(a[pairs[0]], b[pairs[1]]) >= min_cosine
    return near


def _exact_cosines(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float64]:
    cosines: NDArray[np.float64] = np.einsum("ij,ij->i", a.astype(np.float64), b.astype(np.float64))
    return cosines


def pair_cosines(vectors: Vectors, a: Rows, b: Rows) -> NDArray[np.float64]:
    """Cosines [n] of the rows `a` of `vectors` with the rows `b`."""
    parts = [np.empty(0)]
    for start in range(0, len(a), PAIRS):
        units = (to_unit(vectors[rows[start : start + PAIRS]]) for rows in (a, b))
        parts.append(_exact_cosines(*units))
    return np.concatenate(parts)
