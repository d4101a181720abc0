"""Queries that went wrong, with pictures: what was asked, what came first, and where the right answer came."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from eval.uvrb.datasets import Dataset
from eval.uvrb.page.rows import OF_BENCHMARK
from eval.uvrb.records import Benchmark, DatasetScores, Query
from infra.errors import RowError
from infra.media.decode import decode_image, sample_frames
from infra.media.encode import encode_image, scale_to_height
from infra.page import data_uri
from shards.records import Side
from shards.split import rank

DRAWN: Final = 300  # queries of a dataset, of which the worst are shown
SHOWN: Final = 6
HEIGHT, QUALITY = 108, 72  # of a picture: pixels, JPEG
WIDEST: Final = 320  # pixels; a panorama is cut to its middle
PICTURE_BYTES: Final = 9_000_000  # of all pictures of a page, before base64 makes 4 of every 3
TEXT_CHARACTERS: Final = 600  # of a query


@dataclass(frozen=True)
class Thumbnail:
    """A small picture as a data URI, or why there is none."""

    uri: str | None
    width: int = 0
    height: int = 0
    why: str = ""


@dataclass(frozen=True)
class Seen:
    """A video or an image of a card."""

    kind: str  # image or video
    name: str  # its id
    thumbnail: Thumbnail | None  # None where the benchmark is not at hand


@dataclass(frozen=True)
class Failure:
    """One query whose right answer did not come among the first k."""

    query_id: str
    text: str | None
    asked: tuple[Seen, ...]  # the query's own image and video
    first: Seen
    right: Seen
    rank: int
    more_right: int  # other right answers


@dataclass(frozen=True)
class DatasetFailures:
    """The failures of one dataset that are shown, and how many there are."""

    dataset: Dataset
    queries: int
    drawn: int
    failed: int  # of all queries
    shown: tuple[Failure, ...]


def show_failures(
    datasets: Sequence[DatasetScores],
    benchmarks: Mapping[str, Benchmark],
    seed: int,
    shown: int = SHOWN,
    most_bytes: int = PICTURE_BYTES,
) -> list[DatasetFailures]:
    """Of every dataset the up to `shown` worst queries among DRAWN that `seed` draws.

    Pictures stop at `most_bytes`; the datasets take turns, so that each has some. What cannot be read
    or decoded is said in its place.
    """
    chosen = [worst_queries(found, seed)[:shown] for found in datasets]
    album = _Album(most_bytes)
    cards: list[list[Failure]] = [[] for _ in datasets]
    for turn in range(shown):
        for found, rows, held in zip(datasets, chosen, cards, strict=True):
            if turn < len(rows):
                held.append(_failure(found, rows[turn], benchmarks.get(found.dataset), album))
    return [_of_dataset(found, tuple(held)) for found, held in zip(datasets, cards, strict=True)]


def worst_queries(found: DatasetScores, seed: int) -> list[int]:
    """Places of the failed queries among DRAWN of a dataset, the worst rank first."""
    by_draw = sorted(
        range(len(found.query_ids)), key=lambda row: rank(seed, "failures", found.dataset, found.query_ids[row])
    )[:DRAWN]
    return sorted((row for row in by_draw if _failed(found, row)), key=lambda row: -found.rank[row])


def _failed(found: DatasetScores, row: int) -> bool:
    return found.rank[row] > OF_BENCHMARK[found.dataset].k


def _of_dataset(found: DatasetScores, shown: tuple[Failure, ...]) -> DatasetFailures:
    queries = len(found.query_ids)
    failed = sum(_failed(found, row) for row in range(queries))
    return DatasetFailures(OF_BENCHMARK[found.dataset], queries, min(queries, DRAWN), failed, shown)


@dataclass
class _Album:
    """Makes thumbnails until they are `most_bytes` in all."""

    most_bytes: int
    spent: int = field(default=0, init=False)

    def add(self, read: Callable[[], Side]) -> Thumbnail:
        """The picture of the image, or of the middle frame of the video, of the side that `read` gives."""
        if self.spent >= self.most_bytes:
            return Thumbnail(None, why="left out, the page would be too big")
        try:
            side = read()
            picture = decode_image(side.image) if side.image else sample_frames(side.video or b"", 3)[0][1]
        except RowError as error:
            return Thumbnail(None, why=f"no picture: {error.reason}")
        small = scale_to_height(picture, HEIGHT)
        aside = max(0, small.shape[1] - WIDEST) // 2
        small = small[:, aside : aside + WIDEST]
        data = encode_image(small, QUALITY)
        self.spent += len(data)
        return Thumbnail(data_uri(data, "image/jpeg"), small.shape[1], small.shape[0])


def _failure(found: DatasetScores, row: int, benchmark: Benchmark | None, album: _Album) -> Failure:
    at, first, right = found.rank[row], found.first[row], found.right[row]
    best = first[at - 1] if at <= len(first) else right[0]
    query = _query(benchmark, found.query_ids[row])
    return Failure(
        query_id=found.query_ids[row],
        text=_shortened(query.text) if query and query.text else None,
        asked=_asked(benchmark, query, album) if benchmark and query else (),
        first=_target(benchmark, first[0], album),
        right=_target(benchmark, best, album),
        rank=at,
        more_right=len(right) - 1,
    )


def _query(benchmark: Benchmark | None, query_id: str) -> Query | None:
    queries = benchmark.queries if benchmark else ()
    return next((query for query in queries if query.query_id == query_id), None)


def _asked(benchmark: Benchmark, query: Query, album: _Album) -> tuple[Seen, ...]:
    named = (("image", query.image), ("video", query.video))
    return tuple(
        Seen(kind, name, album.add(partial(benchmark.query_side, Query(query.query_id, **{kind: name}))))
        for kind, name in named
        if name
    )


def _target(benchmark: Benchmark | None, corpus_id: str, album: _Album) -> Seen:
    if benchmark is None or corpus_id not in benchmark.corpus:
        return Seen("video", corpus_id, None)
    return Seen("video", corpus_id, album.add(partial(benchmark.target_side, corpus_id)))


def _shortened(text: str) -> str:
    return text if len(text) <= TEXT_CHARACTERS else text[:TEXT_CHARACTERS].rsplit(" ", 1)[0] + " …"
