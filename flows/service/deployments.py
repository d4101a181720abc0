"""The deployments of infra/prefect.yaml: read from there, filled in and registered with a Prefect API."""

from __future__ import annotations

from datetime import timedelta
from importlib.resources import files
from typing import Any, cast
from uuid import UUID

import yaml
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.objects import StateType
from prefect.client.schemas.schedules import CronSchedule
from prefect.deployments.runner import RunnerDeployment
from prefect.events import AutomationCore, DeploymentEventTrigger, EventTrigger, Posture
from prefect.events.actions import ChangeFlowRunState

from flows.service.nightly import Nightly

NIGHTLY = "nightly"
ON_RELEASE = "on-release"
HEARTBEAT_S = 30  # between a run's signs of life
SILENT_S = 120  # a run that gave none for this long has died


def read_deployments() -> list[dict[str, Any]]:
    """The deployments as prefect.yaml has them."""
    found: list[dict[str, Any]] = yaml.safe_load(files("infra").joinpath("prefect.yaml").read_text())["deployments"]
    return found


def build(spec: dict[str, Any], nightly: Nightly) -> RunnerDeployment:
    """One deployment of prefect.yaml with the nightly's parameters and schedule."""
    parameters: dict[str, Any] = {**spec["parameters"], "recipe": nightly.recipe, "overrides": list(nightly.overrides)}
    schedules = []
    if spec["name"] == NIGHTLY and nightly.is_scheduled:
        parameters |= {"videos": nightly.videos, "lake": nightly.lake}
        for schedule in spec["schedules"]:
            cron, timezone = nightly.cron or schedule["cron"], nightly.timezone or schedule["timezone"]
            schedules.append(DeploymentScheduleCreate(schedule=CronSchedule(cron=cron, timezone=timezone), active=True))
    return RunnerDeployment.from_entrypoint(
        spec["entrypoint"],
        spec["name"],
        description=spec["description"],
        tags=spec["tags"],
        parameters=parameters,
        schedules=schedules,
    )


def register(deployment: RunnerDeployment, spec: dict[str, Any], pool: str | None = None) -> str:
    """Register a deployment and its triggers; returns `flow name/deployment name`."""
    if pool is not None:
        deployment.job_variables = {"env": {"PREFECT_FLOWS_HEARTBEAT_FREQUENCY": str(HEARTBEAT_S)}}
    deployment_id = cast(UUID, deployment.apply(work_pool_name=pool))  # not awaited, so no coroutine
    with get_client(sync_client=True) as client:
        for facts in spec.get("triggers", ()):
            trigger = DeploymentEventTrigger(**facts)
            trigger.set_deployment_id(deployment_id)
            ensure_automation(client, trigger.as_automation().model_copy(update={"owner_resource": None}))
    return deployment.full_name


def register_all(nightly: Nightly, pool: str) -> list[str]:
    """Register every deployment for the workers of a work pool, and what notices runs that died with their machine."""
    names = [register(build(spec, nightly), spec, pool) for spec in read_deployments()]
    with get_client(sync_client=True) as client:
        ensure_automation(client, crash_detection())
    return names


def ensure_automation(client: SyncPrefectClient, wanted: AutomationCore) -> None:
    """Make `wanted` the one automation of its name; one that is the same already is left as it is.

    An automation remembers for which resources it has fired, so it must not be made anew without need.
    """
    found = client.read_automations_by_name(wanted.name)
    same = [known for known in found if _facts(known) == _facts(wanted)]
    for known in found:
        if known not in same[:1]:
            client.delete_automation(known.id)
    if not same:
        client.create_automation(wanted)


def _facts(automation: AutomationCore) -> dict[str, Any]:
    facts = automation.model_dump(mode="json", include={"enabled", "description", "trigger", "actions"})
    facts["trigger"].pop("id", None)
    return facts


def crash_detection() -> AutomationCore:
    """Marks a run as crashed when its signs of life stop, so that none shows as running for ever.

    The pattern of Prefect's guide "Detect zombie flows".
    """
    ends = {f"prefect.flow-run.{state.value.capitalize()}" for state in StateType}
    return AutomationCore(
        name="mark runs that died as crashed",
        trigger=EventTrigger(
            after={"prefect.flow-run.heartbeat"},
            expect={"prefect.flow-run.heartbeat", "prefect.flow-run.AwaitingRetry", *ends},
            match={"prefect.resource.id": ["prefect.flow-run.*"]},
            for_each={"prefect.resource.id"},
            posture=Posture.Proactive,
            threshold=1,
            within=timedelta(seconds=SILENT_S),
        ),
        actions=[
            ChangeFlowRunState(
                name=None,
                state=StateType.CRASHED,
                force=False,
                message=f"No sign of life for {SILENT_S} s: its process or machine is gone. What it committed stays; "
                "retry the run to go on.",
            )
        ],
    )
