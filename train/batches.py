"""Task-homogeneous training batches from the shards of a release, in an order that a seed decides.

Which task every step of an epoch serves, the order of its shards and the shuffle inside are functions
of (seed, epoch) alone: not of the cache, of threads, or of where an earlier run was killed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

import numpy as np

from shards.files import Shard
from shards.manifest import Manifest
from shards.reader import read_pairs
from shards.records import INSTRUCTIONS, Pair
from shards.split import rank
from train.inputs import InputBuilder, Prepared
from train.pixels import PatchCache
from train.settings import BatchSettings

A = TypeVar("A")
B = TypeVar("B")

DECODERS = 2  # threads that decode and resize media
AHEAD = 16  # pairs being prepared before they are asked for, per task


@dataclass(frozen=True)
class PreparedPair:
    """A positive pair ready to be batched."""

    pair_id: str
    query_id: str
    target_id: str
    query: Prepared
    target: Prepared

    @property
    def token_bytes(self) -> int:
        """Memory of the pair besides its pixels."""
        return sum(side.ids.nbytes + side.positions.nbytes for side in (self.query, self.target))


@dataclass(frozen=True)
class TrainBatch:
    """One step's pairs, all of one task."""

    task: str
    pairs: tuple[PreparedPair, ...]


def steps_of_epoch(pairs_by_task: Mapping[str, int], size: int, seed: int, epoch: int) -> list[str]:
    """The task of every step of an epoch: each task as often as it has whole batches, in an order by seed.

    A task with fewer pairs than a batch gets one step with what it has; one with a single pair gets
    none, since a batch of one pair has no negatives and teaches nothing.
    """
    steps = [
        task for task, pairs in sorted(pairs_by_task.items()) for _ in range(max(pairs // size, 1 if pairs > 1 else 0))
    ]
    return [steps[i] for i in np.random.default_rng([seed, epoch]).permutation(len(steps))]


class TrainingBatches:
    """The batches of a release's training split; what was prepared once is kept while there is room."""

    def __init__(self, manifest: Manifest, inputs: InputBuilder, settings: BatchSettings, seed: int) -> None:
        self.settings = settings
        self.seed = seed
        self.shards: dict[str, list[Shard]] = {}
        for shard in manifest.shards:
            if shard.split == "train":
                self.shards.setdefault(shard.task, []).append(shard)
        self._manifest = manifest
        self._inputs = inputs
        self._cache = PatchCache(settings.cache_bytes)
        self._kept: dict[str, list[PreparedPair]] = {}

    @property
    def pairs_by_task(self) -> dict[str, int]:
        """Training pairs of each task."""
        return {task: sum(shard.samples for shard in shards) for task, shards in sorted(self.shards.items())}

    def steps(self, epoch: int) -> list[str]:
        """The task of every step of `epoch` (see `steps_of_epoch`)."""
        return steps_of_epoch(self.pairs_by_task, self.settings.size, self.seed, epoch)

    def epoch(self, epoch: int) -> Iterator[TrainBatch]:
        """The batches of one epoch. Raises RowError or ReleaseCorrupt for a sample that cannot be used."""
        with ThreadPoolExecutor(DECODERS) as pool:
            streams = {task: self._shuffled(task, epoch, pool) for task in self.shards}
            for task in self.steps(epoch):
                yield TrainBatch(task, tuple(islice(streams[task], self.settings.size)))

    def _shuffled(self, task: str, epoch: int, pool: ThreadPoolExecutor) -> Iterator[PreparedPair]:
        order = sorted(self.shards[task], key=lambda shard: rank(self.seed, "shard", str(epoch), shard.name))
        rng = np.random.default_rng([self.seed, epoch, sorted(self.shards).index(task)])
        pairs = (pair for shard in order for pair in self._pairs(shard, pool))
        return shuffled(pairs, self.settings.shuffle_pairs, rng)

    def _pairs(self, shard: Shard, pool: ThreadPoolExecutor) -> Iterator[PreparedPair]:
        if shard.name in self._kept:
            yield from self._kept[shard.name]
            return
        made = []
        for pair in map_ahead(pool, self._prepare, read_pairs([self._manifest.path(shard)]), AHEAD):
            made.append(pair)
            yield pair
        if self._cache.reserve(sum(pair.token_bytes for pair in made)):
            self._kept[shard.name] = made

    def _prepare(self, pair: Pair) -> PreparedPair:
        query = self._inputs.prepare(pair.query, INSTRUCTIONS[pair.task], self._cache)
        target = self._inputs.prepare(pair.target, "", self._cache)
        return PreparedPair(pair.pair_id, pair.query_id, pair.target_id, query, target)


def shuffled(items: Iterable[A], buffer: int, rng: np.random.Generator) -> Iterator[A]:
    """`items` in random order, holding at most `buffer` of them; uniform when all fit."""
    held: list[A] = []
    for item in items:
        held.append(item)
        if len(held) >= buffer:
            yield _take(held, rng)
    while held:
        yield _take(held, rng)


def _take(held: list[A], rng: np.random.Generator) -> A:
    place = int(rng.integers(len(held)))
    held[place], held[-1] = held[-1], held[place]
    return held.pop()


def map_ahead(pool: ThreadPoolExecutor, work: Callable[[A], B], items: Iterable[A], ahead: int) -> Iterator[B]:
    """`work` of every item, in their order, with at most `ahead` under way: bounded, unlike `pool.map`."""
    under_way: deque[Future[B]] = deque()
    for item in items:
        under_way.append(pool.submit(work, item))
        if len(under_way) > ahead:
            yield under_way.popleft().result()
    while under_way:
        yield under_way.popleft().result()
