"""Decides which pair goes into which shard, at which place."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import numpy as np
import pyarrow as pa

from infra.stage import Drop, Row, TableStage
from shards.split import Split, rank


@dataclass(frozen=True)
class Layout(TableStage):
    """Splits pairs by source video, shuffles each (split, task) by seed and cuts it into shards of about one size.

    A shard holds one task, because training batches do (arXiv 2510.27571, table 7 and section 3.4).
    """

    name: ClassVar[str] = "layout"
    version: ClassVar[int] = 3
    needs: ClassVar[tuple[str, ...]] = ("task", "video_id", "sample_bytes")
    schema: ClassVar[pa.Schema] = pa.schema(
        [("split", pa.string()), ("shard", pa.string()), ("shard_name", pa.string()), ("position", pa.int64())]
    )

    seed: int = 42
    val_share: float = 0.1  # of the source videos, held out for judging models
    test_share: float = 0.05  # of the source videos, held out from that as well
    shard_bytes: int = 128_000_000  # a shard is not much larger; one that is packed lies in a worker's memory

    def __post_init__(self) -> None:
        self.split()

    def split(self) -> Split:
        """How source videos are divided; raises UsageError when the shares are none."""
        return Split(self.seed, self.val_share, self.test_share)

    def compute(self, rows: pa.Table, released: pa.Table) -> Iterable[Row | Drop]:
        """One row per pair: split, shard (a digest of its members), file name and place in it."""
        columns = [rows[name].to_pylist() for name in ("key", *self.needs)]
        split_of = self.split().of_all(set(columns[2]))
        groups: dict[tuple[str, str], list[tuple[str, int]]] = defaultdict(list)
        for key, task, video, size in zip(*columns, strict=True):
            groups[split_of[video], task].append((key, size))
        for (split, task), pairs in sorted(groups.items()):
            pairs.sort(key=lambda pair: (rank(self.seed, "order", pair[0]), pair[0]))
            yield from self._cut(split, task, pairs)

    def _cut(self, split: str, task: str, pairs: Sequence[tuple[str, int]]) -> Iterator[Row]:
        shards = cut_evenly([size for _, size in pairs], self.shard_bytes)
        for number, (first, last) in enumerate(pairwise(shards)):
            members = [key for key, _ in pairs[first:last]]
            name = f"{split}-{task}-{number:06d}.tar"
            shard = hashlib.sha256("\n".join([name, *members]).encode()).hexdigest()[:24]
            for position, key in enumerate(members):
                place = {"split": split, "shard": shard, "shard_name": name, "position": position}
                yield {"key": key, "parent": key, **place}


def cut_evenly(sizes: Sequence[int], most: int) -> list[int]:
    """Where to cut some samples, in order, into as few shards as come to about `most` bytes: edges from 0 to the end.

    All shards are within one sample of the same size, and none is empty.
    """
    ends = np.cumsum(np.asarray(sizes, np.float64))
    shards = max(1, int(np.ceil(ends[-1] / most)))
    middles = ends - np.asarray(sizes) / 2
    shard_of = np.minimum(middles * shards // ends[-1], shards - 1)
    return [0, *(np.flatnonzero(np.diff(shard_of)) + 1).tolist(), len(sizes)]
