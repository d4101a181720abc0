"""Publishes a release: its own shards, what describes them, and last the manifest, which makes them one.

A shard that an earlier release of the lake holds, byte for byte, is not written again: the manifest says in
which release's folder it lies.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from infra.errors import RunFailed, UsageError
from infra.faults import writing
from infra.lease import Lease
from infra.stage import Row
from infra.store import Store
from shards.card import CARD, card, licence_id
from shards.croissant import CROISSANT, croissant
from shards.files import ReleaseFile, Shard, check_bytes, count_pairs, local_file
from shards.index import INDEX, check_index, count_licences, listed_pairs, write_index
from shards.manifest import (
    FORMAT,
    PUBLISHED,
    content_id,
    dump,
    history,
    manifest_name,
    published,
    verify_shards,
)
from shards.withdrawal import Tombstone


@dataclass(frozen=True)
class Draft:
    """What a release is to hold besides its index."""

    shards: tuple[Shard, ...]  # by name
    tombstones: tuple[Tombstone, ...]
    facts: Mapping[str, Any]  # recipe, fingerprints, funnel, shortage


def publish(
    store: Store,
    lease: Lease,
    packed: Sequence[Row],
    index: pa.RecordBatchReader,
    facts: dict[str, Any],
    before: Callable[[str], None] = lambda release_id: None,
) -> str:
    """Publish packed shards and their index as one release; returns the manifest's name in the lake.

    Shards and index, facts and tombstones are what a release holds. When a published one holds the same, that is the
    release, and nothing is written: otherwise a run right after would point to what the last one wrote, and be
    another release for that. What is new is `land`ed.
    """
    if not packed:
        raise UsageError("there is nothing to release: no pair was made")
    shards = tuple(sorted((_shard(row) for row in packed), key=lambda shard: shard.name))
    past = Past.of(store)
    draft = Draft(shards, past.tombstones, json.loads(json.dumps(facts)))
    with TemporaryDirectory(prefix="uvr-release-") as folder:
        with writing(folder):
            write_index(index, Path(folder, INDEX))
        if same := past.same(draft, local_file(Path(folder, INDEX))):
            return manifest_name(same)
        tars = {row["shard_name"]: row["tar_path"] for row in packed}
        return land(store, lease, replace(draft, shards=past.at_home(shards)), tars, Path(folder), before)


def _shard(row: Row) -> Shard:
    known = {field.name: row[field.name] for field in fields(Shard) if field.name not in ("name", "home")}
    return Shard(name=row["shard_name"], **known)


@dataclass(frozen=True)
class Past:
    """What a lake's releases so far are to a new one; some 200 bytes for every shard that ever was written."""

    tombstones: tuple[Tombstone, ...]
    ids: Mapping[str, str]  # of releases that are whole, by a digest of what each holds
    homes: Mapping[tuple[str, str], str]  # the first release in whose folder a shard lies, by name and SHA-256

    @classmethod
    def of(cls, store: Store) -> Past:
        """Read all manifests, one at a time, and see which of their shards are there."""
        tombstones, ids, homes = dict[str, Tombstone](), dict[str, str](), dict[tuple[str, str], str]()
        there: dict[str, set[str]] = {}  # file names by release
        for release in history(store):
            name = release.release_id
            there[name] = {path.rsplit("/", 1)[-1] for path in store.list(f"releases/{name}", ".tar")}
            tombstones |= {stone.video_id: stone for stone in release.tombstones}
            index = next((file for file in release.files if file.name == INDEX), None)
            if index is None:  # from before there was one, by which a new release is checked
                continue
            for shard in release.shards:
                if not shard.home and shard.name in there[name]:
                    homes.setdefault((shard.name, shard.sha256), name)
            if all(shard.name in there.get(shard.home or name, ()) for shard in release.shards):
                ids[_digest(Draft(release.shards, release.tombstones, release.facts), index)] = name
        return cls(tuple(tombstones.values()), ids, homes)

    def same(self, draft: Draft, index: ReleaseFile) -> str | None:
        """The id of a release that holds just this."""
        return self.ids.get(_digest(draft, index))

    def at_home(self, shards: Sequence[Shard]) -> tuple[Shard, ...]:
        """The shards with the releases that hold their bytes."""
        return tuple(replace(shard, home=self.homes.get((shard.name, shard.sha256), "")) for shard in shards)


def _digest(draft: Draft, index: ReleaseFile) -> str:
    """What tells releases apart: not where their shards lie, nor how a card puts it."""
    held = asdict(replace(draft, shards=tuple(replace(shard, home="") for shard in draft.shards)))
    return content_id({**held, "index": asdict(index)})


def land(
    store: Store, lease: Lease, draft: Draft, tars: Mapping[str, str], folder: Path, before: Callable[[str], None]
) -> str:
    """Write a release of which the index lies in a local `folder`; returns the manifest's name in the lake.

    `tars` are the names in the lake of the shards that are the release's own, by their file names. The release's id is
    a hash of its manifest, card and metadata among it, so neither of them can tell the id. `before` is called with
    the id of a release that is new when all of it but the manifest is there.
    """
    _refuse_removed(folder / INDEX, draft.tombstones)
    with writing(str(folder)):
        files = _write_companions(folder, draft)
    homes = {shard.home for shard in draft.shards}
    body = {
        "format": FORMAT,
        "pairs": count_pairs(draft.shards),
        "parents": [release_id for release_id in published(store) if release_id in homes],
        "tombstones": [asdict(stone) for stone in draft.tombstones],
        "shards": [asdict(shard) for shard in draft.shards],
        "files": [asdict(file) for file in files],
        **draft.facts,
    }
    release_id = content_id(body)
    if not store.exists(manifest_name(release_id)):
        for shard in draft.shards:
            if not shard.home:
                store.share(tars[shard.name], f"releases/{release_id}/{shard.name}")
        for file in files:
            store.put(f"releases/{release_id}/{file.name}", Path(folder, file.name))
        _verify_new(store, f"{store.url}/releases/{release_id}", draft.shards, files)
        before(release_id)
        lease.check(store)
        store.write(manifest_name(release_id), dump({"release_id": release_id, **body}))
    if release_id not in published(store):
        store.create(f"{PUBLISHED}/{lease.number:08d}-{release_id}.json", dump({"release_id": release_id}))
    return manifest_name(release_id)


def _refuse_removed(index: Path, tombstones: Sequence[Tombstone]) -> None:
    """Raise RunFailed when a source video that was removed is among what is to be released."""
    with duckdb.connect() as db:
        removed = [stone.video_id for stone in tombstones]
        found = db.execute(
            "SELECT DISTINCT video_id FROM read_parquet($index) WHERE video_id IN (SELECT unnest($removed::VARCHAR[]))",
            {"index": str(index), "removed": removed},
        ).fetchall()
    if found:
        raise RunFailed(
            f"{len(found)} source videos that were removed came back, {found[0][0]} among them: nothing "
            "was released; this is a defect, please report it"
        )


def _write_companions(folder: Path, draft: Draft) -> list[ReleaseFile]:
    """Write what stands beside the shards into a local folder that has the index: card and Croissant metadata."""
    columns = pq.read_schema(folder / INDEX).names
    licences = count_licences(folder / INDEX)
    (folder / CARD).write_bytes(card(draft.shards, draft.facts, licences, columns, len(draft.tombstones)))
    metadata = croissant(licence_id(licences), draft.shards, local_file(folder / INDEX), columns)
    (folder / CROISSANT).write_bytes(metadata)
    return [local_file(folder / name) for name in sorted((CARD, CROISSANT, INDEX))]


def _verify_new(store: Store, folder: str, shards: Sequence[Shard], files: Sequence[ReleaseFile]) -> None:
    """Read what is new of a release; shards of earlier ones were when those were published. Raises ReleaseCorrupt."""
    pairs = verify_shards(folder, [shard for shard in shards if not shard.home])
    for home in sorted({shard.home for shard in shards if shard.home}):
        names = {shard.name for shard in shards if shard.home == home}
        pairs |= listed_pairs(store.location(f"releases/{home}/{INDEX}"), names)
    for file in files:
        check_bytes(f"{folder}/{file.name}", file)
    check_index(f"{folder}/{INDEX}", pairs)
