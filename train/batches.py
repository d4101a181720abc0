"""Task-homogeneous training batches from the shards of a release, in an order that a seed decides.

Which task every step of an epoch serves, the order of its shards and the shuffle inside are functions
of (seed, epoch) alone: not of the cache, of threads, or of where an earlier run was killed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from shards.cache import ShardCache
from shards.files import Shard
from shards.manifest import Manifest
from shards.order import Order
from shards.records import INSTRUCTIONS, Pair
from shards.samples import Samples
from shards.stream import BadSamples, PairStream
from train.inputs import InputBuilder, Prepared
from train.pixels import PatchCache
from train.settings import BatchSettings

THREADS = 3  # that decode and resize media, or fetch shards


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
        self.bad = BadSamples()
        self._shards: dict[str, tuple[Shard, ...]] = {}
        for shard in manifest.shards:
            if shard.split == "train":
                self._shards[shard.task] = (*self._shards.get(shard.task, ()), shard)
        cache = ShardCache(Path(settings.shard_cache).expanduser(), settings.shard_cache_bytes)
        self._samples = Samples(manifest, cache)
        self._inputs = inputs
        self._cache = PatchCache(settings.cache_bytes)
        self._kept: dict[str, PreparedPair] = {}
        self._pool = ThreadPoolExecutor(THREADS)

    @property
    def pairs_by_task(self) -> dict[str, int]:
        """Training pairs of each task."""
        return {task: sum(shard.samples for shard in shards) for task, shards in sorted(self._shards.items())}

    def steps(self, epoch: int) -> list[str]:
        """The task of every step of `epoch` (see `steps_of_epoch`)."""
        return steps_of_epoch(self.pairs_by_task, self.settings.size, self.seed, epoch)

    def epoch(self, epoch: int) -> EpochBatches:
        """The batches of one epoch, from its beginning."""
        streams = {}
        for task, shards in self._shards.items():
            order = Order(shards, self.seed, epoch, self.settings.shuffle_pairs)
            streams[task] = PairStream(self._samples, order, self._prepare, self._pool, self.bad)
        return EpochBatches(streams, self.steps(epoch), self.settings.size)

    def _prepare(self, pair: Pair) -> PreparedPair:
        kept = self._kept.get(pair.pair_id)
        if kept is None:
            query = self._inputs.prepare(pair.query, INSTRUCTIONS[pair.task], self._cache)
            target = self._inputs.prepare(pair.target, "", self._cache)
            kept = PreparedPair(pair.pair_id, pair.query_id, pair.target_id, query, target)
            if self._cache.reserve(kept.token_bytes):
                self._kept[pair.pair_id] = kept
        return kept


class EpochBatches:
    """The batches of one epoch, in order; left between two of them, it can be gone on with in another process."""

    def __init__(self, streams: Mapping[str, PairStream[PreparedPair]], steps: Sequence[str], size: int) -> None:
        self._streams, self._steps, self._size = streams, steps, size
        self._step = 0

    def state_dict(self) -> dict[str, Any]:
        """Where it stands, after the batch it gave last."""
        streams = {task: stream.state_dict() for task, stream in self._streams.items()}
        return {"step": self._step, "streams": streams}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where the same epoch of the same run stood; raises UsageError for the state of another one."""
        for task, stream in self._streams.items():
            stream.load_state_dict(state["streams"][task])
        self._step = state["step"]

    def __iter__(self) -> Iterator[TrainBatch]:
        """The batches from where it stands. A task whose samples were bad has fewer pairs for its last ones.

        Raises ReleaseCorrupt when a shard is missing, EndpointDown.
        """
        pairs = {task: iter(stream) for task, stream in self._streams.items()}
        while self._step < len(self._steps):
            task = self._steps[self._step]
            batch = TrainBatch(task, tuple(islice(pairs[task], self._size)))
            self._step += 1
            if len(batch.pairs) > 1:  # one pair has no negatives
                yield batch
