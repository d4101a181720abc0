"""Runs of toy stages over a lake, for the tests of the engine."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from infra.budget import Budget, Prices, Spending
from infra.counts import Counts
from infra.engine import Run, run_stage
from infra.lease import hold_lease
from infra.pool import Pool
from infra.progress import Progress
from infra.stage import Stage
from infra.store import Store
from infra.tables import Tables, chain_links


@contextmanager
def open_run(
    root: Path,
    stages: Sequence[Stage],
    pool: Pool,
    min_yield: float = 0.05,
    budget: Budget | None = None,
    prices: Prices | None = None,
    releases: Sequence[str] = (),
) -> Iterator[Run]:
    """What a run over these stages shares, while it holds the lake."""
    store = Store(str(root))
    spending = Spending(budget or Budget(), prices or Prices())
    with hold_lease(store) as lease, Progress() as progress:
        tables = Tables(store, chain_links(stages))
        yield Run(store, lease, pool, tables, progress, min_yield, spending, releases=releases)


def run_chain(root: Path, stages: Sequence[Stage], pool: Pool, min_yield: float = 0.05) -> tuple[Tables, list[Counts]]:
    """One run of every stage."""
    with open_run(root, stages, pool, min_yield) as run:
        return run.tables, run_all(run, stages)


def run_all(run: Run, stages: Sequence[Stage]) -> list[Counts]:
    """Every stage of the chain, as one attempt of a run that may make several."""
    return [run_stage(run, stage, link) for stage, link in zip(stages, chain_links(stages)[1:], strict=True)]


def as_tuple(counts: Counts) -> tuple[int, ...]:
    """In, out, dropped, quarantined, pending."""
    return (counts.in_, counts.out, counts.dropped, counts.quarantined, counts.pending)
