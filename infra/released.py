"""What a lake's releases were made from, so that no later run takes it back in favour of something else.

For every table stage that asks for it, each release adds the stage's rows that led to one of its
shards: `kept/released/<stage>-v<version>/<release id>.parquet`, written before the release is
published and of no account until it is.
"""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from infra.stage import Stage, TableStage
from infra.store import Store
from infra.tables import Tables
from infra.workspace import KEPT


def remember(tables: Tables, stages: Sequence[Stage], earlier: Sequence[str], release_id: str) -> None:
    """Write down the rows of `stages` that everything the last of them put out was made from, as `release_id`'s.

    Rows that `earlier` releases were made from are not written again, unless something that tells a stage's rows
    apart has changed.
    """
    _trace(tables, {stage.name: _columns(stage) for stage in stages})
    for stage in stages:
        if isinstance(stage, TableStage) and stage.remembers is not None:
            tables.db.register("known", recall(tables, stage, earlier).select(list(stage.told_apart_by)))
            same = ", ".join(f'"{name}"' for name in stage.told_apart_by)
            new = tables.db.sql(
                f"SELECT * FROM released_{stage.name} ANTI JOIN known USING ({same}) ORDER BY {same}"
            ).to_arrow_table()
            tables.db.unregister("known")
            write_released(tables.store, stage, release_id, new)


def _trace(tables: Tables, columns: dict[str, tuple[str, ...]]) -> None:
    """A table `released_S` for every stage S: its output rows from which a row of the last stage descends."""
    after = ""  # the condition that a row is the parent of a released one
    for link in reversed(tables.links[1:]):
        own = ", ".join(f'"{name}"' for name in ("key", "parent", *columns[link.name]))
        is_own = {link.group_by, *columns[link.name]} <= {"", *link.columns}  # then no earlier stage need be read
        rows = f"settled_{link.name} WHERE status = 'out'" if is_own else f"out_{link.name} WHERE true"
        tables.db.execute(f"CREATE OR REPLACE TEMP TABLE released_{link.name} AS SELECT {own} FROM {rows} {after}")
        after = f'AND "{link.group_by or "key"}" IN (SELECT parent FROM released_{link.name})'


def recall(tables: Tables, stage: TableStage, releases: Sequence[str]) -> pa.Table:
    """The rows of a stage that some releases were made from: key, parent and what it remembers.

    They are sorted by what tells them apart. The stage must have begun in `tables`. What another version of it
    wrote is not read.
    """
    names = [_file(stage, release_id) for release_id in releases]
    found = [tables.store.location(name) for name in names if tables.store.exists(name)]
    columns = ", ".join(f'"{name}"' for name in ("key", "parent", *_columns(stage)))
    if not found:
        return tables.db.sql(f"SELECT {columns} FROM out_{stage.name} WHERE false").to_arrow_table()
    order = ", ".join(f'"{name}"' for name in stage.told_apart_by)
    return tables.db.sql(
        f"SELECT {columns} FROM read_parquet($found) ORDER BY {order}", params={"found": found}
    ).to_arrow_table()


def write_released(store: Store, stage: Stage, release_id: str, rows: pa.Table) -> None:
    """Make `rows` (key, parent and what the stage remembers) what a release adds to its memory."""
    store.write_table(_file(stage, release_id), rows)


def _columns(stage: Stage) -> tuple[str, ...]:
    return (stage.remembers or ()) if isinstance(stage, TableStage) else ()


def _file(stage: Stage, release_id: str) -> str:
    return f"{KEPT}/released/{stage.name}-v{stage.version}/{release_id}.parquet"
