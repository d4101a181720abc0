"""The client for OpenAI-compatible chat endpoints: bounded, adaptive, patient; knows nothing of prompts.

A fault is the row's when the endpoints answer others meanwhile, and theirs when they do not. When nobody else
asks, the client does: a question of one word and one token, of the same model, tells the two apart.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import math
import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

from infra.errors import EndpointDown, RowError, UsageError, UvrError
from infra.redact import refuse_secrets
from infra.stage import Service
from synth.generators.endpoint.flow import Failure, Lane, Line, Pace, Slot, Waiter, backoff_s
from synth.generators.endpoint.wire import Reply, TryFailed, Wire

__all__ = ["Client", "Reply"]

SUSPICIONS: Final = 8  # failures that may be the request's own before it is given up, however fast they come


@dataclass
class _Request:
    content: bytes
    model: str
    place: int
    first_sent_at: float = math.inf
    failed: Counter[str] = field(default_factory=Counter)  # tries, by endpoint
    suspicions: int = 0


class Client:
    """Asks whichever endpoint has room. One for each worker process, used as a context manager in one asyncio loop.

    Every endpoint has its own limit, circuit and pauses (`flow`), so that none of them holds up another.
    Raises UsageError for a URL that is none, or that carries credentials, and for a key that is none.
    """

    def __init__(self, service: Service, key: str | None = None) -> None:
        endpoints = service.endpoints
        _check(endpoints)
        self._service = service
        self._pace = Pace.of(service)
        self._wire = Wire(self._pace, key)
        # In any order, so that the workers of a run do not all begin with the same one.
        urls = list({url.rstrip("/") for url in endpoints})
        random.shuffle(urls)
        self._lanes = [Lane(url, service.max_in_flight, self._pace) for url in urls]
        self._line = Line(self._lanes)
        self._places = itertools.count()
        self._under_way = 0
        self._quiet_since = 0.0  # the last answer, or the first question since there was nothing to answer
        self._alarm: asyncio.TimerHandle | None = None
        self._asking: asyncio.Task[bool] | None = None
        self._watches: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Client:
        self._loop = asyncio.get_running_loop()
        self._watches = [asyncio.create_task(self._watch(lane)) for lane in self._lanes]
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._alarm:
            self._alarm.cancel()
        tasks = [*self._watches, *([self._asking] if self._asking else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._wire.close()

    async def ask(self, body: Mapping[str, Any]) -> Reply:
        """Post `body` to /chat/completions of some endpoint until one answers.

        Raises RowError: `rejected_request`; `huge_answer`; `broken_reply` (no JSON of the API) and `no_answer` when,
        with `deadline_s` since the first try or SUSPICIONS used up, other requests are answered. Raises
        EndpointDown when none was for `patience_s` (up to two tries later when endpoints take requests and
        never answer), RunFailed when the key or the model is refused or no such API is there.
        """
        request = _Request(json.dumps(body).encode(), str(body.get("model")), next(self._places))
        with self._counted():
            while True:
                slot = await self._room(request)
                try:
                    return await self._try(slot, request)
                except TryFailed as error:
                    request.failed[slot.lane.url] += 1
                    request.suspicions += error.failure.suspect
                    await self._judge(request, error.failure)
                await asyncio.sleep(backoff_s(request.failed.total(), self._pace, random.random()))

    @contextmanager
    def _counted(self) -> Iterator[None]:
        """Silence counts from when there is something to answer."""
        if not self._under_way:
            self._quiet_since = self._loop.time()
        self._under_way += 1
        try:
            yield
        finally:
            self._under_way -= 1

    async def _room(self, request: _Request) -> Slot:
        granted: asyncio.Future[Slot] = self._loop.create_future()
        waiter = Waiter(request.place, request.failed, granted.set_result)
        self._line.enter(waiter)
        self._serve()
        try:
            while not granted.done():
                await asyncio.wait({granted}, timeout=max(0.0, self._service.patience_s - self._quiet_s()))
                if not granted.done():
                    await self._judge(request, None)
            return granted.result()
        except (asyncio.CancelledError, UvrError):
            self._line.leave(waiter)
            if granted.done():
                self._hand_back(granted.result())
            raise

    async def _try(self, slot: Slot, request: _Request) -> Reply:
        lane = slot.lane
        request.first_sent_at = min(request.first_sent_at, slot.taken_at)
        try:
            reply = await self._wire.ask(lane.url, request.content, request.model)
        except TryFailed as error:
            lane.failed(slot, error.failure, self._loop.time())
            raise
        except UvrError:  # an answer, if not to everyone's liking
            self._answered(slot)
            raise
        except asyncio.CancelledError:
            lane.abandoned(slot)
            raise
        else:
            self._answered(slot)
            return reply
        finally:
            self._serve()

    def _answered(self, slot: Slot) -> None:
        slot.lane.answered(slot)
        self._quiet_since = self._loop.time()

    def _hand_back(self, slot: Slot) -> None:
        slot.lane.abandoned(slot)
        self._serve()

    def _serve(self) -> None:
        """Hand out room, and come back when an endpoint has rested."""
        if self._alarm:
            self._alarm.cancel()
        again_at = self._line.serve(self._loop.time())
        self._alarm = None if math.isinf(again_at) else self._loop.call_at(again_at, self._serve)

    def _quiet_s(self) -> float:
        return self._loop.time() - self._quiet_since

    async def _judge(self, request: _Request, failure: Failure | None) -> None:
        """Raise when the request has had its chances, or the endpoints theirs; come back when there is hope."""
        # A try that could not be a whole one would prove nothing.
        spent_at = request.first_sent_at + self._service.deadline_s - self._pace.try_s
        is_spent = failure is not None and (self._loop.time() > spent_at or request.suspicions >= SUSPICIONS)
        if not is_spent and self._quiet_s() < self._service.patience_s:
            return
        if await self._anyone_answers(request.model):
            if failure and is_spent:
                tries = f"{request.failed.total()} tries in {self._loop.time() - request.first_sent_at:.3g} s"
                raise RowError(failure.reason, f"{tries}, while others are answered; the last: {failure.what}")
        elif self._quiet_s() >= self._service.patience_s:
            troubles = "; ".join(f"{lane.url}: {lane.trouble or 'no answer'}" for lane in self._lanes)
            raise EndpointDown(f"no endpoint has answered anything for {self._quiet_s():.3g} s: {troubles}")

    async def _anyone_answers(self, model: str) -> bool:
        """Whether some endpoint answers a tiny question; asked once for all who want to know at the moment."""
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask_all(model))
        return await asyncio.shield(self._asking)

    async def _ask_all(self, model: str) -> bool:
        signs = [asyncio.create_task(self._sign_of_life(lane, model)) for lane in self._lanes]
        try:
            for sign in asyncio.as_completed(signs):
                if await sign:
                    return True
            return False
        finally:
            for task in signs:
                task.cancel()

    async def _sign_of_life(self, lane: Lane, model: str) -> bool:
        body = {"model": model, "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 1}
        try:
            await self._wire.ask(lane.url, json.dumps(body).encode(), model)
        except TryFailed as error:
            lane.trouble = error.failure.what
            return False
        except UvrError:
            pass  # it answers; what is wrong with that is said to those it concerns
        lane.breaker.closed()
        self._quiet_since = self._loop.time()
        self._serve()
        return True

    async def _watch(self, lane: Lane) -> None:
        """Keep the lane's limit to what the engine can do, for engines that tell."""
        while True:
            await asyncio.sleep(self._pace.poll_s)
            if not lane.limit.in_flight:
                continue
            try:
                load = await self._wire.load(lane.url)
            except TryFailed:
                continue  # what it said last holds, for it may be too busy to say more
            lane.limit.measured(load)
            if load is None:
                return
            self._serve()


def _check(endpoints: Sequence[str]) -> None:
    if not endpoints:
        raise UsageError("serving.endpoints is empty: name at least one, like http://host:8000/v1")
    refuse_secrets(*endpoints)
    for url in endpoints:
        if not _is_web_url(url):
            raise UsageError(f"serving.endpoints: {url!r} is no URL like http://host:8000/v1")


def _is_web_url(url: str) -> bool:
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        return False
    return parsed.scheme in ("http", "https") and bool(parsed.host)
