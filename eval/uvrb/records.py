"""What is read from a dataset of UVRB, and what scoring it gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from eval.uvrb.abilities import AbilityScores, ability_scores
from eval.uvrb.datasets import Dataset
from shards.records import Side


class Files(Protocol):
    """The files of one dataset, in a folder or in an archive."""

    def read(self, name: str) -> bytes:
        """The bytes of a file by its name relative to the dataset."""
        ...

    def local_path(self, name: str) -> Path | None:
        """Where a file lies by itself; None for one in an archive, and for a video that is frames."""
        ...


@dataclass(frozen=True)
class Query:
    """One query: any combination of a text, an image and a video."""

    query_id: str
    text: str | None = None
    image: str | None = None  # names relative to the dataset
    video: str | None = None


@dataclass(frozen=True)
class Benchmark:
    """One dataset, read and found whole: queries and videos by their ids, and which answer which."""

    dataset: Dataset
    queries: tuple[Query, ...]  # by id, sorted
    corpus: Mapping[str, str]  # the name of each video by its id, sorted
    positives: Mapping[str, tuple[str, ...]]  # by query, at least one each
    candidates: Mapping[str, tuple[str, ...]]  # by query; empty where all of the corpus is searched
    files: Files

    def query_side(self, query: Query) -> Side:
        """A query's text and media, read from the dataset."""
        image, video = (self.files.read(name) if name else None for name in (query.image, query.video))
        return Side(query.text, image, video)

    def target_side(self, corpus_id: str) -> Side:
        """A video of the corpus, read from the dataset."""
        return Side(video=self.files.read(self.corpus[corpus_id]))


@dataclass(frozen=True)
class DatasetScores:
    """What one model scored on one dataset; shares between 0 and 1."""

    dataset: str
    metric: str  # R@1, R@10 or P@1: what `score` is
    queries: int
    corpus: int
    score: float
    interval: tuple[float, float]  # 95% bootstrap over queries
    chance: float  # the metric's expectation under a random ranking
    recall: Mapping[int, float]  # by k: the share of a query's positives among its first k results
    hit: Mapping[int, float]  # by k: whether any is
    ndcg_10: float
    query_ids: tuple[str, ...]  # sorted; what follows is in their order
    query_scores: tuple[float, ...]  # the metric's value of each query
    first: tuple[tuple[str, ...], ...]  # its ten best videos, best first
    right: tuple[tuple[str, ...], ...]  # its positives
    rank: tuple[int, ...]  # where the best of its positives came, from 1


@dataclass(frozen=True)
class UVRBReport:
    """What one model scored on some of UVRB's datasets."""

    model: str  # its folder or name
    model_id: str  # fingerprint of weights and input settings
    frames: int  # of a video
    tokens: int  # of a frame, at most
    seed: int  # of the bootstrap
    datasets: tuple[DatasetScores, ...]  # in the order of the benchmark

    @property
    def scores(self) -> dict[str, float]:
        """The score of each dataset."""
        return {scores.dataset: scores.score for scores in self.datasets}

    @property
    def abilities(self) -> AbilityScores:
        """Scores of abilities, averages, and what they lack."""
        return ability_scores(self.scores)
