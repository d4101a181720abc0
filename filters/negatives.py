"""Stage `negatives`: a hard negative for the queries of those tasks that get one (arXiv 2510.27571, table 7).

It stands among the filters because it judges by vectors what is already made, as they do: which clip looks
like an answer to a query and is none. It comes after the layout, since a negative must be of the same split.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import isnan
from typing import ClassVar, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from infra.errors import UsageError
from infra.stage import Drop, Row, TableStage
from shards.clusters import Rows
from shards.groups import LABELS
from shards.mining import NOBODY, SCALE, Codes, Known, Minable, Mined, Scores, Steps, mine, score_limits, to_steps
from shards.vectors import unpack_chunks

NOTHING_UNDER_LIMIT: Final = "nothing_under_limit"  # all that is admissible is over the limit, or nothing is
NO_LIMIT: Final = "unlike_its_target"  # cosine with the positive not above zero: no share of it is a limit


@dataclass(frozen=True)
class Negatives(TableStage):
    """Names for each query the pair whose target is the most similar one that surely does not answer it.

    False negatives are guarded against by what is known and by what the prober says:

    - never a clip of the same source video, nor a duplicate (`shards.groups`) of the target or of a clip that
      any other pair with the same query, of whatever task, is about;
    - its cosine with the query is at most `max_share` of the positive's. This is TopK-PercPos of NV-Retriever
      (Moreira et al. 2024, arXiv 2407.15831), with the 95% that it was released with. A share goes with the scale of a
      model's cosines where an absolute margin would have to be found anew for each.

    Both are of one task and one split. A released pair keeps its negative while that is admissible to the
    same prober, even when a harder one has come, and keeps none if it had none, so that its shard stays what it
    was. `shard` is named anew by members and negatives, so that a shard is packed again when
    either changes, and only then.
    """

    max_share: float = 0.95  # of the positive's cosine
    seed: int = 42

    name: ClassVar[str] = "negatives"
    version: ClassVar[int] = 1
    needs: ClassVar[tuple[str, ...]] = (
        "task",
        "split",
        "shard",
        "position",
        "video_id",
        "clip_id",
        "query_id",
        *LABELS,
        "query_vector",  # null where the task gets no negatives
        "clip_vector",  # of the target
        "vector_model",
    )
    remembers: ClassVar[tuple[str, ...]] = ("negatives", "vector_model")
    schema: ClassVar[pa.Schema] = pa.schema(
        [
            ("shard", pa.string()),
            ("negatives", pa.list_(pa.string())),  # ids of pairs; one or none
            ("negative_cosines", pa.list_(pa.float64())),  # of the query with their targets
            ("positive_cosine", pa.float64()),  # of the query with its own target; null where none was asked for
            ("no_negative", pa.string()),  # why there is none; "" where there is one, or none was asked for
        ]
    )

    def __post_init__(self) -> None:
        if not 0 < self.max_share <= 1:
            raise UsageError(f"recipe: negatives.max_share is a share of a cosine, over 0 to 1, not {self.max_share}")

    def compute(self, rows: pa.Table, released: pa.Table) -> Iterable[Row | Drop]:
        """Every pair with its negative, or with the reason why it has none."""
        negatives = np.full(len(rows), NOBODY)
        cosines, positive = np.full(len(rows), np.nan), np.full(len(rows), np.nan)
        before, had_none = _remembered(rows, released)
        for members, pairs in by_task_and_split(rows):
            own = np.arange(len(members))
            scores = pairs.scores(own, own)
            found = self._choose(pairs, scores, _places_of(before[members], members), had_none[members])
            has = found.targets != NOBODY
            negatives[members[has]] = members[found.targets[has]]
            cosines[members[has]] = np.round(found.scores[has].astype(np.float64) / SCALE**2, 4)
            positive[members] = np.round(scores.astype(np.float64) / SCALE**2, 4)
        yield from _told(rows, negatives, cosines, positive)

    def _choose(self, pairs: Minable, scores: Scores, before: Rows, had_none: NDArray[np.bool_]) -> Mined:
        """The negatives of all pairs: the one from before where that is admissible, else one that is mined.

        `scores` are those of each query with its own target. Pairs that were released without one get none.
        """
        limits = score_limits(scores, self.max_share)
        known = np.flatnonzero(before != NOBODY)
        kept = known[pairs.admit(known, before[known], limits[known])]
        asked = np.setdiff1d(np.flatnonzero(~had_none), kept)
        mined = mine(pairs, asked, limits[asked], self.seed)
        found = Mined(np.full(len(limits), NOBODY), np.full(len(limits), -np.inf, np.float32))
        found.targets[asked], found.scores[asked] = mined.targets, mined.scores
        found.targets[kept], found.scores[kept] = before[kept], pairs.scores(kept, before[kept])
        return found


def by_task_and_split(rows: pa.Table) -> Iterator[tuple[Rows, Minable]]:
    """The pairs that ask for negatives, as places in `rows` and as what is mined, task by task and split by split."""
    known = Known.of(rows)
    places = pc.binary_join_element_wise(rows["split"], rows["task"], " ")
    asks = pc.is_valid(rows["query_vector"])
    for place in sorted(places.filter(asks).unique().to_pylist()):
        mask = pc.and_(asks, pc.equal(places, place))
        members = np.flatnonzero(mask.to_numpy(zero_copy_only=False))
        query, target = (_steps(rows[name].filter(mask)) for name in ("query_vector", "clip_vector"))
        yield members, known.minable(members, query, target)


def _steps(column: pa.ChunkedArray) -> Steps:
    return np.concatenate([to_steps(vectors) for vectors in unpack_chunks(column)])


def _remembered(rows: pa.Table, released: pa.Table) -> tuple[Rows, NDArray[np.bool_]]:
    """The place in `rows` of the negative that each was released with, and whether it was released without one.

    The place is NOBODY where the negative is gone or unknown. What another prober found does not count.
    """
    same_model = released.filter(pc.is_in(released["vector_model"], value_set=rows["vector_model"].unique()))
    has_one = pc.greater(pc.list_value_length(same_model["negatives"]), 0)
    known, without = same_model.filter(has_one), same_model.filter(pc.invert(has_one))
    negatives = pc.list_element(known["negatives"], 0).take(pc.index_in(rows["key"], value_set=known["key"]))
    places = pc.fill_null(pc.index_in(negatives, value_set=rows["key"]), NOBODY)
    had_none = pc.is_in(rows["key"], value_set=without["key"])
    return places.to_numpy().astype(np.int64), had_none.to_numpy(zero_copy_only=False)


def _places_of(wanted: Rows, members: Rows) -> Rows:
    """The place in `members`, ascending, of each of `wanted`; NOBODY where it is none of them."""
    places = np.minimum(np.searchsorted(members, wanted), len(members) - 1)
    return np.where(members[places] == wanted, places, NOBODY)


def _told(
    rows: pa.Table, negatives: Codes, cosines: NDArray[np.float64], positive: NDArray[np.float64]
) -> Iterator[Row]:
    """The rows of the stage; `positive` is not a number where no negative was asked for."""
    keys = rows["key"].to_pylist()
    named = [[keys[place]] if place != NOBODY else [] for place in negatives.tolist()]
    scores = [[cosine] if names else [] for names, cosine in zip(named, cosines.tolist(), strict=True)]
    shards = _shards(rows["shard"].to_pylist(), rows["position"].to_pylist(), zip(named, scores, strict=True))
    for key, shard, names, cosine, own in zip(keys, shards, named, scores, positive.tolist(), strict=True):
        asked = not isnan(own)
        why = "" if names or not asked else NOTHING_UNDER_LIMIT if own > 0 else NO_LIMIT
        told = {"negatives": names, "negative_cosines": cosine, "no_negative": why}
        yield {"key": key, "parent": key, "shard": shard, "positive_cosine": own if asked else None, **told}


def _shards(shards: Sequence[str], positions: Sequence[int], told: Iterable[object]) -> list[str]:
    """For each pair the id of its shard, from the id that its members gave it and what is `told` of each of them."""
    members: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for shard, position, facts in zip(shards, positions, told, strict=True):
        members[shard].append((position, repr(facts)))
    names = {
        shard: hashlib.sha256("\n".join([shard, *(facts for _, facts in sorted(of_shard))]).encode()).hexdigest()[:24]
        for shard, of_shard in members.items()
    }
    return [names[shard] for shard in shards]
