"""Videos to a release: the synthesis chain as one Prefect flow, one task per stage."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from functools import partial
from typing import Any

from prefect import flow

from flows.recipe import Recipe
from flows.steps import step
from infra.budget import Spending
from infra.engine import Run, run_stage
from infra.errors import RunFailed
from infra.lake import RunRecord, requeue, save_record
from infra.lease import hold_lease
from infra.pool import Pool
from infra.progress import Progress
from infra.recipe import load_recipe
from infra.stage import Outcome
from infra.store import Store
from infra.tables import (
    SOURCE_COLUMNS,
    SOURCES,
    Counts,
    Link,
    Tables,
    chain_links,
    ensure_table,
    has_table,
    part_table,
    replace_table,
    status_row,
    table_digest,
)
from shards.manifest import publish
from synth.ingest import list_sources
from synth.tasks import quotas, shortage


@flow(name="synthesize-pairs")
def synthesize_pairs(videos: str, lake: str, recipe_path: str | None = None, overrides: Sequence[str] = ()) -> str:
    """Run every stage over `videos` and publish the release; returns the manifest's location.

    What the lake already holds is not done again. Raises UsageError before anything starts when the
    recipe or the videos are wrong, RunFailed when the run cannot go on, BudgetSpent when it may not.
    """
    recipe = load_recipe(Recipe, recipe_path, overrides)
    spending = Spending(recipe.budget, recipe.prices)
    listed = list_sources(videos)
    store = Store(lake)
    stages = recipe.chain()
    links = chain_links(stages)
    with ExitStack() as held:
        lease = held.enter_context(hold_lease(store))
        progress = held.enter_context(Progress())
        pool = held.enter_context(Pool(recipe.run.workers, recipe.run.ray_address))
        save_record(store, RunRecord(tuple(links), asdict(recipe)))
        _write_listing(store, links[0], listed)
        requeue(store, lease, links, None, "unreachable")  # a server that was down may be up again
        tables = held.enter_context(Tables(store, links))
        run = Run(store, lease, pool, tables, progress, recipe.run.min_yield, spending)
        progress.begin(SOURCES, len(listed), len(listed))
        counts = [tables.counts(SOURCES)]
        progress.end(counts[0])
        for stage, link in zip(stages, links[1:], strict=True):
            counts.append(step(stage.name, partial(run_stage, run, stage, link)))
        manifest = step("publish", partial(_publish, run, recipe, counts))
        save_record(store, RunRecord(tuple(links), asdict(recipe), f"{store.url}/{manifest}"))
    return f"{store.url}/{manifest}"


def _write_listing(store: Store, link: Link, listed: Sequence[Outcome]) -> None:
    listing = part_table(SOURCE_COLUMNS, listed)
    digest = table_digest(listing)
    ensure_table(store, link, SOURCE_COLUMNS)
    if not has_table(store, link, digest):
        replace_table(store, link, digest, listing)


def _publish(run: Run, recipe: Recipe, counts: Sequence[Counts]) -> str:
    packed = counts[-1]
    if packed.quarantined:
        bad = run.tables.query("SELECT key, error FROM settled_pack WHERE status = 'quarantined' LIMIT 1")[0]
        raise RunFailed(f"{packed.quarantined} shards could not be written, so nothing was released: {bad['error']}")
    made = {
        row["task"]: row["pairs"]
        for row in run.tables.query("SELECT task, count(*) AS pairs FROM out_pairs GROUP BY task")
    }
    wanted = quotas(recipe.pairs.target_pairs, next(c.in_ for c in counts if c.name == "pairs"))
    facts = {
        "recipe": recipe.synthesis(),
        "fingerprints": {link.name: link.folder.rsplit("-", 1)[-1] for link in run.tables.links[1:]},
        "funnel": [_without_cost(stage) for stage in counts],
        "quotas": wanted,
        "shortage": shortage(wanted, made),
    }
    return publish(run.store, run.lease, run.tables.query("SELECT * FROM out_pack ORDER BY key"), facts)


def _without_cost(counts: Counts) -> dict[str, Any]:
    """Counts as they stand in a manifest: the same for the same release, whatever it took."""
    facts = status_row(counts)
    del facts["seconds"], facts["tokens"]
    return facts
