"""The process that starts runs when they are due: `python -m flows.service.runner PARENT NIGHTLY LIMIT`.

It registers the deployments, picks up the runs that its predecessor left behind, then polls.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, cast
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterId,
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.runner import Runner
from prefect.states import AwaitingRetry, Cancelled, Crashed

from flows.events import announce_release
from flows.service.deployments import ON_RELEASE, build, read_deployments, register
from flows.service.nightly import Nightly
from flows.service.processes import end_with_parent, say_ready
from infra.store import Store
from shards.manifest import load_manifest, published

MAX_STARTS = 5  # of one run: what took its process down that often would do it again
MISSED = "Missed while nothing was serving; a later run does the same work."


def main(parent: str, nightly_json: str, limit: str) -> None:
    """Run what is due until the parent ends."""
    end_with_parent(int(parent))
    facts = json.loads(nightly_json)
    nightly = Nightly(**{**facts, "overrides": tuple(facts["overrides"])})
    runner = Runner(name="uvr", pause_on_shutdown=False, limit=int(limit))
    ids = {}
    for spec in read_deployments():
        deployment = build(spec, nightly)
        register(deployment, spec)
        ids[deployment.name] = cast(UUID, runner.add_deployment(deployment))  # not awaited, so no coroutine
    with get_client(sync_client=True) as client:
        pick_up(client, list(ids.values()))
        if nightly.lake is not None:
            catch_up(client, ids[ON_RELEASE], nightly.lake)
    say_ready("ready")
    asyncio.run(runner.start())


def pick_up(client: SyncPrefectClient, deployments: Sequence[UUID]) -> None:
    """Set right the runs that a runner left behind when it ended: one that was going on is started again.

    Only one runner serves these deployments, so a run that shows as going on now has no process.
    """
    for run in _runs(client, deployments, [StateType.RUNNING, StateType.PENDING]):
        often = f"Started {run.run_count} times, and each time its process ended without a word."
        again: State[Any] = AwaitingRetry(message="Its runner ended; going on from what is committed.")
        client.set_flow_run_state(run.id, again if run.run_count < MAX_STARTS else Crashed(message=often), force=True)
    for run in _runs(client, deployments, [StateType.CANCELLING]):
        client.set_flow_run_state(run.id, Cancelled(), force=True)
    now = datetime.now(UTC)
    late = [run for run in _runs(client, deployments, [StateType.SCHEDULED]) if run.auto_scheduled]
    late = [run for run in late if run.next_scheduled_start_time and run.next_scheduled_start_time < now]
    newest = {run.deployment_id: run.id for run in sorted(late, key=lambda run: str(run.next_scheduled_start_time))}
    for run in late:
        if run.id not in newest.values():
            client.set_flow_run_state(run.id, Cancelled(message=MISSED), force=True)


def catch_up(client: SyncPrefectClient, deployment: UUID, lake: str) -> None:
    """Announce the latest release of a lake again if its event was lost: nobody was there, or the server died."""
    store = Store(lake)
    if not (releases := published(store)):
        return
    manifest = f"{store.url}/releases/{releases[-1]}/manifest.json"
    if manifest not in [run.parameters.get("manifest") for run in _runs(client, [deployment], list(StateType))]:
        announce_release(store, load_manifest(manifest))


def _runs(client: SyncPrefectClient, deployments: Sequence[UUID], types: list[StateType]) -> list[FlowRun]:
    state = FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=types)))
    return client.read_flow_runs(
        deployment_filter=DeploymentFilter(id=DeploymentFilterId(any_=list(deployments))), flow_run_filter=state
    )


def arguments(nightly: Nightly, limit: int) -> list[str]:
    """The command line of this module for a nightly."""
    return [json.dumps(asdict(nightly)), str(limit)]


if __name__ == "__main__":
    main(*sys.argv[1:])
