"""Keyed tables of a lake as DuckDB views over Parquet part files.

A stage's folder holds `parts/*.parquet`. A part is the commit record of one unit: every input key
of the unit appears in it as `parent`, with a `status` of out, dropped or quarantined. For a chain of
stages the views are, for each stage S:

  parts_S    all part rows; where two parts hold one parent (a stale commit), the first file counts
  in_S       out rows of the stage before (grouped when S works on groups)
  keys_S     the keys of in_S, as a table: what they were when the stage was begun here
  settled_S  part rows whose parent is an input now
  out_S      settled output rows, with every column of earlier stages joined back by key
  pending_S  input rows that no part holds: the anti-join that resuming is
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType, TracebackType

import duckdb
import pyarrow as pa

from infra.counts import Counts
from infra.stage import Drop, Fault, Outcome, Row, RowStage, Stage
from infra.store import Store

SOURCES = "sources"
SOURCE_COLUMNS = pa.schema(
    [("source", pa.string()), ("size_bytes", pa.int64()), ("weak_caption", pa.string()), ("license", pa.string())]
)

RECORD = pa.schema(
    [
        ("key", pa.string()),
        ("parent", pa.string()),
        ("status", pa.string()),
        ("reason", pa.string()),
        ("error", pa.string()),
        ("detail", pa.string()),
        ("seconds", pa.float64()),  # worker time of the parent, on its first row
        ("tokens", pa.int64()),  # that models read and wrote for the parent, on its first row
    ]
)


@dataclass(frozen=True)
class Link:
    """Where one stage of a chain keeps its table; enough to read a lake without the stage's code."""

    name: str
    folder: str
    columns: tuple[str, ...]
    needs: tuple[str, ...] = ()
    group_by: str = ""


def source_link() -> Link:
    """The link every chain begins with: the listed input files."""
    return Link(SOURCES, f"stages/{SOURCES}", tuple(SOURCE_COLUMNS.names))


def chain_links(stages: Sequence[Stage]) -> list[Link]:
    """Links of the sources and `stages`; each folder is named by everything its rows depend on."""
    links = [source_link()]
    upstream: list[str] = []
    for stage in stages:
        mark = stage.fingerprint(upstream)
        upstream = [mark]
        group_by = stage.group_by if isinstance(stage, RowStage) else ""
        folder = f"stages/{stage.name}-{mark}"
        links.append(Link(stage.name, folder, tuple(stage.schema.names), stage.needs, group_by))
    return links


def part_table(
    schema: pa.Schema,
    outcomes: Iterable[Outcome],
    seconds: Mapping[str, float] = MappingProxyType({}),
    tokens: Mapping[str, int] = MappingProxyType({}),
) -> pa.Table:
    """One part: outcomes as rows of the record columns followed by `schema`, sorted by parent and key.

    `seconds` and `tokens` are what each parent took.
    """
    rows = [_record(outcome) for outcome in outcomes]
    rows.sort(key=lambda row: (row["parent"], row["key"]))
    before = None
    for row in rows:
        is_first = row["parent"] != before
        before = row["parent"]
        row["seconds"] = seconds.get(before, 0.0) if is_first else 0.0
        row["tokens"] = tokens.get(before, 0) if is_first else 0
    return pa.Table.from_pylist(rows, schema=pa.schema([*RECORD, *schema]))


def _record(outcome: Outcome) -> Row:
    if isinstance(outcome, Drop):
        verdict = {"status": "dropped", "reason": outcome.reason, "detail": json.dumps(outcome.detail, sort_keys=True)}
        return {"key": outcome.key, "parent": outcome.key, **verdict}
    if isinstance(outcome, Fault):
        fault = {"status": "quarantined", "reason": outcome.reason, "error": outcome.error}
        return {"key": outcome.key, "parent": outcome.key, **fault}
    return {**outcome, "status": "out"}


def write_part(store: Store, link: Link, name: str, part: pa.Table) -> None:
    """Commit one part under `name`."""
    store.write_table(f"{link.folder}/parts/{name}.parquet", part)


def table_digest(*tables: pa.Table) -> str:
    """A hash of the columns and rows of tables, the same for equal content however it is chunked."""
    digest = hashlib.sha256()
    for table in tables:
        sink = pa.BufferOutputStream()
        whole = table.combine_chunks()
        with pa.ipc.new_stream(sink, whole.schema) as writer:
            writer.write_table(whole)
        digest.update(sink.getvalue())
    return digest.hexdigest()[:20]


def has_table(store: Store, link: Link, digest: str) -> bool:
    """Whether the stage's one part is there and was made from input with this digest."""
    return store.list(f"{link.folder}/parts", ".parquet")[1:] == [f"{link.folder}/parts/table-{digest}.parquet"]


def replace_table(store: Store, link: Link, digest: str, part: pa.Table) -> None:
    """Make `part` the whole of a stage's table."""
    old = store.list(f"{link.folder}/parts", ".parquet")
    write_part(store, link, f"table-{digest}", part)
    for name in old:
        if not name.endswith(("/0-schema.parquet", f"/table-{digest}.parquet")):
            store.remove(name)


def ensure_table(store: Store, link: Link, schema: pa.Schema) -> None:
    """Make sure the stage's table can be queried before its first commit."""
    if not store.exists(f"{link.folder}/parts/0-schema.parquet"):
        write_part(store, link, "0-schema", pa.schema([*RECORD, *schema]).empty_table())


def write_listing(store: Store, link: Link, listed: Iterable[Outcome]) -> None:
    """Make `listed` (rows of SOURCE_COLUMNS, drops and faults) the whole of the sources table."""
    listing = part_table(SOURCE_COLUMNS, listed)
    digest = table_digest(listing)
    ensure_table(store, link, SOURCE_COLUMNS)
    if not has_table(store, link, digest):
        replace_table(store, link, digest, listing)


def connect(store: Store, memory_limit: str = "2GB") -> duckdb.DuckDBPyConnection:
    """A database that can read the store's files; close it."""
    db = duckdb.connect(config={"memory_limit": memory_limit})
    if not store.is_local:
        store.fs.invalidate_cache()
        db.register_filesystem(store.fs)
    return db


def read_parts(store: Store, link: Link) -> str:
    """The query for all rows of a stage's parts, each with the `filename` it stands in.

    Parts from before tokens were counted lack that column; there it is NULL.
    """
    quoted = store.location(f"{link.folder}/parts/*.parquet").replace("'", "''")
    return (
        f"SELECT * FROM read_parquet('{quoted}', filename = true, union_by_name = true) "
        "UNION ALL BY NAME SELECT NULL::BIGINT AS tokens WHERE false"
    )


class Tables:
    """The views of one chain; links whose stages never began are left out."""

    def __init__(self, store: Store, links: Sequence[Link], memory_limit: str = "2GB") -> None:
        self.store = store
        self.db = connect(store, memory_limit)
        self.links: list[Link] = []
        self._outputs: dict[str, list[str]] = {}  # columns of every out_S
        for link in links:
            if not store.exists(f"{link.folder}/parts/0-schema.parquet"):
                break
            self._add(link)

    def __enter__(self) -> Tables:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.db.close()

    def _add(self, link: Link) -> None:
        """Create the views of the next stage of the chain."""
        name = link.name
        before = self.links[-1] if self.links else None
        self.links.append(link)
        self.db.execute(
            f"CREATE VIEW parts_{name} AS SELECT * EXCLUDE filename FROM ({read_parts(self.store, link)}) "
            "QUALIFY filename = min(filename) OVER (PARTITION BY parent)"
        )
        self.db.execute(f"CREATE VIEW in_{name} AS {_input(link, before)}")
        self._keep_keys(link)
        self.db.execute(
            f"CREATE VIEW settled_{name} AS SELECT p.* FROM parts_{name} p SEMI JOIN keys_{name} i ON p.parent = i.key"
        )
        own = ["key", "parent", *link.columns]
        inputs = link.needs if link.group_by else self._outputs[before.name] if before else []
        carried = [c for c in inputs if c not in own]
        self._outputs[name] = own + carried
        columns = [f'p."{c}"' for c in own] + [f'i."{c}"' for c in carried]
        self.db.execute(
            f"CREATE VIEW out_{name} AS SELECT {', '.join(columns)} "
            f"FROM parts_{name} p JOIN in_{name} i ON p.parent = i.key WHERE p.status = 'out'"
        )
        self.db.execute(
            f"CREATE VIEW pending_{name} AS SELECT i.* FROM in_{name} i ANTI JOIN parts_{name} p ON p.parent = i.key"
        )

    def _keep_keys(self, link: Link) -> None:
        """Take down which rows are the stage's input, found from those of the stage before.

        Counting over `in_S` instead would read every earlier stage, for every stage again.
        """
        at = self.links.index(link)
        query = f"SELECT key FROM in_{link.name}"
        if at and not link.group_by:
            before = self.links[at - 1].name
            query = (
                f"SELECT p.key FROM parts_{before} p JOIN keys_{before} i ON p.parent = i.key WHERE p.status = 'out'"
            )
        self.db.execute(f"CREATE OR REPLACE TABLE keys_{link.name} AS {query}")

    def begin(self, link: Link, schema: pa.Schema) -> None:
        """Add the next stage of the chain, creating its table when it is new; the stage before has ended."""
        ensure_table(self.store, link, schema)
        if link.name in self._outputs:
            self._keep_keys(link)
        else:
            self._add(link)

    def refresh(self) -> None:
        """Take down anew what every stage's input is."""
        for link in self.links:
            self._keep_keys(link)

    def batches(self, view: str, columns: Sequence[str], rows: int) -> Iterator[pa.RecordBatch]:
        """Rows of a view sorted by key, as record batches of at most `rows`, streamed."""
        chosen = ", ".join(f'"{c}"' for c in ("key", *columns))
        found = self.db.cursor().sql(f"SELECT {chosen} FROM {view} ORDER BY key")
        reader: pa.RecordBatchReader = found.to_arrow_reader(rows)
        yield from reader

    def table(self, view: str, columns: Sequence[str]) -> pa.Table:
        """All rows of a view, sorted by key."""
        chosen = ", ".join(f'"{c}"' for c in ("key", *columns))
        return self.db.sql(f"SELECT {chosen} FROM {view} ORDER BY key").to_arrow_table()

    def query(self, sql: str, parameters: Sequence[object] = ()) -> list[Row]:
        """Rows of any query over the views, as dictionaries."""
        found = self.db.execute(sql, list(parameters))
        names = [column[0] for column in found.description]
        return [dict(zip(names, values, strict=True)) for values in found.fetchall()]

    def counts(self, name: str) -> Counts:
        """Where every input key of a stage is; the sum is checked."""
        sql = f"""
            SELECT (SELECT count(*) FROM keys_{name}) AS in_,
                   count(*) FILTER (status = 'out') AS out,
                   count(DISTINCT parent) FILTER (status = 'out') AS parents,
                   count(*) FILTER (status = 'dropped') AS dropped,
                   count(*) FILTER (status = 'quarantined') AS quarantined,
                   (SELECT count(*) FROM keys_{name} i ANTI JOIN parts_{name} p ON p.parent = i.key) AS pending,
                   coalesce(sum(seconds), 0.0) AS seconds,
                   coalesce(sum(tokens), 0)::BIGINT AS tokens
            FROM settled_{name}"""
        counts = Counts(name=name, **self.query(sql)[0])
        counts.check()
        return counts


def _input(link: Link, before: Link | None) -> str:
    """The query for the input rows of a stage."""
    if before is None:
        columns = ", ".join(f"any_value({c}) AS {c}" for c in link.columns)
        return f"SELECT parent AS key, {columns} FROM parts_{link.name} GROUP BY parent"
    if not link.group_by:
        return f"SELECT * EXCLUDE parent FROM out_{before.name}"
    columns = ", ".join(f'list("{c}" ORDER BY key) AS "{c}"' for c in link.needs)
    return f'SELECT "{link.group_by}" AS key, {columns} FROM out_{before.name} GROUP BY "{link.group_by}"'
