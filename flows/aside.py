"""Some stages of the chain by themselves: without Prefect, without a release."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass

from flows.recipe import Recipe
from flows.serving import ModelServers
from infra.counts import Counts
from infra.engine import Run, run_stage
from infra.lake import RunRecord, save_record
from infra.lease import hold_lease
from infra.pool import Pool
from infra.progress import Progress
from infra.stage import Outcome, Stage
from infra.store import Store
from infra.tables import Tables, chain_links, write_listing


@dataclass(frozen=True)
class Done:
    """What the stages came to; the tables are open until the block ends."""

    tables: Tables
    counts: tuple[Counts, ...]
    workers: int


@contextmanager
def run_aside(recipe: Recipe, stages: Sequence[Stage], listed: Sequence[Outcome], lake: str) -> Iterator[Done]:
    """Run `stages` over listed sources in `lake`, going on from what it holds; no yield is too low.

    On a lake of this machine workers are taken here, whatever cluster the recipe names. Raises RunFailed.
    """
    links = chain_links(stages)
    with ExitStack() as held:
        store = Store(lake)
        lease = held.enter_context(hold_lease(store, recipe.run.wait_s))
        progress = held.enter_context(Progress())
        pool = held.enter_context(Pool(recipe.run.workers if recipe.run.ray_address == "local" else 0))
        save_record(store, RunRecord(tuple(links), asdict(recipe)))  # so that the lake can be asked about it
        write_listing(store, links[0], listed)
        tables = held.enter_context(Tables(store, links))
        servers = held.enter_context(ModelServers(recipe, pool))
        run = Run(store, lease, pool, tables, progress, min_yield=0.0, serve=servers)
        counts = tuple(run_stage(run, stage, link) for stage, link in zip(stages, links[1:], strict=True))
        yield Done(tables, counts, pool.workers or os.cpu_count() or 1)
