"""Hard negatives by vectors: for each query the most similar target that surely does not answer it.

Exact, in blocks, while there are few targets. Over more, in the way of an inverted file (Jégou et al. 2011,
"Product Quantization for Nearest Neighbor Search"): targets are put into cells by k-means, and a query looks
into the cells nearest to it. All queries that look into a cell are compared with it at once, because a search
that hands out each query's nearest few could not be told to leave out those that are over the query's limit:
they may well be all of them.

Cosines are counted in whole steps of 1 / SCALE²: vectors are rounded to whole multiples of 1 / SCALE, so that
float32 holds every sum of products exactly, whatever the order it is summed in. The same vectors give the
same negatives on any number of threads and in blocks of any size, ties included. The rounding moves a cosine
by about 0.0001, half precision by up to 0.001.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from shards.clusters import Rows, find_centroids, training_rows
from shards.groups import LABELS, codes, duplicate_groups
from shards.index import read_index
from shards.vectors import to_unit

SCALE: Final = 4000  # sums of products stay under SCALE² and some, float32 is exact up to 2^24 = 16.8 million
QUERIES: Final = 512  # compared at once with as many as TARGETS
TARGETS: Final = 2048
CELL_TARGETS: Final = 1024  # targets of a cell, about
PROBES: Final = 64  # cells that a query looks into; where there are no more, it is compared with every target
SLAB: Final = 131_072  # queries whose cells are found at once
NOBODY: Final = -1
COLUMNS: Final = ("pair_id", "task", "video_id", "clip_id", "query_id", *LABELS)  # of an index, that mining asks for

Steps = NDArray[np.int16]
Scores = NDArray[np.float32]
Codes = NDArray[np.int64]


def to_steps(vectors: NDArray[np.float16]) -> Steps:
    """Unit vectors [n, dim] in whole multiples of 1 / SCALE."""
    steps = np.empty(vectors.shape, np.int16)
    for start in range(0, len(vectors), QUERIES):
        steps[start : start + QUERIES] = np.rint(to_unit(vectors[start : start + QUERIES]) * SCALE)
    return steps


@dataclass(frozen=True)
class Positives:
    """Which groups of duplicates hold a target that answers a query."""

    codes: Codes  # one for each query and group, ascending
    groups: int

    @classmethod
    def of(cls, queries: Codes, groups: Codes) -> Positives:
        """What pairs say: the query of each is answered by its target, and so by all of that one's group."""
        count = int(groups.max(initial=0)) + 1
        return cls(np.unique(queries * count + groups), count)

    def hold(self, queries: Codes, groups: Codes) -> NDArray[np.bool_]:
        """Whether each of `queries` is answered by its one of `groups`, bool [n]."""
        wanted = queries * self.groups + groups
        places = np.minimum(np.searchsorted(self.codes, wanted), len(self.codes) - 1)
        return np.asarray(self.codes[places] == wanted)


@dataclass(frozen=True)
class Minable:
    """The pairs of one task and split, ascending by id: vectors of both sides, and what tells true negatives.

    A target may be a query's negative when it is of another source video and no positive of the query.
    """

    queries: Steps  # [n, dim]
    targets: Steps  # [n, dim]
    videos: Codes  # [n] source video, of both sides
    query_ids: Codes  # [n]
    groups: Codes  # [n] group of duplicates that the target belongs to
    positives: Positives

    def scores(self, queries: Rows, targets: Rows) -> Scores:
        """Cosines of some queries with as many targets, row by row, in steps of 1 / SCALE²."""
        parts = [np.empty(0, np.float32)]
        for start in range(0, len(queries), QUERIES):
            block = slice(start, start + QUERIES)
            products = self.queries[queries[block]].astype(np.float32) * self.targets[targets[block]]
            parts.append(products.sum(axis=1, dtype=np.float32))
        return np.concatenate(parts)

    def answer(self, queries: Rows, targets: Rows) -> NDArray[np.bool_]:
        """Whether each of some targets may answer its query: of the same video, or a positive of it."""
        is_own = self.videos[queries] == self.videos[targets]
        return np.asarray(is_own | self.positives.hold(self.query_ids[queries], self.groups[targets]))

    def admit(self, queries: Rows, targets: Rows, limits: Scores) -> NDArray[np.bool_]:
        """Whether each of some targets may be the negative of its query, whose score limit is its one of `limits`."""
        return ~self.answer(queries, targets) & (self.scores(queries, targets) <= limits)


@dataclass(frozen=True)
class Known:
    """What is known of all pairs in the order of a table, of any task and split: a text may be the query of several."""

    videos: Codes  # [n] source video
    query_ids: Codes  # [n]
    groups: Codes  # [n] group of duplicates that the target's clip belongs to
    positives: Positives

    @classmethod
    def of(cls, rows: pa.Table) -> Known:
        """What the columns `video_id`, `query_id`, `clip_id` and LABELS of all pairs tell."""
        groups = duplicate_groups(rows["clip_id"], [rows[name] for name in LABELS])
        queries = codes(rows["query_id"])
        return cls(codes(rows["video_id"]), queries, groups, Positives.of(queries, groups))

    def minable(self, members: Rows, queries: Steps, targets: Steps) -> Minable:
        """Those of one task and split, places in the table, with the vectors [len(members), dim] of their sides."""
        videos, query_ids, groups = self.videos[members], self.query_ids[members], self.groups[members]
        return Minable(queries, targets, videos, query_ids, groups, self.positives)


def known_pairs(index: str, ids: NDArray[np.bytes_]) -> tuple[Known, Rows, NDArray[np.str_]]:
    """What a release's index knows of all its pairs, and of each of `ids` [n] its row there and its task.

    A release from before its index told which clips are duplicates is taken to have none.
    """
    table = pa.Table.from_batches(read_index(index, COLUMNS))
    for label in {*LABELS} - {*table.column_names}:
        table = table.append_column(label, pa.nulls(len(table), pa.string()))
    rows = pc.index_in(pa.array([name.decode() for name in ids.tolist()], pa.string()), value_set=table["pair_id"])
    tasks = np.array(table["task"].take(rows).to_pylist(), np.str_)
    return Known.of(table), rows.to_numpy().astype(np.int64), tasks


def score_limits(positives: Scores, max_share: float) -> Scores:
    """The highest score of a negative beside positives of these scores; -inf where they are not above zero."""
    limits = np.floor(positives.astype(np.float64) * max_share)
    return np.where(positives > 0, limits, -np.inf).astype(np.float32)


@dataclass(frozen=True)
class Mined:
    """For each query asked about the target found, NOBODY where there is none, and its score, -inf."""

    targets: Rows
    scores: Scores


def mine(pairs: Minable, asked: Rows, limits: Scores, seed: int, probes: int = PROBES) -> Mined:
    """The most similar admissible target with a score of at most `limits` [len(asked)], for the queries `asked`.

    Of equal scores the lower row wins. Of more targets than `probes` cells hold, only those in the `probes`
    cells nearest to a query are looked at.
    """
    best = Mined(np.full(len(asked), NOBODY), np.full(len(asked), -np.inf, np.float32))
    everything = np.arange(len(pairs.targets))
    looks: Iterator[tuple[Rows, Rows]] = iter([(np.arange(len(asked)), everything)])
    if len(everything) > probes * CELL_TARGETS:
        looks = _look_into_cells(pairs, asked, seed, probes)
    for looking, targets in looks:
        for start in range(0, len(targets), TARGETS):
            for first in range(0, len(looking), QUERIES):
                rows = looking[first : first + QUERIES]
                _improve(best, rows, _best_of(pairs, asked[rows], targets[start : start + TARGETS], limits[rows]))
    return best


def _improve(best: Mined, rows: Rows, found: Mined) -> None:
    """Put what was found for some rows where it is better than the best so far."""
    higher = found.scores > best.scores[rows]
    lower_row = (found.scores == best.scores[rows]) & (found.targets < best.targets[rows])
    better = higher | lower_row
    best.targets[rows[better]], best.scores[rows[better]] = found.targets[better], found.scores[better]


def _best_of(pairs: Minable, queries: Rows, targets: Rows, limits: Scores) -> Mined:
    """The best admissible one of a block of `targets`, ascending, for each of a block of `queries`."""
    scores = pairs.queries[queries].astype(np.float32) @ pairs.targets[targets].astype(np.float32).T
    np.copyto(scores, -np.inf, where=scores > limits[:, None])
    best = scores.argmax(axis=1)
    doubtful = np.arange(len(queries))
    while len(doubtful):
        is_wrong = pairs.answer(queries[doubtful], targets[best[doubtful]])
        doubtful = doubtful[is_wrong & (scores[doubtful, best[doubtful]] > -np.inf)]
        barred = _alike(pairs, queries[doubtful], targets[best[doubtful]], targets)
        scores[doubtful] = np.where(barred, -np.inf, scores[doubtful])
        best[doubtful] = scores[doubtful].argmax(axis=1)
    highest = scores[np.arange(len(queries)), best]
    return Mined(np.where(highest > -np.inf, targets[best], NOBODY), highest)


def _alike(pairs: Minable, queries: Rows, wrong: Rows, targets: Rows) -> NDArray[np.bool_]:
    """Which of `targets` are no negatives of each query, as its one of `wrong` is none: bool [queries, targets].

    Those of the query's video and of pairs with the same query, and the wrong one's duplicates: what may be
    many of a block goes at once.
    """
    is_positive = pairs.positives.hold(pairs.query_ids[queries], pairs.groups[wrong])
    barred = is_positive[:, None] & (pairs.groups[wrong][:, None] == pairs.groups[targets])
    for column in (pairs.videos, pairs.query_ids):
        barred |= column[queries][:, None] == column[targets]
    return np.asarray(barred)


def _look_into_cells(pairs: Minable, asked: Rows, seed: int, probes: int) -> Iterator[tuple[Rows, Rows]]:
    """Cells of targets, each with the places in `asked` of queries that look into it."""
    count = -(-len(pairs.targets) // CELL_TARGETS)
    sample = pairs.targets[training_rows(len(pairs.targets), count)].astype(np.float32) / np.float32(SCALE)
    centroids = np.rint(find_centroids(sample, count, seed) * SCALE).astype(np.float32)
    everything = np.arange(len(pairs.targets))
    cells = _split(everything, _nearest(pairs.targets, everything, centroids, 1), count)
    for start in range(0, len(asked), SLAB):
        slab = np.arange(start, min(start + SLAB, len(asked)))
        looking = _nearest(pairs.queries, asked[slab], centroids, probes)
        yield from zip(_split(slab, looking, count), cells, strict=True)


def _nearest(vectors: Steps, rows: Rows, centroids: Scores, places: int) -> NDArray[np.int32]:
    """The `places` nearest of `centroids` to some rows of `vectors`, in no order: int32 [rows, places]."""
    parts = []
    for start in range(0, len(rows), QUERIES):
        scores = vectors[rows[start : start + QUERIES]].astype(np.float32) @ centroids.T
        parts.append(np.argpartition(-scores, places - 1, axis=1)[:, :places].astype(np.int32))
    return np.concatenate(parts)


def _split(rows: Rows, cells: NDArray[np.int32], count: int) -> list[Rows]:
    """`rows`, ascending, by the cells [rows, places] that each of them is in."""
    order = np.argsort(cells.ravel(), kind="stable")
    ends = np.cumsum(np.bincount(cells.ravel(), minlength=count))
    return np.split(rows[order // cells.shape[1]], ends[:-1])
