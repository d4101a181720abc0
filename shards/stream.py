"""Reads a release for training: pairs in a shuffled order, prepared ahead by threads, bad ones counted and left out.

What is in memory is what is under way, `ahead` pairs, whatever the release holds; the page cache had better hold two
windows of the order, since the shards of the next are read from the disk during one. A stream that is left between two
pairs goes on with the next one, in any process: its state is how many places of its order lie behind.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Generic, TypeVar

from infra.errors import RowError, UsageError
from shards.order import Order, Place
from shards.records import Pair
from shards.samples import Samples

T = TypeVar("T")

TOGETHER = 4  # pairs that a thread is given at once: handing over takes as long as reading a small one


@dataclass(frozen=True)
class BadSamples:
    """Samples that could not be used, each counted as often as it was met."""

    counts: Counter[str] = field(default_factory=Counter)  # by reason
    first: dict[str, str] = field(default_factory=dict)  # by reason, what was wrong with the first

    def add(self, error: RowError) -> None:
        """Count one more."""
        self.counts[error.reason] += 1
        self.first.setdefault(error.reason, error.message)


class PairStream(Generic[T]):
    """What `prepare` makes of the pairs of an order, one by one."""

    def __init__(
        self,
        samples: Samples,
        order: Order,
        prepare: Callable[[Pair], T],
        pool: Executor,
        bad: BadSamples,
        ahead: int = 16,
    ) -> None:
        """`prepare` runs in the threads of `pool`; a pair for which it raises RowError is left out and counted.

        Up to `ahead` pairs are read and prepared before they are asked for.
        """
        self.order, self.bad, self.ahead = order, bad, ahead
        self._samples, self._prepare, self._pool = samples, prepare, pool
        self._taken = 0

    def state_dict(self) -> dict[str, Any]:
        """Where the stream stands, after the pair it gave last."""
        return {"epoch": self.order.epoch, "part": self.order.part, "parts": self.order.parts, "taken": self._taken}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where a stream of the same order stood; raises UsageError for the state of another one."""
        if {**self.state_dict(), "taken": state["taken"]} != state:
            raise UsageError(f"a reader that stands at {self.state_dict()} cannot go on from {state}")
        self._taken = state["taken"]

    def __iter__(self) -> Iterator[T]:
        """The pairs from where the stream stands. Raises ReleaseCorrupt for a missing shard, EndpointDown."""
        under_way: deque[Future[list[T | RowError]]] = deque()
        together = min(TOGETHER, max(1, self.ahead))
        places = self._places()
        while some := list(islice(places, together)):
            under_way.append(self._pool.submit(self._try, some))
            if (len(under_way) + 1) * together > self.ahead:  # another would be too many
                yield from self._settle(under_way.popleft())
        while under_way:
            yield from self._settle(under_way.popleft())

    def _places(self) -> Iterator[Place]:
        """Places yet to come; the shards that a block of them needs are fetched while the one before is read."""
        window, fetching = self.order.window, list[Future[object]]()
        try:
            for number, place in enumerate(self.order.places(self._taken), self._taken):
                if not fetching or number % window == 0:
                    for done in fetching:
                        done.result()
                    blocks = (number // window + 1,) if fetching else (number // window, number // window + 1)
                    coming = {shard: None for block in blocks for shard, _ in self.order.block(block)}
                    fetching = [self._samples.expect(shard) for shard in coming]
                yield place
        finally:
            for waiting in fetching:
                waiting.cancel()

    def _try(self, places: list[Place]) -> list[T | RowError]:
        found: list[T | RowError] = []
        for place in places:
            try:
                found.append(self._prepare(self._samples.read(*place)))
            except RowError as error:
                found.append(error)
        return found

    def _settle(self, future: Future[list[T | RowError]]) -> Iterator[T]:
        for found in future.result():
            self._taken += 1
            if isinstance(found, RowError):
                self.bad.add(found)
            else:
                yield found
