"""Source videos that were removed from a lake for good: which they are, and taking out what was made of them.

`kept/removed/<video id>.json` says why. A stage that comes to know a video's id drops it when it is among them.
"""

from __future__ import annotations

import io
import json
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from infra.lease import Lease
from infra.store import Store
from infra.tables import RECORD, SOURCES, Link, connect, read_parts
from infra.workspace import KEPT

REMOVED = "removed"


@dataclass(frozen=True)
class TakenOut:
    """What was deleted of some videos."""

    rows: int
    files: int


def removed_name(video_id: str) -> str:
    """The name under which a lake keeps that a video was removed (see infra.stage.Workspace.recall)."""
    return f"{REMOVED}/{video_id}.json"


def remember_removed(store: Store, lease: Lease, reasons: Mapping[str, str]) -> None:
    """From now on videos with these ids are dropped, for the reasons given."""
    for video_id, reason in sorted(reasons.items()):
        lease.check(store)
        facts = json.dumps({"reason": reason}, ensure_ascii=False)
        store.write(f"{KEPT}/{removed_name(video_id)}", facts.encode())


def removal_reason(store: Store, video_id: str) -> str | None:
    """Why a video was removed; None when it was not."""
    try:
        reason: str = json.loads(store.read(f"{KEPT}/{removed_name(video_id)}"))["reason"]
    except FileNotFoundError:
        return None
    return reason


def removed_videos(store: Store) -> list[str]:
    """The ids of the videos that are dropped."""
    return [name.rsplit("/", 1)[-1].removesuffix(".json") for name in store.list(f"{KEPT}/{REMOVED}", ".json")]


def descendants(store: Store, video_ids: Collection[str]) -> frozenset[str]:
    """The ids of videos and of all that came of them by any recipe: their sources, clips, pairs and shards."""
    with connect(store) as db:
        folders = _stages(db, store)
        db.execute("CREATE TEMP TABLE edges (parent VARCHAR, key VARCHAR)")
        for folder in folders:
            columns = _columns(db, folder)
            for parent, key in (("parent", "key"), ("video_id", "key"), ("key", "shard")):
                if {parent, key} <= columns.keys():
                    db.execute(
                        f'INSERT INTO edges SELECT "{parent}", "{key}" FROM "{folder}" WHERE "{parent}" <> "{key}"'
                    )
        found = db.execute(
            "WITH RECURSIVE reached(id) AS (SELECT unnest($ids) UNION "
            "SELECT edges.key FROM edges JOIN reached ON edges.parent = reached.id) SELECT id FROM reached",
            {"ids": sorted(video_ids)},
        )
        return frozenset(row[0] for row in found.fetchall())


def take_out(store: Store, lease: Lease, ids: Collection[str]) -> TakenOut:
    """Delete what the tables of all stages tell of `ids` (see `descendants`), and first the media they name.

    Their sources are pending again after that, for the next run to drop them. A packed shard that holds a pair of
    theirs goes as a whole. Of the listing of sources nothing is deleted: the next run makes it anew.
    """
    with connect(store) as db:
        folders = _stages(db, store)
        db.register("gone", pa.table({"id": pa.array(sorted(ids), pa.string())}))
        files = sum(_delete_media(db, store, lease, folder) for folder in folders)
        rows = sum(_delete_rows(db, store, lease, folder, ids) for folder in folders)
    return TakenOut(rows, files)


def _stages(db: duckdb.DuckDBPyConnection, store: Store) -> list[str]:
    """The folders of all stages that begun in a lake, each with a view of its parts under that name."""
    found = [name for name in store.list("stages") if name != f"stages/{SOURCES}"]
    folders = [name for name in found if store.exists(f"{name}/parts/0-schema.parquet")]
    for folder in folders:
        db.execute(f'CREATE VIEW "{folder}" AS {read_parts(store, Link(SOURCES, folder, ()))}')
    return folders


def _columns(db: duckdb.DuckDBPyConnection, folder: str) -> dict[str, str]:
    """The columns of a stage's parts and their types."""
    return {name: kind for name, kind, *_ in db.execute(f'DESCRIBE "{folder}"').fetchall()}


def _delete_media(db: duckdb.DuckDBPyConnection, store: Store, lease: Lease, folder: str) -> int:
    """Delete the media of one stage that rows of `gone` name; returns how many there were."""
    texts = [name for name, kind in _columns(db, folder).items() if kind == "VARCHAR" and name not in RECORD.names]
    names: set[str] = set()
    for column in texts:
        found = db.execute(
            f'SELECT DISTINCT "{column}" FROM "{folder}" WHERE key IN (FROM gone) AND starts_with("{column}", $media)',
            {"media": f"{folder}/media/"},
        )
        names.update(row[0] for row in found.fetchall())
    for name in sorted(names):
        lease.check(store)
        with suppress(FileNotFoundError):
            store.remove(name)
    return len(names)


def _delete_rows(db: duckdb.DuckDBPyConnection, store: Store, lease: Lease, folder: str, ids: Collection[str]) -> int:
    """Write the parts of one stage again without the rows of `ids`; returns how many those were."""
    found = db.execute(f'SELECT DISTINCT filename FROM "{folder}" WHERE key IN (FROM gone) OR parent IN (FROM gone)')
    gone, rows = pa.array(sorted(ids), pa.string()), 0
    for (filename,) in found.fetchall():
        name = f"{folder}/parts/{filename.rsplit('/', 1)[-1]}"
        part = pq.read_table(io.BytesIO(store.read(name)))
        stays = pc.invert(pc.or_(pc.is_in(part["key"], gone), pc.is_in(part["parent"], gone)))
        lease.check(store)
        store.write_table(name, part.filter(stays))
        rows += part.num_rows - pc.sum(stays).as_py()
    return rows
