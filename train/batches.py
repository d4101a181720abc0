"""Task-homogeneous training batches from the shards of a release, in an order that a seed decides.

Which pairs a task's next step takes is a function of (seed, passes over the task so far) alone: not of the cache,
of threads, of which tasks came between, or of where an earlier run was killed. Where near pairs are put together, it
is a function of what they were embedded as in the pass before, too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from infra.errors import RowError
from shards.cache import ShardCache
from shards.files import Shard
from shards.manifest import Manifest
from shards.mining import NOBODY
from shards.order import Order
from shards.places import PairPlaces
from shards.records import HARD_NEGATIVE_TASKS, INSTRUCTIONS, Pair
from shards.samples import Samples
from shards.stream import BadSamples, PairStream
from train.inputs import InputBuilder, Prepared
from train.neighbours import Neighbours
from train.pixels import PatchCache
from train.settings import BatchSettings

PAIRS_AHEAD: Final = 64  # of those that are only embedded, read and prepared before they are asked for


@dataclass(frozen=True)
class PreparedTarget:
    """A target that is ready to be batched."""

    target_id: str
    target: Prepared


@dataclass(frozen=True)
class PreparedPair:
    """A positive pair ready to be batched, with its hard negatives."""

    pair_id: str
    query_id: str
    target_id: str
    query: Prepared
    target: Prepared
    named: tuple[str, ...] = ()  # the pairs whose targets are the negatives
    negatives: tuple[PreparedTarget, ...] = ()
    bad_negatives: tuple[RowError, ...] = ()  # of samples that could not be used

    @property
    def token_bytes(self) -> int:
        """Memory of the pair besides its pixels."""
        sides = (self.query, self.target, *(negative.target for negative in self.negatives))
        return sum(side.ids.nbytes + side.positions.nbytes for side in sides)


@dataclass(frozen=True)
class TrainBatch:
    """This rank's pairs of one step, all of one task; none when all of them were bad."""

    task: str
    pairs: tuple[PreparedPair, ...]


def training_pairs(manifest: Manifest, settings: BatchSettings) -> dict[str, int]:
    """Training pairs of each task that is trained on."""
    pairs = Counter[str]()
    for shard in manifest.shards:
        if shard.split == "train" and (not settings.tasks or shard.task in settings.tasks):
            pairs[shard.task] += shard.samples
    return dict(sorted(pairs.items()))


def steps_of_pass(manifest: Manifest, settings: BatchSettings, ranks: int = 1) -> dict[str, int]:
    """Steps that one pass over each task takes.

    A task with fewer pairs than a batch has one step with what it has. One with a single pair, or without one
    for every rank, is left out: a batch of one pair has no negatives and teaches nothing.
    """
    enough = {task: n for task, n in training_pairs(manifest, settings).items() if n >= max(2, ranks)}
    return {task: n // ranks // size_on_rank(settings, task, n, ranks) for task, n in enough.items()}


def size_on_rank(settings: BatchSettings, task: str, pairs: int, ranks: int) -> int:
    """Pairs that a rank takes of a batch: its equal part, and no more than it has."""
    return min(max(1, settings.size_of(task) // ranks), pairs // ranks)


class TrainingBatches:
    """The batches of a release's training split; what was prepared once is kept while there is room."""

    def __init__(
        self,
        manifest: Manifest,
        inputs: InputBuilder,
        settings: BatchSettings,
        seed: int,
        rank: int = 0,
        ranks: int = 1,
    ) -> None:
        """`rank` of `ranks` takes its part of every batch. Raises ReleaseCorrupt when the index cannot be read."""
        self.settings, self.seed, self.rank, self.ranks = settings, seed, rank, ranks
        self.manifest = manifest
        self.bad = BadSamples()
        train = [shard for shard in manifest.shards if shard.split == "train"]
        self._shards = {task: tuple(s for s in train if s.task == task) for task in self.pairs_by_task}
        cache = ShardCache(Path(settings.shard_cache).expanduser(), settings.shard_cache_bytes)
        self._samples = Samples(manifest, cache)
        self.places = PairPlaces(manifest, self._looked_up())
        self.neighbours = Neighbours(manifest, self.places) if settings.neighbours else None
        self.mined: NDArray[np.int32] | None = None  # for each of `places` that of its negative, or NOBODY
        self._inputs = inputs
        self._cache = PatchCache(settings.cache_bytes)
        self._kept: dict[str, PreparedPair] = {}
        self._pool = ThreadPoolExecutor(settings.readers)
        self.tasks = {task: self._task(task) for task in self.batches}

    @property
    def pairs_by_task(self) -> dict[str, int]:
        """Training pairs of each task."""
        return training_pairs(self.manifest, self.settings)

    @property
    def batches(self) -> dict[str, int]:
        """Steps that one pass over each task takes."""
        return steps_of_pass(self.manifest, self.settings, self.ranks)

    def serve(self, tasks: Iterable[str]) -> Iterator[TrainBatch]:
        """The next batch of each of `tasks`, in turn. Raises ReleaseCorrupt when a shard is missing, EndpointDown."""
        for task in tasks:
            pairs = self.tasks[task].take()
            for error in (error for pair in pairs for error in pair.bad_negatives):
                self.bad.add(error)
            yield TrainBatch(task, tuple(pairs))

    def probes(self, task: str, epoch: int, number: int) -> Iterator[Pair]:
        """This rank's part of `number` pairs of a task drawn by seed and epoch, or of all if there are fewer."""
        wanted = -(-number // self.ranks)  # at least one, however many ranks
        order = Order(self._shards[task], self.seed + 1, epoch, number, self.rank, self.ranks)
        yield from islice(PairStream(self._samples, order, lambda pair: pair, self._pool, self.bad), wanted)

    def pairs(self, task: str, inputs: InputBuilder) -> PairStream[PreparedPair]:
        """This rank's part of all training pairs of a task, ready for a model of these inputs, without negatives.

        Ranks that come first have one pair more where they do not divide evenly.
        """
        cache = self._cache if inputs is self._inputs else None  # pixels of other inputs are of other sizes
        order = Order(self._shards[task], self.seed, 0, self.settings.shuffle_pairs, self.rank, self.ranks, even=False)
        return PairStream(
            self._samples, order, lambda pair: _ready(pair, inputs, cache), self._pool, self.bad, PAIRS_AHEAD
        )

    def use_mined(self, mined: NDArray[np.int32]) -> None:
        """From the next batch on, negatives are these: for each of `places` that of its negative, or NOBODY.

        What was prepared ahead with others is prepared again, so that batches are those of a run that begins here.
        """
        self.mined = mined
        for batches in self.tasks.values():
            batches.load_state_dict(batches.state_dict())

    def state_dict(self) -> dict[str, Any]:
        """Where this rank stands, after the batch it gave last."""
        return {task: batches.state_dict() for task, batches in self.tasks.items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where the same rank of the same run stood; raises UsageError for the state of another one."""
        for task, batches in self.tasks.items():
            batches.load_state_dict(state[task])

    def _looked_up(self) -> list[Shard]:
        """The shards whose pairs are looked up by their ids."""
        named = HARD_NEGATIVE_TASKS if self.settings.hard_negatives or self.settings.mine_negatives else ()
        tasks = self._shards if self.settings.neighbours else {*self._shards} & {*named}
        return [shard for task in tasks for shard in self._shards[task]]

    def _task(self, task: str) -> TaskBatches:
        order = Order(self._shards[task], self.seed, 0, self.settings.shuffle_pairs, self.rank, self.ranks)
        size = size_on_rank(self.settings, task, self.pairs_by_task[task], self.ranks)
        ahead = 2 * size  # while one batch is trained on, the next is made ready
        return TaskBatches(
            order,
            self._arranged,
            lambda order: PairStream(self._samples, order, self._prepare, self._pool, self.bad, ahead),
            size,
        )

    def _arranged(self, order: Order) -> NDArray[np.int32] | None:
        return self.neighbours.arranged(order, self.settings.neighbours) if self.neighbours else None

    def _prepare(self, pair: Pair) -> PreparedPair:
        kept = self._kept.get(pair.pair_id)
        names = self._names(pair)
        if kept is None or kept.named != names:
            ready = kept or _ready(pair, self._inputs, self._cache)
            negatives, errors = self._negatives(names)
            made = replace(ready, named=names, negatives=negatives, bad_negatives=errors)
            if self._cache.reserve(made.token_bytes - (kept.token_bytes if kept else 0)):
                self._kept[pair.pair_id] = made
            elif kept:  # other negatives than those it has found no room
                self._kept[pair.pair_id] = replace(kept, named=(), negatives=(), bad_negatives=())
            return made
        return kept

    def _names(self, pair: Pair) -> tuple[str, ...]:
        """The pairs whose targets are hard negatives of a pair, as far as they are known: mined ones, or its own."""
        if self.mined is None:
            return pair.negatives if self.settings.hard_negatives else ()
        row = self.places.row(pair.pair_id)
        place = NOBODY if row is None else int(self.mined[row])
        return () if place == NOBODY else (self.places.ids[place].decode(),)

    def _negatives(self, names: Sequence[str]) -> tuple[tuple[PreparedTarget, ...], tuple[RowError, ...]]:
        """The targets of the pairs of these names; a damaged one costs the query a negative and is told."""
        targets, errors = list[PreparedTarget](), list[RowError]()
        for place in filter(None, map(self.places.find, names)):
            try:
                pair = self._samples.read(*place)
                targets.append(PreparedTarget(pair.target_id, self._inputs.prepare(pair.target, "", self._cache)))
            except RowError as error:
                errors.append(error)
        return tuple(targets), tuple(errors)


def _ready(pair: Pair, inputs: InputBuilder, cache: PatchCache | None) -> PreparedPair:
    """A pair without negatives; raises RowError as `inputs` does."""
    query = inputs.prepare(pair.query, INSTRUCTIONS[pair.task], cache)
    return PreparedPair(pair.pair_id, pair.query_id, pair.target_id, query, inputs.prepare(pair.target, "", cache))


class TaskBatches:
    """The batches of one task, pass after pass over its pairs, each pass shuffled anew.

    What a pass has over whole batches is left out of it, so that no batch holds a pair twice. Where samples are bad,
    the last batches of a pass are short, or empty.
    """

    def __init__(
        self,
        order: Order,
        arranged: Callable[[Order], NDArray[np.int32] | None],
        stream: Callable[[Order], PairStream[PreparedPair]],
        size: int,
    ) -> None:
        """`order` is that of the first pass; `arranged` is asked for that field of each pass's, before its first batch.

        `stream` reads such an order.
        """
        self._order, self._arrange, self._open, self._size = order, arranged, stream, size
        self._whole = len(order) // size
        self._begin(0)

    @property
    def position(self) -> float:
        """Passes over the pairs so far, the one under way in part."""
        return float(self.passes + self._batch / self._whole)

    def take(self) -> list[PreparedPair]:
        """The pairs of the next batch."""
        if self._batch == self._whole:
            self._begin(self.passes + 1)
        self._batch += 1
        return list(islice(self._pairs, self._size))

    def state_dict(self) -> dict[str, Any]:
        """Where it stands, after the batch it gave last."""
        arranged = self._stream.order.arranged
        return {
            "passes": self.passes,
            "batch": self._batch,
            "stream": self._stream.state_dict(),
            "arranged": None if arranged is None else torch.from_numpy(arranged),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where the same batches stood; raises UsageError for the state of others."""
        arranged = state["arranged"]
        self._read(state["passes"], None if arranged is None else arranged.numpy())
        self._batch = state["batch"]
        self._stream.load_state_dict(state["stream"])

    def _begin(self, passes: int) -> None:
        self._read(passes, self._arrange(replace(self._order, epoch=passes)))

    def _read(self, passes: int, arranged: NDArray[np.int32] | None) -> None:
        self.passes, self._batch = passes, 0  # finished passes; batches given of this one
        self._stream = self._open(replace(self._order, epoch=passes, arranged=arranged))
        self._pairs = iter(self._stream)
