"""Decides which pair goes into which shard, at which place."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from infra.stage import Drop, Row, TableStage
from shards.split import Split, rank

PLACE = pa.schema(
    [("split", pa.string()), ("shard", pa.string()), ("shard_name", pa.string()), ("position", pa.int64())]
)


class PlacedShard(NamedTuple):
    """A shard as a release holds it: its file name and its pairs' ids in order."""

    name: str
    members: tuple[str, ...]

    @property
    def digest(self) -> str:
        """What tells it from other shards: 24 hex digits."""
        return hashlib.sha256("\n".join([self.name, *self.members]).encode()).hexdigest()[:24]

    def rows(self, split: str) -> Iterator[Row]:
        """The places of its pairs, as the stage puts them out."""
        digest = self.digest
        for position, key in enumerate(self.members):
            place = {"split": split, "shard": digest, "shard_name": self.name, "position": position}
            yield {"key": key, "parent": key, **place}


@dataclass(frozen=True)
class Layout(TableStage):
    """Splits pairs by source video, shuffles each (split, task) by seed and cuts it into shards of about one size.

    A shard holds one task, because training batches do (arXiv 2510.27571, table 7 and section 3.4). A shard that
    was released stays as it is while all of its pairs are there and in its split. What is left of one that lost
    some becomes a shard of a new name, and so do pairs that never were released: a release need only hold
    what is new. Settings shape new shards alone.
    """

    name: ClassVar[str] = "layout"
    version: ClassVar[int] = 3
    needs: ClassVar[tuple[str, ...]] = ("task", "video_id", "sample_bytes")
    remembers: ClassVar[tuple[str, ...] | None] = ("task", *PLACE.names)
    told_apart_by: ClassVar[tuple[str, ...]] = ("key", "shard")
    schema: ClassVar[pa.Schema] = PLACE

    seed: int = 42
    val_share: float = 0.1  # of the source videos, held out for judging models
    test_share: float = 0.05  # of the source videos, held out from that as well
    shard_bytes: int = 128_000_000  # a shard is not much larger; one that is packed lies in a worker's memory
    keep_shards: bool = True  # false: cut all pairs anew, should years of nightly releases have left small shards

    def __post_init__(self) -> None:
        self.split()

    def split(self) -> Split:
        """How source videos are divided; raises UsageError when the shares are none."""
        return Split(self.seed, self.val_share, self.test_share)

    def compute(self, rows: pa.Table, released: pa.Table) -> Iterable[Row | Drop]:
        """One row per pair: split, shard (a digest of its name and members), file name and place in it."""
        columns = [rows[name].to_pylist() for name in ("key", *self.needs)]
        split_of = self.split().of_all(set(columns[2]))
        groups: dict[tuple[str, str], dict[str, int]] = defaultdict(dict)
        for key, task, video, size in zip(*columns, strict=True):
            groups[split_of[video], task][key] = size
        before = placed_shards(released) if self.keep_shards else {}
        for (split, task), size_of in sorted(groups.items()):
            for shard in self._shards(split, task, size_of, before.get((split, task), [])):
                yield from shard.rows(split)

    def _shards(
        self, split: str, task: str, size_of: Mapping[str, int], before: Sequence[PlacedShard]
    ) -> Iterator[PlacedShard]:
        kept, rests = keep(before, size_of)
        yield from kept
        placed = {key for members in (*(shard.members for shard in kept), *rests) for key in members}
        new = sorted(size_of.keys() - placed, key=lambda key: (rank(self.seed, "order", key), key))
        edges = cut_evenly([size_of[key] for key in new], self.shard_bytes)
        cuts = [tuple(new[first:last]) for first, last in pairwise(edges)]
        for number, members in enumerate([*rests, *cuts], next_number(shard.name for shard in before)):
            yield PlacedShard(shard_name(split, task, number), members)


def placed_shards(released: pa.Table) -> dict[tuple[str, str], list[PlacedShard]]:
    """The shards that releases hold, by split and task, from the remembered places of their pairs.

    A place may be told by several releases. A shard of which a place is missing is left out.
    """
    ordered = released.sort_by([("shard", "ascending"), ("position", "ascending")]).combine_chunks()
    digests = pc.run_end_encode(ordered["shard"].combine_chunks())
    found: dict[tuple[str, str], list[PlacedShard]] = defaultdict(list)
    for first, end in pairwise([0, *digests.run_ends.to_pylist()]):
        [row] = ordered.slice(first, 1).to_pylist()
        members = ordered["key"].slice(first, end - first).to_pylist()
        shard = PlacedShard(row["shard_name"], tuple(dict.fromkeys(members)))
        if shard.digest == row["shard"]:
            found[row["split"], row["task"]].append(shard)
    return found


def keep(before: Iterable[PlacedShard], pairs: Iterable[str]) -> tuple[list[PlacedShard], list[tuple[str, ...]]]:
    """Which of the shards before can stay, no pair being in two of them, and what is left of the others, by name.

    Larger ones come first: what was left of a shard gives way to the whole of it when that is there again. Shards
    made of these answers and asked about next time all stay, and no other does.
    """
    free, kept, gone = set(pairs), dict[str, PlacedShard](), list[PlacedShard]()
    for shard in sorted(before, key=lambda shard: (-len(shard.members), shard)):
        if shard.name not in kept and free.issuperset(shard.members):
            free.difference_update(shard.members)
            kept[shard.name] = shard
        else:
            gone.append(shard)
    rests = list[tuple[str, tuple[str, ...]]]()
    for shard in gone:
        if rest := tuple(key for key in shard.members if key in free):
            free.difference_update(rest)
            rests.append((shard.name, rest))
    return list(kept.values()), [rest for _, rest in sorted(rests)]


def shard_name(split: str, task: str, number: int) -> str:
    """The file name of a shard."""
    return f"{split}-{task}-{number:06d}.tar"


def next_number(names: Iterable[str]) -> int:
    """The number after those of some shards of one split and task."""
    return max((int(name.removesuffix(".tar").rsplit("-", 1)[-1]) + 1 for name in names), default=0)


def cut_evenly(sizes: Sequence[int], most: int) -> list[int]:
    """Where to cut some samples, in order, into as few shards as come to about `most` bytes: edges from 0 to the end.

    All shards are within one sample of the same size, and none is empty.
    """
    if not sizes:
        return [0]
    ends = np.cumsum(np.asarray(sizes, np.float64))
    shards = max(1, int(np.ceil(ends[-1] / most)))
    middles = ends - np.asarray(sizes) / 2
    shard_of = np.minimum(middles * shards // ends[-1], shards - 1)
    return [0, *(np.flatnonzero(np.diff(shard_of)) + 1).tolist(), len(sizes)]
