"""Videos to a release: the synthesis chain as one Prefect flow, one task per stage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from functools import partial
from typing import Any

from prefect import flow

from flows.artifacts import LiveProgress, show_lake, show_links, show_release
from flows.decontamination import decontamination
from flows.events import announce_release
from flows.negatives import negatives
from flows.printing import say
from flows.recipe import Recipe, read_recipe
from flows.removal import heed_removals
from flows.service.processes import end_with_runner
from flows.serving import ModelServers
from flows.steering import steered, steering_facts
from flows.steps import step
from infra.budget import Spending
from infra.counts import Counts, status_row
from infra.engine import Run, run_stage
from infra.errors import RunFailed, UvrError
from infra.lake import RunRecord, funnel, requeue, save_record
from infra.lease import Lease, hold_lease
from infra.pool import Pool
from infra.progress import Progress
from infra.redact import refuse_secrets
from infra.released import remember
from infra.stage import Outcome, Stage
from infra.store import Store
from infra.tables import SOURCES, Link, Tables, chain_links, write_listing
from shards.contact_sheet import ensure_contact_sheet
from shards.index import index_rows
from shards.manifest import Manifest, load_manifest, published
from shards.publish import publish
from synth.ingest import list_sources
from synth.tasks import shortage


@flow(name="synthesize-pairs")
def synthesize_pairs(videos: str, lake: str, recipe: str | None = None, overrides: Sequence[str] = ()) -> str:
    """Run every stage over `videos` and publish the release; returns the manifest's location.

    `recipe` is a TOML file, `overrides` are `section.key=value` texts. What the lake already holds is
    not done again. Raises UsageError before anything starts when the recipe or the videos are wrong,
    RunFailed when the run cannot go on, BudgetSpent when it may not.
    """
    end_with_runner()
    refuse_secrets(videos, lake)
    store = Store(lake)
    settings, steered_by = read_recipe(recipe, overrides), None
    delays = settings.run.retry_delays_s
    if settings.diagnosis.apply:
        settings, steered_by = step("heed diagnosis", partial(steered, store, settings), delays)
    spending = Spending(settings.budget, settings.prices)
    listed = step("list videos", partial(list_sources, videos), delays)
    stages = settings.chain()
    for text in settings.unchecked():
        say(f"not checked: {text}")
    links = chain_links(stages)
    with ExitStack() as held:
        taking = partial(hold_lease, store, settings.run.wait_s, say)
        lease = step("take the lake", lambda: held.enter_context(taking()), delays)
        live = held.enter_context(LiveProgress())
        progress = held.enter_context(Progress(live))
        pool = held.enter_context(Pool(settings.run.workers, settings.run.ray_address))
        record = RunRecord(tuple(links), asdict(settings))
        step("begin", partial(_begin, store, lease, record, listed), delays)
        tables = held.enter_context(Tables(store, links))
        servers = held.enter_context(ModelServers(settings, pool))
        releases = published(store)
        run = Run(store, lease, pool, tables, progress, settings.run.min_yield, spending, servers, releases)
        try:
            manifest, counts = _run_chain(run, settings, stages, links[1:], steering_facts(steered_by))
        except UvrError:
            show_lake(tables, funnel(tables))
            raise
        quarantined = show_lake(tables, counts)
        ended = replace(record, release=manifest, funnel=tuple(counts), quarantined=quarantined)
        release = step("conclude", partial(_conclude, store, ended), delays)
    show_release(release)
    show_links({"release": manifest, "lake": store.url})
    announce_release(store, release)
    return manifest


def _begin(store: Store, lease: Lease, record: RunRecord, listed: Sequence[Outcome]) -> None:
    """Write down what this run is about to do."""
    save_record(store, record)
    heed_removals(store, lease)
    write_listing(store, record.links[0], listed)
    requeue(store, lease, record.links, None, "unreachable")  # a server that was down may be up again


def _conclude(store: Store, record: RunRecord) -> Manifest:
    """Write down what this run did; returns the release it published."""
    save_record(store, record)
    release = load_manifest(str(record.release))
    ensure_contact_sheet(release)
    return release


def _run_chain(
    run: Run, recipe: Recipe, stages: Sequence[Stage], links: Sequence[Link], told: Mapping[str, object]
) -> tuple[str, list[Counts]]:
    """Every stage, then the release, whose manifest has what is `told`; each is a task run.

    It is tried again when its failure may pass.
    """
    sources = run.tables.counts(SOURCES)
    run.progress.begin(SOURCES, sources.in_, sources.in_)
    run.progress.end(sources)
    counts = [sources]
    delays = recipe.run.retry_delays_s
    for stage, link in zip(stages, links, strict=True):
        counts.append(step(stage.name, partial(run_stage, run, stage, link), delays))
    return f"{run.store.url}/{step('publish', partial(_publish, run, recipe, stages, counts, told), delays)}", counts


def _publish(
    run: Run, recipe: Recipe, stages: Sequence[Stage], counts: Sequence[Counts], told: Mapping[str, object]
) -> str:
    packed = counts[-1]
    if packed.quarantined:
        bad = run.tables.query("SELECT key, error FROM settled_pack WHERE status = 'quarantined' LIMIT 1")[0]
        raise RunFailed(f"{packed.quarantined} shards could not be written, so nothing was released: {bad['error']}")
    made = {
        row["task"]: row["pairs"]
        for row in run.tables.query("SELECT task, count(*) AS pairs FROM out_pairs GROUP BY task")
    }
    wanted = recipe.pairs.quotas(next(c.in_ for c in counts if c.name == "pairs"))
    facts = {
        "recipe": recipe.synthesis(),
        "fingerprints": {link.name: link.folder.rsplit("-", 1)[-1] for link in run.tables.links[1:]},
        "funnel": [_without_cost(stage) for stage in counts],
        "quotas": wanted,
        "shortage": shortage(wanted, made),
        "decontamination": decontamination(run.tables),
        "negatives": negatives(run.tables),
        **told,
    }
    packs = run.tables.query("SELECT * FROM out_pack ORDER BY key")
    index = index_rows(run.tables.db, f"out_{stages[-2].name}")
    return publish(run.store, run.lease, packs, index, facts, partial(remember, run.tables, stages, run.releases))


def _without_cost(counts: Counts) -> dict[str, Any]:
    """Counts as they stand in a manifest: the same for the same release, whatever it took."""
    facts = status_row(counts)
    del facts["seconds"], facts["tokens"]
    return facts
