"""Tells faults of the machine and its services from faults of a row, and waits out those that pass."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import aiohttp
from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_exponential, wait_random

from infra import s3
from infra.errors import DiskFull, EndpointDown, RunFailed

PATIENCE_S = 30.0  # how long a server that does not answer is tried again, in all
FIRST_WAIT_S = 0.5  # doubled at every try
LONGEST_WAIT_S = 8.0
JITTER_S = 0.5  # at most, so that workers do not all knock at once

_FULL = (errno.ENOSPC, errno.EDQUOT)
_NOT_WRITABLE = (errno.EROFS, errno.EACCES, errno.EPERM)
_BUSY = (408, 429)  # HTTP: request time-out, too many requests; with every 5xx, the server's own trouble

T = TypeVar("T")


def _causes(error: BaseException) -> Iterator[BaseException]:
    found: BaseException | None = error
    while found is not None:
        yield found
        found = found.__cause__


def failures() -> tuple[type[Exception], ...]:
    """What a file system or a server that fails raises."""
    return (OSError, aiohttp.ClientError, *s3.failures())


def disk_is_full(error: BaseException) -> bool:
    """Whether `error`, or what it was raised from, says that a disk or a quota is full."""
    return any(isinstance(cause, OSError) and cause.errno in _FULL for cause in _causes(error))


def disk_full(error: BaseException, where: str) -> DiskFull:
    """What a person is told when nothing more can be written to `where`."""
    return DiskFull(f"no space left on {where}: free some and run again; everything committed is kept ({error})")


@contextmanager
def writing(where: str) -> Iterator[None]:
    """Turn what keeps the lake `where` from being written into DiskFull, EndpointDown or RunFailed."""
    try:
        yield
    except failures() as error:
        if disk_is_full(error):
            raise disk_full(error, f"the disk of {where}") from error
        if cannot_reach(error):
            raise EndpointDown(f"{where} cannot be reached: {error}") from error
        if refusal := _refusal(error):
            raise RunFailed(f"{where} {refusal} ({error})") from error
        if isinstance(error, OSError) and error.errno in _NOT_WRITABLE:
            raise RunFailed(f"{where} is not writable by this user, or is mounted read-only: {error}") from error
        raise


def _refusal(error: BaseException) -> str:
    """How an object store refuses; empty when `error` is something else."""
    return next(filter(None, map(s3.refusal, _causes(error))), "")


def cannot_reach(error: BaseException) -> bool:
    """Whether `error`, or what it was raised from, is a server that is down, slow, busy or in trouble."""
    for cause in _causes(error):
        status = cause.status if isinstance(cause, aiohttp.ClientResponseError) else s3.http_status(cause)
        if status is not None:
            return status in _BUSY or status >= 500
        if s3.is_unanswered(cause) or isinstance(
            cause,
            ConnectionError
            | TimeoutError
            | socket.gaierror
            | aiohttp.ClientConnectionError
            | aiohttp.ClientPayloadError,
        ):
            return True
    return False


def reach(url: str, work: Callable[[], T], patience_s: float = PATIENCE_S) -> T:
    """What `work` answers; while `url` cannot be reached it is tried again for `patience_s`.

    Raises EndpointDown when the time is up, RunFailed when an object store refuses, and at once whatever
    else `work` raises.
    """
    tries = Retrying(
        retry=retry_if_exception(cannot_reach),
        wait=wait_exponential(FIRST_WAIT_S, LONGEST_WAIT_S) + wait_random(0, JITTER_S),
        stop=stop_after_delay(patience_s),
        reraise=True,
    )
    try:
        return tries(work)
    except failures() as error:
        if cannot_reach(error):
            raise EndpointDown(f"{url} cannot be reached: {_deepest(error)}") from error
        if refusal := _refusal(error):
            raise RunFailed(f"{url} {refusal} ({error})") from error
        raise


def _deepest(error: BaseException) -> BaseException:
    """What an error began with: fsspec says "not found" where a connection was refused."""
    *_, first = _causes(error)
    return first
