"""What came and what went between two releases, told from their indexes and manifests without opening a tar."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import duckdb
import pyarrow as pa

from shards.files import Shard
from shards.index import read_index
from shards.manifest import Manifest

_COLUMNS = ("pair_id", "task", "split", "video_id", "source")

# Rows of both, a pair that stayed as one.
_PAIRS = """
SELECT coalesce(b.task, a.task) AS task, coalesce(b.split, a.split) AS split,
       count(*) FILTER (a.pair_id IS NULL) AS came, count(*) FILTER (b.pair_id IS NULL) AS went,
       count(*) FILTER (a.split <> b.split) AS moved, count(*) FILTER (a.split = b.split) AS stayed
FROM before AS a FULL JOIN after AS b USING (pair_id) GROUP BY ALL ORDER BY ALL
"""
_VIDEOS = """
SELECT video_id, any_value(source) AS source, count(*) AS pairs
FROM {one} ANTI JOIN {other} USING (video_id) GROUP BY video_id ORDER BY source, video_id
"""


@dataclass(frozen=True)
class Difference:
    """Between two releases: pairs by task and split, whole source videos, and tars."""

    before: str  # ids of the releases
    after: str
    pairs: list[dict[str, Any]]  # task, split (the later one), came, went, moved to it from another split, stayed
    videos_came: list[dict[str, Any]]  # video_id, source (its file name), pairs
    videos_went: list[dict[str, Any]]
    shards_came: tuple[Shard, ...]  # whose bytes the earlier release does not hold, under whatever name
    shards_went: tuple[Shard, ...]
    shards_stayed: int

    @property
    def bytes_came(self) -> int:
        """What someone who holds the earlier release has to fetch of the later one."""
        return sum(shard.bytes for shard in self.shards_came)


def compare(before: Manifest, after: Manifest) -> Difference:
    """What differs; pairs are the same when their ids are, which derive from what they are made of.

    Raises UsageError when a release is from before releases had an index, ReleaseCorrupt when it cannot be read.
    """
    with duckdb.connect() as db:
        for name, release in (("before", before), ("after", after)):
            db.register("listed", _listed(release))
            db.execute(f"CREATE TEMP TABLE {name} AS FROM listed")
        pairs, came, went = (
            db.sql(query).to_arrow_table().to_pylist()
            for query in (
                _PAIRS,
                _VIDEOS.format(one="after", other="before"),
                _VIDEOS.format(one="before", other="after"),
            )
        )
    held, wanted = _by_content(before), _by_content(after)
    return Difference(
        before.release_id,
        after.release_id,
        pairs,
        came,
        went,
        tuple(shard for digest, shard in wanted.items() if digest not in held),
        tuple(shard for digest, shard in held.items() if digest not in wanted),
        len(held.keys() & wanted.keys()),
    )


def _listed(release: Manifest) -> pa.Table:
    """The pairs of a release, as its index lists them; some 100 bytes a pair."""
    return pa.Table.from_batches(read_index(release.index(), _COLUMNS))


def _by_content(release: Manifest) -> Mapping[str, Shard]:
    return {shard.sha256: shard for shard in release.shards}
