"""Decides which pair goes into which shard, at which place."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import ClassVar

import pyarrow as pa

from infra.stage import Drop, Row, TableStage
from shards.split import rank, val_videos


@dataclass(frozen=True)
class Layout(TableStage):
    """Splits pairs by source video, shuffles each (split, task) by seed and cuts it into shards.

    A shard holds one task, because training batches do (arXiv 2510.27571, table 7 and section 3.4).
    """

    name: ClassVar[str] = "layout"
    version: ClassVar[int] = 1
    needs: ClassVar[tuple[str, ...]] = ("task", "video_id")
    schema: ClassVar[pa.Schema] = pa.schema(
        [("split", pa.string()), ("shard", pa.string()), ("shard_name", pa.string()), ("position", pa.int64())]
    )

    seed: int = 42
    val_share: float = 0.1  # share of source videos held out
    shard_pairs: int = 256  # most pairs in one shard

    def compute(self, rows: pa.Table, released: pa.Table) -> Iterable[Row | Drop]:
        """One row per pair: split, shard (a digest of its members), file name and place in it."""
        held_out = val_videos(rows["video_id"].to_pylist(), self.val_share, self.seed)
        groups: dict[tuple[str, str], list[str]] = defaultdict(list)
        for row in rows.to_pylist():
            groups["val" if row["video_id"] in held_out else "train", row["task"]].append(row["key"])
        for (split, task), keys in sorted(groups.items()):
            keys.sort(key=lambda key: (rank(self.seed, "order", key), key))
            yield from self._cut(split, task, keys)

    def _cut(self, split: str, task: str, keys: list[str]) -> Iterator[Row]:
        for number, start in enumerate(range(0, len(keys), self.shard_pairs)):
            members = keys[start : start + self.shard_pairs]
            name = f"{split}-{task}-{number:06d}.tar"
            shard = hashlib.sha256("\n".join([name, *members]).encode()).hexdigest()[:24]
            for position, key in enumerate(members):
                place = {"split": split, "shard": shard, "shard_name": name, "position": position}
                yield {"key": key, "parent": key, **place}
