"""Benchmarks and reports of UVRB with the scores a test wants: little videos, ranks drawn from a seed."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from eval.uvrb.datasets import DATASETS, Dataset
from eval.uvrb.page.space import Sample, draw_vectors
from eval.uvrb.records import Benchmark, DatasetScores, Query, UVRBReport
from infra.media.encode import encode_image, encode_video

VIDEOS = 6  # files; videos of a corpus share them
EVIL = '<script>alert("x")</script><img src=x onerror=alert(1)>'


@dataclass(frozen=True)
class Held:
    """Files in memory."""

    data: dict[str, bytes]

    def read(self, name: str) -> bytes:
        return self.data[name]

    def local_path(self, name: str) -> None:
        return None


def frames(number: int, count: int = 6) -> list[np.ndarray]:
    """A bright square that crosses a plain field; `number` decides the colours and the height."""
    field = np.array([(40 * number) % 256, (90 + 60 * number) % 256, (200 - 35 * number) % 256], np.uint8)
    made = []
    for place in range(count):
        frame = np.broadcast_to(field // 2, (72, 128, 3)).copy()
        top, left = 8 + 7 * number, 8 + 16 * place
        frame[top : top + 20, left : left + 20] = 255 - field
        made.append(frame)
    return made


def files() -> Held:
    videos = {f"videos/{number}.mp4": encode_video(frames(number), 6) for number in range(VIDEOS)}
    images = {f"images/{number}.jpg": encode_image(frames(number)[2]) for number in range(VIDEOS)}
    return Held({**videos, **images})


def benchmark(dataset: Dataset, held: Held, queries: int = 40) -> Benchmark:
    """As many queries as videos; each query is answered by the video of its number."""
    asked = tuple(
        Query(
            f"q{number:03d}",
            text=f"{EVIL} what moves in video {number}" if "T" in dataset.query else None,
            image=f"images/{number % VIDEOS}.jpg" if "I" in dataset.query else None,
            video=f"videos/{number % VIDEOS}.mp4" if "V" in dataset.query else None,
        )
        for number in range(queries)
    )
    corpus = {f"v{number:03d}": f"videos/{number % VIDEOS}.mp4" for number in range(queries)}
    positives = {query.query_id: (f"v{query.query_id[1:]}",) for query in asked}
    return Benchmark(dataset, asked, corpus, positives, {}, held)


def scores(dataset: Dataset, share: float, queries: int = 40, seed: int = 0) -> DatasetScores:
    """About `share` of the queries come first, the others anywhere."""
    rng = np.random.default_rng([seed, DATASETS.index(dataset)])
    rank = np.where(rng.random(queries) < share, 1, rng.integers(2, queries, queries))
    right = [f"v{number:03d}" for number in range(queries)]
    others = [[name for name in right if name != own] for own in right]
    first = [
        tuple([*other[: at - 1], own, *other[at - 1 :]][:10])
        for own, other, at in zip(right, others, rank.tolist(), strict=True)
    ]
    values = (rank <= dataset.k).astype(float)
    mean, half = float(values.mean()), 1.96 * float(values.std()) / queries**0.5
    recall = {k: float((rank <= k).mean()) for k in (1, 5, 10)}
    return DatasetScores(
        dataset=dataset.name,
        metric=dataset.metric,
        queries=queries,
        corpus=queries,
        score=mean,
        interval=(max(mean - half, 0.0), min(mean + half, 1.0)),
        chance=dataset.k / queries,
        recall=recall,
        hit=recall,
        ndcg_10=float(np.where(rank <= 10, 1 / np.log2(1 + rank), 0).mean()),
        query_ids=tuple(f"q{number:03d}" for number in range(queries)),
        query_scores=tuple(values.tolist()),
        first=tuple(first),
        right=tuple((name,) for name in right),
        rank=tuple(rank.tolist()),
    )


def report(
    datasets: Sequence[Dataset] = DATASETS, queries: int = 40, frames: int = 8, tokens: int = 200, share: float = 0.55
) -> UVRBReport:
    """A model that is better at some datasets than at others."""
    each = tuple(
        scores(dataset, share + 0.3 * np.sin(place), queries, frames + tokens) for place, dataset in enumerate(datasets)
    )
    return UVRBReport("models/tiny-gve", "0123abcd", frames, tokens, 42, each)


def published_sizes(made: UVRBReport) -> UVRBReport:
    """The report as if its datasets were the published ones."""
    sizes = {dataset.name: dataset for dataset in DATASETS}
    each = [
        replace(found, queries=sizes[found.dataset].queries, corpus=sizes[found.dataset].corpus or found.corpus)
        for found in made.datasets
    ]
    return replace(made, datasets=tuple(each))


def vectors(names: Sequence[str], gap: float, queries: int = 60, dim: int = 16) -> dict[str, Sample]:
    """Queries and targets scattered around places of each dataset, the two sides apart along one direction."""
    made = {}
    for place, name in enumerate(names):
        rng = np.random.default_rng(place)
        middle = rng.normal(size=dim)
        middle[0] = 0  # of which the sides differ
        sides = []
        for sign in (-1, 1):
            side = middle + 0.5 * rng.normal(size=(queries, dim))
            side[:, 0] = sign * gap
            sides.append((side / np.linalg.norm(side, axis=1, keepdims=True)).astype(np.float32))
        made[name] = draw_vectors(sides[0], sides[1], seed=42)
    return made
