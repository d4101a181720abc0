"""Runs one stage of a chain to its end: anti-join, units, commits, sum check, yield floor."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from infra.budget import Budget, Prices, Spending
from infra.counts import Counts
from infra.errors import RunFailed
from infra.lease import Lease
from infra.pool import Pool
from infra.progress import Progress
from infra.released import recall
from infra.stage import RowStage, Service, Stage, TableStage
from infra.store import Store
from infra.tables import Link, Tables, has_table, part_table, replace_table, table_digest, write_part
from infra.workspace import LakeWorkspace, rounds

UNITS_PER_WORKER = 8  # small tables are cut finer, so that all workers have work and little is redone


@dataclass(frozen=True)
class Run:
    """What every stage of one run shares."""

    store: Store
    lease: Lease
    pool: Pool
    tables: Tables
    progress: Progress
    min_yield: float = 0.05  # least share of a row stage's input that must come out
    spending: Spending = field(default_factory=lambda: Spending(Budget(), Prices()))
    serve: Callable[[RowStage], Service] = lambda stage: Service()  # starts what a stage's workers will ask
    releases: Sequence[str] = ()  # ids of the lake's releases so far

    def released(self, stage: TableStage) -> pa.Table:
        """The rows of a stage that has begun which earlier releases were made from, if it wants to know them."""
        return recall(self.tables, stage, self.releases if stage.remembers is not None else ())


def run_stage(run: Run, stage: Stage, link: Link) -> Counts:
    """Do what is pending of `stage`.

    Raises RunFailed when its yield is under the floor, BudgetSpent when the run may not go on; after any
    error the stage can be run again and goes on with what is pending.
    The links of all earlier stages must have been begun in `run.tables`.
    """
    run.tables.begin(link, stage.schema)
    if isinstance(stage, RowStage):
        counts = _run_rows(run, stage, link)
    elif isinstance(stage, TableStage):
        counts = _run_table(run, stage, link)
    else:
        raise TypeError(f"{type(stage).__name__} is neither a row stage nor a table stage")
    run.progress.end(counts)
    if counts.pending:
        run.spending.check(counts, run.pool.workers)
    if isinstance(stage, RowStage):
        _check_yield(run, counts)
    return counts


def _run_rows(run: Run, stage: RowStage, link: Link) -> Counts:
    before = run.tables.counts(link.name)
    settled = before.in_ - before.pending
    if not before.pending:
        run.progress.begin(link.name, before.in_, settled)
        return before
    run.spending.check(before, run.pool.workers)
    service = run.serve(stage)
    run.progress.begin(link.name, before.in_, settled, service.gpus)
    workers = run.pool.workers or 2
    even_rows = -(-before.pending // (workers * UNITS_PER_WORKER))
    unit_rows = max(stage.least_unit_rows(), min(stage.unit_rows, even_rows))
    units = -(-before.pending // unit_rows)
    batches = run.tables.batches(f"pending_{link.name}", stage.needs, unit_rows)
    workspace = LakeWorkspace(run.store.url, link.folder, run.lease, service, rounds(run.store))
    with closing(run.pool.run(stage, workspace, _affordable(batches, run.spending), units)) as parts:
        for part in parts:
            commit(run, link, part)
            done, bad = len(set(part["parent"].to_pylist())), part["status"].to_pylist().count("quarantined")
            run.progress.advance(link.name, done, bad, pc.sum(part["tokens"]).as_py() or 0)
    return run.tables.counts(link.name)


def _affordable(batches: Iterable[pa.RecordBatch], spending: Spending) -> Iterator[pa.Table]:
    """Units as long as the budget lasts."""
    for batch in batches:
        if spending.limit():
            return
        yield pa.Table.from_batches([batch])


def commit(run: Run, link: Link, part: pa.Table) -> None:
    """Write one part under the name of its unit, if the lake is still this run's."""
    run.lease.check(run.store)
    write_part(run.store, link, unit_name(part["parent"].to_pylist()), part)
    run.spending.add(part)


def unit_name(keys: Iterable[str]) -> str:
    """The name of a unit: a hash of its sorted input keys."""
    return "unit-" + hashlib.sha256("\n".join(sorted(set(keys))).encode()).hexdigest()[:20]


def _run_table(run: Run, stage: TableStage, link: Link) -> Counts:
    """Recompute a table stage, unless its table was made from the same input and is all that was released since."""
    rows = run.tables.table(f"in_{link.name}", stage.needs)
    run.progress.begin(link.name, rows.num_rows, 0)
    run.lease.check(run.store)
    released = run.released(stage)
    names = stage.told_apart_by
    now = run.tables.table(f"parts_{link.name}", ("status", *(name for name in names if name != "key")))
    if not has_table(run.store, link, _input_digest(rows, released, now, names)):
        run.spending.check(run.tables.counts(link.name), run.pool.workers)
        part = part_table(stage.schema, stage.compute(rows, released))
        replace_table(run.store, link, _input_digest(rows, released, part, names), part)
    return run.tables.counts(link.name)


def _input_digest(rows: pa.Table, released: pa.Table, part: pa.Table, names: Sequence[str]) -> str:
    """What decides a table: its input, and the released rows that do not come out of it anyway, by columns `names`."""
    out = part.filter(pc.equal(part["status"], "out"))
    comes_out = pc.is_in(_joined(released, names), value_set=_joined(out, names))
    return table_digest(rows, released.filter(pc.invert(comes_out)))


def _joined(rows: pa.Table, names: Sequence[str]) -> pa.ChunkedArray:
    """One text for every row that is the same where these columns are."""
    return pc.binary_join_element_wise(*(rows[name] for name in names), "\n")


def _check_yield(run: Run, counts: Counts) -> None:
    if not counts.in_ or counts.parents / counts.in_ >= run.min_yield:
        return
    reasons = run.tables.query(
        f"SELECT reason, count(*) AS rows FROM settled_{counts.name} WHERE status <> 'out' "
        "GROUP BY reason ORDER BY rows DESC, reason LIMIT 5"
    )
    why = ", ".join(f"{row['reason']} {row['rows']}" for row in reasons)
    raise RunFailed(
        f"stage {counts.name} kept {counts.parents} of {counts.in_} rows, under the floor of {run.min_yield:.0%} "
        f"(run.min_yield in the recipe). Reasons: {why}. See `uvr quarantine` and `uvr dropped`."
    )
