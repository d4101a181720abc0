"""In which order an epoch goes through the pairs of some shards: a function of numbers, known before anything is read.

So a reader that was left anywhere goes on at the very next pair, and its place is one number.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from shards.files import Shard
from shards.split import rank

Place = tuple[Shard, int]  # a shard, and a position in it


@dataclass(frozen=True)
class Order:
    """The pairs that one of several readers takes in one epoch, each once.

    Shards follow each other in an order by seed and epoch; this run of pairs is cut into `parts` equal ones (the
    few that remain are left out in this epoch), one for every reader: nodes times workers. A reader opens no shard
    that is not in its part. Its pairs are shuffled `window` at a time, so that it needs few shards at once.

    Where the parts need not be `even`, nothing is left out: the first of them have one pair more. `arranged` puts the
    pairs of each block, once shuffled, in another order: in each place comes the one that it names.
    """

    shards: tuple[Shard, ...]
    seed: int
    epoch: int
    window: int
    part: int = 0
    parts: int = 1
    even: bool = True
    arranged: NDArray[np.int32] | None = field(default=None, compare=False)  # [len]

    def __len__(self) -> int:
        """Pairs of this reader."""
        return self._start(self.part + 1) - self._start(self.part)

    def places(self, start: int = 0) -> Iterator[Place]:
        """Where the pairs lie, the first `start` of them left out."""
        for block in range(start // self.window, -(-len(self) // self.window)):
            places = self.block(block)
            yield from places[max(0, start - block * self.window) :]

    def block(self, number: int) -> list[Place]:
        """The pairs that are shuffled among themselves, `window` or what is left; none after the last."""
        first = number * self.window
        size = max(0, min(self.window, len(self) - first))
        rng = np.random.default_rng([self.seed, self.epoch, self.part, number])
        shuffled = rng.permutation(size)
        if self.arranged is not None:
            shuffled = shuffled[self.arranged[first : first + size]]
        in_run = self._start(self.part) + first + shuffled
        shards, starts = self._run
        of = np.searchsorted(starts, in_run, side="right") - 1
        return [(shards[i], position) for i, position in zip(of.tolist(), (in_run - starts[of]).tolist(), strict=True)]

    def _start(self, part: int) -> int:
        """Where in the run a part begins."""
        pairs, more = divmod(sum(shard.samples for shard in self.shards), self.parts)
        return part * pairs + (0 if self.even else min(part, more))

    @cached_property
    def _run(self) -> tuple[list[Shard], NDArray[np.int64]]:
        """The shards as they follow each other, those that hold anything, and where each begins in the run of pairs."""
        held = (shard for shard in self.shards if shard.samples)
        shards = sorted(held, key=lambda shard: rank(self.seed, "shard", str(self.epoch), shard.name))
        return shards, np.cumsum([0, *(shard.samples for shard in shards)][:-1])
