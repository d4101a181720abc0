"""Flow control for endpoints that several processes share: who may send where and when.

Pure: time and chance are handed in. Every process limits itself by what it sees, as TCP does: nobody
counts the requests of all. Times are seconds of one monotonic clock.
"""

from __future__ import annotations

import math
from bisect import insort
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from infra.stage import Service

START: Final = 4  # requests under way at first: enough to see more than one answer, too few to hurt anyone
SPARE: Final = 1 / 2  # of what an engine works on may wait before it: answers end in bunches, and it never idles
FAILURES: Final = 5  # in a row before an endpoint is left alone


@dataclass(frozen=True)
class Pace:
    """Times that follow from how long a request, and an outage, may last; all in seconds."""

    try_s: float
    first_backoff_s: float
    longest_backoff_s: float
    first_cool_off_s: float
    longest_cool_off_s: float
    longest_pause_s: float
    poll_s: float

    @classmethod
    def of(cls, service: Service) -> Pace:
        """By default (300 s, 60 s) tries of 90 s, back-offs of 0.3 to 10 s, cool-offs and pauses of 1 to 15 s."""
        deadline_s, patience_s = service.deadline_s, service.patience_s
        return cls(
            # Two endpoints may hang and the third still gets a whole try; a tenth is left for the waits between.
            try_s=0.3 * deadline_s,
            first_backoff_s=deadline_s / 1000,
            longest_backoff_s=deadline_s / 30,
            # An endpoint that comes back is noticed well before patience ends, whatever it asked for.
            first_cool_off_s=patience_s / 60,
            longest_cool_off_s=patience_s / 4,
            longest_pause_s=patience_s / 4,
            poll_s=min(1.0, deadline_s / 100),
        )


@dataclass(frozen=True)
class Failure:
    """Why one try gave no answer, and what follows from it."""

    what: str
    reason: str = "no_answer"  # the row's, should it come to that
    busy: bool = False  # the endpoint works, and refuses for now: its circuit stays closed
    congested: bool = False  # it asks for fewer requests at once
    suspect: bool = True  # the request itself may be what the endpoint fails at
    pause_s: float = 0.0  # for which it asked to be left alone


@dataclass(frozen=True)
class Load:
    """What an engine says of itself: requests it works on, and requests that wait for that."""

    running: float
    waiting: float


def backoff_s(tries: int, pace: Pace, chance: float) -> float:
    """The wait after `tries` failed ones: doubles up to a bound; `chance` in [0, 1) takes up to half of it away."""
    return min(pace.longest_backoff_s, pace.first_backoff_s * 2.0 ** min(tries - 1, 30)) * (1 - chance / 2)


class Limit:
    """How many requests may be under way at one endpoint: TCP's congestion window (RFC 5681), counted in requests.

    Where the engine tells its load, that decides; elsewhere answers and refusals do.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.size = float(min(START, most))
        self.in_flight = 0
        self._slow_start_to = float(most)
        self._cut_at = -math.inf
        self._is_measured = False

    @property
    def is_used(self) -> bool:
        """Whether there is no room; a limit that nobody runs into says nothing about the endpoint."""
        return self.in_flight >= int(self.size)

    def answered(self) -> None:
        """Take in that a request, still counted in flight, was answered."""
        if self.is_used and self.size < self._slow_start_to:
            self._grow(1)
        elif self.is_used and not self._is_measured:
            self._grow(1 / self.size)

    def congested(self, sent_at: float, now: float) -> None:
        """Halve, once for all requests that were under way together when the endpoint had enough."""
        if sent_at > self._cut_at:
            self._cut_at = now
            self._cut(min(self.size, self.in_flight) / 2)

    def measured(self, load: Load | None) -> None:
        """Take in what the endpoint said of its load, if it did."""
        self._is_measured = load is not None
        if load is None or not self.in_flight:
            return
        if load.waiting:
            self._slow_start_to = min(self._slow_start_to, self.size)
        if load.running and load.waiting > max(1, SPARE * load.running):
            # All who send here do the same, each with its own share: together they come down to what is wanted.
            # Counted from what is under way, a queue that is seen twice before it is gone cuts once.
            self._cut(self.in_flight * (1 + SPARE) * load.running / (load.running + load.waiting))
        elif not load.waiting and self.is_used and 2 * load.running >= self.in_flight:
            # Were most of it still on its way to the engine, more would get there no sooner.
            self._grow(self.size if self.size < self._slow_start_to else max(1, SPARE * self.size))

    def _grow(self, by: float) -> None:
        self.size = min(self.most, self.size + by)

    def _cut(self, to: float) -> None:
        self.size = max(1.0, min(self.size, to))
        self._slow_start_to = self.size


class Breaker:
    """A circuit breaker: after failures in a row nothing is sent for a while, then one probe, which decides."""

    def __init__(self, first_cool_off_s: float, longest_cool_off_s: float) -> None:
        self._first_s, self._longest_s = first_cool_off_s, longest_cool_off_s
        self._probes = 0
        self.closed()

    def closed(self) -> None:
        """Take in a sign of life."""
        self._failures = 0
        self._cool_off_s = self._first_s
        self._opened_at = self.probe_at = -math.inf
        self._probe = 0  # the number of the one under way, if any

    @property
    def is_open(self) -> bool:
        """Whether the last failures were too many."""
        return self._failures >= FAILURES

    def allows(self, now: float) -> bool:
        """Whether a request may be sent; of an open circuit, whether it is time for its one probe."""
        return not self.is_open or (now >= self.probe_at and not self._probe)

    def sent(self) -> int:
        """Take in that a request is sent; answers 0, or its number if it is a probe."""
        if not self.is_open:
            return 0
        self._probes += 1
        self._probe = self._probes
        return self._probe

    def failed(self, sent_at: float, now: float) -> None:
        """Take in a failure, unless of a request that was under way already when the circuit opened."""
        if sent_at <= self._opened_at:
            return
        self._failures += 1
        if self.is_open:
            self._opened_at, self.probe_at = now, now + self._cool_off_s
            self._cool_off_s = min(2 * self._cool_off_s, self._longest_s)

    def ended(self, probe: int) -> None:
        """Take in that a request ended that was sent as `probe`: there may be another one."""
        if probe == self._probe:
            self._probe = 0


@dataclass(frozen=True)
class Slot:
    """Room for one try, taken at an endpoint; to be handed back exactly once."""

    lane: Lane
    taken_at: float
    probe: int


class Lane:
    """One endpoint: its limit, its circuit, and what it asked for."""

    def __init__(self, url: str, most: int, pace: Pace) -> None:
        self.url = url
        self.limit = Limit(most)
        self.breaker = Breaker(pace.first_cool_off_s, pace.longest_cool_off_s)
        self.trouble = ""  # the last one, for people
        self._paused_until = -math.inf

    def is_up(self, now: float) -> bool:
        """Whether it takes requests at all, with or without room for one more."""
        return now >= self._paused_until and self.breaker.allows(now)

    def up_at(self) -> float:
        """When it is worth another look; a probe under way says so itself."""
        return max(self._paused_until, self.breaker.probe_at)

    def take(self, now: float) -> Slot:
        """Room for one try."""
        self.limit.in_flight += 1
        return Slot(self, now, self.breaker.sent())

    def answered(self, slot: Slot) -> None:
        """Hand back a slot whose request was answered."""
        self.limit.answered()
        self.breaker.closed()
        self.abandoned(slot)

    def failed(self, slot: Slot, failure: Failure, now: float) -> None:
        """Hand back a slot whose request was not answered."""
        self.trouble = failure.what
        self._paused_until = max(self._paused_until, now + failure.pause_s)
        if failure.congested:
            self.limit.congested(slot.taken_at, now)
        if failure.busy:
            self.breaker.closed()
        else:
            self.breaker.failed(slot.taken_at, now)
        self.abandoned(slot)

    def abandoned(self, slot: Slot) -> None:
        """Hand back a slot, whatever became of its request."""
        self.limit.in_flight -= 1
        self.breaker.ended(slot.probe)


@dataclass(order=True)
class Waiter:
    """A request that waits for room; `place` is when it came, so a retry keeps its place."""

    place: int
    failed: Counter[str] = field(compare=False)  # its tries, by endpoint
    granted: Callable[[Slot], None] = field(compare=False)


def choose(lanes: Sequence[Lane], failed: Counter[str], now: float) -> Lane | None:
    """The endpoint with the most free room among those at which this request failed least; None when they are full."""
    up = [lane for lane in lanes if lane.is_up(now)]
    least = min((failed[lane.url] for lane in up), default=0)
    free = [lane for lane in up if failed[lane.url] == least and not lane.limit.is_used]
    return min(free, key=lambda lane: lane.limit.in_flight / int(lane.limit.size), default=None)


class Line:
    """Requests that wait for room: first come, first served; none waits behind one that waits for another endpoint."""

    def __init__(self, lanes: Sequence[Lane]) -> None:
        self.lanes = lanes
        self._waiters: list[Waiter] = []

    def enter(self, waiter: Waiter) -> None:
        """Line up."""
        insort(self._waiters, waiter)

    def leave(self, waiter: Waiter) -> None:
        """Wait no longer; nothing happens to one that was served."""
        if waiter in self._waiters:
            self._waiters.remove(waiter)

    def serve(self, now: float) -> float:
        """Hand out all room there is; returns when to serve again though nothing happens (infinite: no need to)."""
        for waiter in list(self._waiters):
            if all(lane.limit.is_used or not lane.is_up(now) for lane in self.lanes):
                break
            lane = choose(self.lanes, waiter.failed, now)
            if lane:
                self._waiters.remove(waiter)
                waiter.granted(lane.take(now))
        looks = [lane.up_at() for lane in self.lanes if lane.up_at() > now]
        return min(looks, default=math.inf) if self._waiters else math.inf
