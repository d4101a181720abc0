"""One Prefect task per step of a flow."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from prefect import task
from prefect.cache_policies import NO_CACHE

T = TypeVar("T")


def step(name: str, work: Callable[[], T]) -> T:
    """Do `work` as a task run called `name`.

    Resuming is the lake's business, so Prefect neither caches nor stores what a step returns.
    """
    return task(name=name, cache_policy=NO_CACHE, persist_result=False)(work)()
