"""Every side of some benchmarks embedded once, by one process or several, in batches that are the same for any number.

A side is read twice, for its key and to be embedded, so that never more than a batch of them is in memory. What
batches are made of depends on the benchmarks alone: the same sides stand beside each other after a kill, and in
whatever process, since the last bits of a vector can depend on what it was padded with.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final, Protocol, TypeVar

from eval.encode import check_vectors
from eval.uvrb.records import Benchmark, Query
from eval.uvrb.vectors import VectorCache, side_key
from infra.errors import RowError, UsageError
from infra.progress import Progress
from shards.embedder import Embedder
from shards.records import Side

T = TypeVar("T")

BATCH_SIDES: Final = 64
BATCH_BYTES: Final = 2**28  # of encoded media; a longer video is a batch by itself


class Exchange(Protocol):
    """How the processes of one evaluation meet, as `train.ranks.Ranks.share` does."""

    def __call__(self, value: T) -> list[T]:
        """Every rank's `value`, in the order of ranks, once all have come."""
        ...


def alone(value: T) -> list[T]:
    """The exchange of the only process."""
    return [value]


@dataclass(frozen=True)
class BenchmarkKeys:
    """The cache's keys of a benchmark's queries and videos, in their order."""

    queries: tuple[bytes, ...]
    corpus: tuple[bytes, ...]


@dataclass(frozen=True)
class Source:
    """Where a side is to be read: a query, or a video of the corpus."""

    benchmark: Benchmark
    query: Query | None
    corpus_id: str = ""

    @property
    def instruction(self) -> str:
        """The dataset's for a query, none for a target."""
        return self.benchmark.dataset.instruction if self.query else ""

    def read(self) -> Side:
        """The side, from the dataset's files."""
        return self.benchmark.query_side(self.query) if self.query else self.benchmark.target_side(self.corpus_id)

    def __str__(self) -> str:
        what = f"query {self.query.query_id}" if self.query else f"video {self.corpus_id}"
        return f"{self.benchmark.dataset.name}, {what}"


@dataclass(frozen=True)
class Known:
    """What is known of a side once it was read."""

    key: bytes
    instruction: str
    kind: str  # of what it is made, as "text+image"
    letters: int
    media_bytes: int


def embed_missing(
    benchmarks: Sequence[Benchmark],
    embedder: Embedder,
    cache: VectorCache,
    share: tuple[int, int] = (0, 1),
    exchange: Exchange = alone,
    progress: Progress | None = None,
) -> list[BenchmarkKeys]:
    """Put into `cache` every side that is not there, and give the keys of all.

    With `share` (rank, ranks), each of so many processes embeds its part; all see one cache and meet in `exchange`.
    Instructions go with queries only. Raises UsageError, which names it, for a side that cannot be embedded, and
    RunFailed when the embedder answers with anything but unit vectors.
    """
    rank, ranks = share
    sources = list(_sources(benchmarks))
    looked = exchange([_look(source) for source in _shown(progress, "read", sources[rank::ranks])])
    known = [looked[number % ranks][number // ranks] for number in range(len(sources))]
    missing = [kept for batch in batches(known) if (kept := [row for row in batch if known[row].key not in cache])]
    missing = exchange(missing)[0]  # whoever else writes to the cache meanwhile, all deal out the same
    if progress:
        distinct = len({side.key for side in known})
        progress.console.print(f"{distinct} distinct sides, {sum(map(len, missing))} of them not embedded yet")
    for kind, group in groupby(missing[rank::ranks], key=lambda batch: known[batch[0]].kind):
        for batch in _shown(progress, f"embed {kind}", list(group)):
            _embed([(sources[row], known[row].key) for row in batch], embedder, cache)
    exchange(None)  # all wait for the last one
    cache.refresh()
    return _by_benchmark(benchmarks, [side.key for side in known])


def batches(known: Sequence[Known]) -> list[list[int]]:
    """Numbers of distinct sides, each once, in batches of one kind and instruction and of texts of like length."""
    first = {side.key: number for number, side in reversed(list(enumerate(known)))}
    order = sorted(first.values(), key=lambda number: (_likeness(known[number]), known[number].letters, number))
    made: list[list[int]] = []
    for _, alike in groupby(order, key=lambda number: _likeness(known[number])):
        made.append([])
        held = 0
        for number in alike:
            held += known[number].media_bytes
            if made[-1] and (len(made[-1]) == BATCH_SIDES or held > BATCH_BYTES):
                made.append([])
                held = known[number].media_bytes
            made[-1].append(number)
    return made


def _likeness(side: Known) -> tuple[str, str]:
    return side.kind, side.instruction


def _sources(benchmarks: Iterable[Benchmark]) -> Iterator[Source]:
    for benchmark in benchmarks:
        yield from (Source(benchmark, query) for query in benchmark.queries)
        yield from (Source(benchmark, None, name) for name in benchmark.corpus)


def _look(source: Source) -> Known:
    side = source.read()
    parts = {"text": side.text, "image": side.image, "video": side.video}
    return Known(
        key=side_key(side, source.instruction),
        instruction=source.instruction,
        kind="+".join(name for name, part in parts.items() if part is not None),
        letters=len(side.text or ""),
        media_bytes=len(side.image or b"") + len(side.video or b""),
    )


def _embed(batch: Sequence[tuple[Source, bytes]], embedder: Embedder, cache: VectorCache) -> None:
    """Embed sides of one instruction and keep their vectors."""
    instruction = batch[0][0].instruction
    sides = [source.read() for source, _ in batch]
    try:
        vectors = embedder.embed(sides, instruction)
    except RowError as error:
        raise UsageError(_blame(batch, sides, embedder) or str(error)) from error
    cache.add([key for _, key in batch], check_vectors(vectors, len(batch), embedder.dim))


def _blame(batch: Sequence[tuple[Source, bytes]], sides: Sequence[Side], embedder: Embedder) -> str | None:
    """Which side of a batch it is that cannot be embedded, and why: each is tried by itself."""
    for (source, _), side in zip(batch, sides, strict=True):
        try:
            embedder.embed([side], source.instruction)
        except RowError as error:
            return f"{source} cannot be embedded: {error}"
    return None


def _shown(progress: Progress | None, name: str, items: Sequence[T]) -> Iterator[T]:
    """The items, with a bar on how many are done."""
    if progress:
        progress.begin(name, total=len(items), done=0)
    for item in items:
        yield item
        if progress:
            progress.advance(name, 1, 0)


def _by_benchmark(benchmarks: Iterable[Benchmark], keys: Sequence[bytes]) -> list[BenchmarkKeys]:
    found, end = [], 0
    for benchmark in benchmarks:
        start, middle = end, end + len(benchmark.queries)
        end = middle + len(benchmark.corpus)
        found.append(BenchmarkKeys(tuple(keys[start:middle]), tuple(keys[middle:end])))
    return found
