"""What a lake knows about its last run: status, bad rows, dropped rows, and the story of any id."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import duckdb
import pyarrow.compute as pc
import pyarrow.parquet as pq

from infra.counts import Counts
from infra.errors import UsageError
from infra.lease import Lease
from infra.removed import removal_reason
from infra.stage import Row
from infra.store import Store
from infra.tables import SOURCES, Link, Tables, connect, read_parts, write_part

RUN_RECORD = "run.json"


@dataclass(frozen=True)
class RunRecord:
    """The chain of the last run and, if it got that far, the release it published and the counts that led to it."""

    links: tuple[Link, ...]
    recipe: dict[str, Any]
    release: str | None = None
    funnel: tuple[Counts, ...] = ()
    quarantined: dict[str, int] = field(default_factory=dict)  # rows by reason


def save_record(store: Store, record: RunRecord) -> None:
    """Make `record` what the lake knows about its last run."""
    store.write(RUN_RECORD, json.dumps(asdict(record), indent=1, sort_keys=True).encode())


def load_record(store: Store) -> RunRecord:
    """The record of the last run; raises UsageError when the folder is no lake."""
    try:
        body = json.loads(store.read(RUN_RECORD))
    except FileNotFoundError as error:
        raise UsageError(f"{store.url} is not a lake: no run has begun there (see `uvr run`)") from error
    links = [{**link, "columns": tuple(link["columns"]), "needs": tuple(link["needs"])} for link in body["links"]]
    funnel = tuple(Counts(**counts) for counts in body.get("funnel", ()))
    chain = tuple(Link(**link) for link in links)
    return RunRecord(chain, body["recipe"], body["release"], funnel, body.get("quarantined", {}))


def open_tables(lake: str) -> Tables:
    """The views of the stages that the last run began; close them, or use them as a context."""
    store = Store(lake)
    return Tables(store, load_record(store).links)


def funnel(tables: Tables) -> list[Counts]:
    """Counts of every stage that began, in order."""
    tables.refresh()
    return [tables.counts(link.name) for link in tables.links]


def unsettled(tables: Tables, status: str, stage: str | None = None) -> list[Row]:
    """Rows of all stages (or one) with `status`, each with stage, key, source, reason, error and detail."""
    names = [link.name for link in tables.links]
    if stage is not None and stage not in names:
        raise UsageError(f"no stage {stage!r} in this lake; stages: {', '.join(names)}")
    rows: list[Row] = []
    for link in tables.links:
        if stage not in (None, link.name) or not _any_settled(tables, link, status):
            continue
        source = "NULL" if link.group_by else "i.source"
        if link.name == SOURCES:
            source = "coalesce(i.source, p.key)"  # a bad entry of an input manifest has no file
        rows += tables.query(
            f"SELECT '{link.name}' AS stage, p.key, {source} AS source, p.reason, p.error, p.detail "
            f"FROM settled_{link.name} p JOIN in_{link.name} i ON p.parent = i.key "
            "WHERE p.status = ? ORDER BY source, p.key",
            [status],
        )
    return rows


def _any_settled(tables: Tables, link: Link, status: str) -> bool:
    """Whether a stage has rows of `status`: sooner found than where such rows come from."""
    return bool(tables.query(f"SELECT 1 FROM settled_{link.name} WHERE status = ? LIMIT 1", [status]))


def quarantined(tables: Tables, stage: str | None = None) -> list[Row]:
    """Rows that could not be done: stage, key, source, reason, error."""
    return [{k: v for k, v in row.items() if k != "detail"} for row in unsettled(tables, "quarantined", stage)]


def dropped(tables: Tables, stage: str | None = None) -> list[Row]:
    """Rows that a filter turned away: stage, key, source, reason, detail (its scores)."""
    rows = unsettled(tables, "dropped", stage)
    return [
        {**{k: row[k] for k in ("stage", "key", "source", "reason")}, "detail": json.loads(row["detail"])}
        for row in rows
    ]


def requeue(store: Store, lease: Lease, links: Sequence[Link], stage: str | None, reason: str | None) -> int:
    """Forget quarantined rows (of a stage, with a reason), so that the next run does them again.

    The listing of sources is made anew by every run and needs no requeue. Returns the rows forgotten.
    """
    names = [link.name for link in links[1:]]
    if stage is not None and stage not in names:
        raise UsageError(f"no stage {stage!r} in this lake; stages: {', '.join(names)}")
    forgotten = 0
    with connect(store) as db:
        for link in links[1:]:
            if stage in (None, link.name):
                for name in _parts_with_bad_rows(db, store, link, reason):
                    lease.check(store)
                    forgotten += _forget(store, link, name, reason)
    return forgotten


def _parts_with_bad_rows(db: duckdb.DuckDBPyConnection, store: Store, link: Link, reason: str | None) -> list[str]:
    """Names of the stage's parts that hold quarantined rows (with `reason`), found without reading the others."""
    if not store.exists(f"{link.folder}/parts/0-schema.parquet"):
        return []
    found = db.execute(
        f"SELECT DISTINCT filename FROM ({read_parts(store, link)}) "
        "WHERE status = 'quarantined' AND reason = coalesce(?, reason) ORDER BY filename",
        [reason],
    )
    return [f"{link.folder}/parts/{filename.rsplit('/', 1)[-1]}" for (filename,) in found.fetchall()]


def _forget(store: Store, link: Link, name: str, reason: str | None) -> int:
    """Rewrite one part without its quarantined rows (with `reason`); returns how many they were."""
    part = pq.read_table(io.BytesIO(store.read(name)))
    bad = pc.equal(part["status"], "quarantined")
    if reason is not None:
        bad = pc.and_(bad, pc.fill_null(pc.equal(part["reason"], reason), False))
    write_part(store, link, name.rsplit("/", 1)[-1].removesuffix(".parquet"), part.filter(pc.invert(bad)))
    count: int = pc.sum(bad).as_py()
    return count


def explain(tables: Tables, wanted: str) -> list[Row]:
    """The story of a source path, video, clip, pair or shard id: its rows from source to shard, in order.

    Ancestors come from following `parent` up, descendants from following it down.
    """
    keys = {wanted} | {row["key"] for row in (*_sources_named(tables, wanted), *_dropped_as_removed(tables, wanted))}
    found: dict[tuple[int, str, str], Row] = {}
    upward = set(keys)
    for depth in reversed(range(len(tables.links))):
        for row in _rows(tables, depth, "key", upward):
            found[depth, row["parent"], row["key"]] = row
            upward.add(row["parent"])
    downward = set(keys)
    for depth in range(len(tables.links)):
        for row in _rows(tables, depth, "parent", downward):
            found[depth, row["parent"], row["key"]] = row
            downward.add(row["key"])
    story = [{"stage": tables.links[depth].name, **found[depth, parent, key]} for depth, parent, key in sorted(found)]
    if reason := removal_reason(tables.store, wanted):
        story.append({"stage": "lake", "key": wanted, "status": "removed", "reason": reason})
    if not story:
        raise UsageError(
            f"nothing in this lake is called {wanted!r}; ids stand in `uvr dropped`, `uvr quarantine` and shards"
        )
    return story


def _sources_named(tables: Tables, wanted: str) -> list[Row]:
    return tables.query(
        f"SELECT key FROM in_{SOURCES} WHERE source = ? OR ends_with(source, ?)", [wanted, "/" + wanted.lstrip("./")]
    )


def _dropped_as_removed(tables: Tables, video_id: str) -> list[Row]:
    """The sources that are this video, if it was removed: their rows have no video's id any more."""
    stage = next((link.name for link in tables.links if "video_id" in link.columns), None)
    if stage is None:
        return []
    return tables.query(
        f"SELECT key FROM settled_{stage} WHERE reason = 'removed' AND detail ->> '$.video_id' = ?", [video_id]
    )


def _rows(tables: Tables, depth: int, column: str, keys: set[str]) -> list[Row]:
    link = tables.links[depth]
    own = ", ".join(f'"{name}"' for name in link.columns)
    rows = tables.query(
        f"SELECT key, parent, status, reason, error, detail{', ' + own if own else ''} FROM settled_{link.name} "
        f"WHERE {column} IN (SELECT unnest(?)) ORDER BY parent, key",
        [sorted(keys)],
    )
    return [{name: value for name, value in row.items() if value is not None} for row in rows]
