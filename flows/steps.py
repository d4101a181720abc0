"""One Prefect task per step of a flow."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun

from infra.errors import Passing
from infra.redact import redact

T = TypeVar("T")


def step(name: str, work: Callable[[], T], retry_delays_s: Sequence[float] = ()) -> T:
    """Do `work` as a task run called `name`; what may pass by itself is tried again after each of the delays.

    Resuming is the lake's business, so Prefect neither caches nor stores what a step returns, and a
    second try does only what the first left.
    """
    return task(
        name=name,
        cache_policy=NO_CACHE,
        persist_result=False,
        retries=len(retry_delays_s),
        retry_delay_seconds=list(retry_delays_s),
        retry_jitter_factor=0.2,
        retry_condition_fn=_may_pass,
    )(work)()


def _may_pass(tried: Any, run: TaskRun, state: State[Any]) -> bool:
    """Whether a failure is one that waiting may cure; says so, since Prefect's own log is not on the terminal."""
    error = state.result(raise_on_failure=False)
    if not isinstance(error, Passing):
        return False
    if run.run_count <= tried.retries:
        print(f"{tried.name}: {redact(str(error))}; trying again later", file=sys.stderr, flush=True)
    return True
