"""Which releases of a lake hold something of some source videos, and in which tars."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from infra.errors import UsageError
from infra.store import Store
from shards.files import Shard
from shards.index import INDEX, read_index
from shards.manifest import Manifest, manifests, read_manifest
from shards.reader import read_samples
from shards.withdrawal import Tombstone

HELD: Final = pa.schema([(name, pa.string()) for name in ("video_id", "source", "pair_id", "shard")])


@dataclass(frozen=True)
class Holding:
    """What one release holds of some source videos: its pairs of them as rows of HELD, at least one."""

    release: Manifest
    rows: pa.Table

    @property
    def shards(self) -> list[Shard]:
        """The shards that hold something of them."""
        names = set(self.rows["shard"].to_pylist())
        return [shard for shard in self.release.shards if shard.name in names]

    @property
    def places(self) -> set[str]:
        """Those shards as RELEASE/NAME, by the release in whose folder they lie."""
        return {f"{shard.home or self.release.release_id}/{shard.name}" for shard in self.shards}

    def of(self, video_id: str) -> Holding:
        """What the release holds of one video, which may be nothing."""
        return Holding(self.release, self.rows.filter(pc.equal(self.rows["video_id"], video_id)))


def find_holdings(lake: Store, videos: Collection[str], sources: Collection[str] = ()) -> list[Holding]:
    """What the releases of a lake hold of videos with some ids or file names, those withdrawn among them."""
    releases = (read_manifest(path) for path in manifests(lake))
    holdings = (Holding(release, _held(release, videos, sources)) for release in releases)
    return [holding for holding in holdings if holding.rows.num_rows]


def _held(release: Manifest, videos: Collection[str], sources: Collection[str]) -> pa.Table:
    has_index = INDEX in [file.name for file in release.files]
    ids, names = (pa.array(sorted(wanted), pa.string()) for wanted in (videos, sources))
    kept = [HELD.empty_table()]
    for batch in read_index(release.index(), HELD.names) if has_index else _read_tars(release):
        known = {name: batch[name] for name in batch.schema.names}
        rows = pa.table([known.get(name, pa.nulls(batch.num_rows, pa.string())) for name in HELD.names], HELD)
        wanted = pc.or_(pc.is_in(rows["video_id"], value_set=ids), pc.is_in(rows["source"], value_set=names))
        kept.append(rows.filter(wanted))
    return pa.concat_tables(kept)


def _read_tars(release: Manifest) -> Iterator[pa.RecordBatch]:
    """What an index would tell of a release from before there was one; of tars that are gone nothing."""
    for shard in release.shards:
        with suppress(FileNotFoundError):
            facts = [json.loads(members["json"]) for _, members in read_samples(release.path(shard))]
            rows = [{"video_id": f["video_id"], "pair_id": f["pair_id"], "shard": shard.name} for f in facts]
            yield pa.RecordBatch.from_pylist(rows, HELD)


def resolve(
    holdings: Sequence[Holding], videos: Sequence[str], sources: Sequence[str], tombstones: Sequence[Tombstone]
) -> frozenset[str]:
    """The ids of the videos that are meant; one that has its tombstone need not be held any more.

    Raises UsageError for ids and file names that no release holds, and for names that several videos have.
    """
    ids_of: dict[str, set[str]] = {name: set() for name in sources}
    known = {stone.video_id for stone in tombstones}
    for holding in holdings:
        for video_id, source in zip(*(holding.rows[name].to_pylist() for name in ("video_id", "source")), strict=True):
            known.add(video_id)
            if source in ids_of:
                ids_of[source].add(video_id)
    unknown = [name for name in videos if name not in known] + [name for name in sources if not ids_of[name]]
    if unknown:
        raise UsageError(
            f"no release of this lake holds {', '.join(unknown)}; ids and file names of source videos stand in {INDEX}"
        )
    for name, ids in ids_of.items():
        if len(ids) > 1:
            raise UsageError(f"several source videos are called {name}; say which: --video {', '.join(sorted(ids))}")
    return frozenset({*videos, *(video_id for ids in ids_of.values() for video_id in ids)})
