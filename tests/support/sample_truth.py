"""A sample UVRB read back, and models that embed facts instead of pictures."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eval.encode import encode_distinct
from eval.metrics import recall_at_k
from eval.sample_uvrb.analogue import Analogue
from eval.sample_uvrb.truth import name, place, setting_facts, thing_facts
from eval.sample_uvrb.write import TRUTH, whole
from eval.search import top_k
from eval.uvrb.layout import read_benchmark
from eval.uvrb.records import Benchmark
from infra.sample_world.path import is_visible, on_screen
from infra.sample_world.spec import VideoSpec
from shards.records import Side

Vectors = NDArray[np.float32]
Facts = frozenset[str]


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def load(folder: Path) -> Benchmark:
    """One dataset of a written sample."""
    [benchmark] = read_benchmark(str(folder.parent), [folder.name])
    return benchmark


def content_hash(side: Side) -> str:
    """What a model sees, and nothing else."""
    return hashlib.sha256(repr((side.text, side.image, side.video)).encode()).hexdigest()


class FactModel:
    """Embeds the facts that a table has of a side's content; most alike is what holds most of what is wanted.

    With `noise`, things of which it knows the same come in an order that depends on nothing but the noise.
    """

    def __init__(self, table: Mapping[str, Facts], noise: float = 0.0, seed: int = 0) -> None:
        self.table, self.noise, self.seed = table, noise, seed
        self.place = {fact: number for number, fact in enumerate(sorted(frozenset().union(*table.values())))}
        self.most = max(map(len, table.values()))

    @property
    def dim(self) -> int:
        """One for every fact, two that make all lengths one, and eight of noise."""
        return len(self.place) + 10

    def embed(self, sides: Sequence[Side], instruction: str = "") -> Vectors:
        vectors = np.zeros((len(sides), self.dim), np.float64)
        for row, side in zip(vectors, sides, strict=True):
            key = content_hash(side)
            row[[self.place[fact] for fact in self.table[key]]] = 1
            row[-10 if instruction else -9] = np.sqrt(self.most - len(self.table[key]))
            rng = np.random.default_rng([self.seed, int(key[:8], 16)])
            row[-8:] = self.noise * rng.standard_normal(8)
        return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


class RandomModel:
    """A direction for every content, drawn from its hash and a seed."""

    dim = 16

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def embed(self, sides: Sequence[Side], instruction: str = "") -> Vectors:
        hashes = [int(content_hash(side)[:15], 16) for side in sides]
        vectors = np.stack([np.random.default_rng([self.seed, one]).standard_normal(self.dim) for one in hashes])
        return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def true_table(benchmark: Benchmark, folder: Path) -> dict[str, Facts]:
    """By content, what a video shows and what a query asks for, as the generator wrote it."""
    facts = {row["id"]: frozenset(row["facts"]) for row in lines(folder / TRUTH)}
    queries = {content_hash(benchmark.query_side(query)): facts[query.query_id] for query in benchmark.queries}
    return queries | {content_hash(benchmark.target_side(one)): facts[one] for one in benchmark.corpus}


def seen_table(benchmark: Benchmark, folder: Path, seen: Mapping[str, Facts]) -> dict[str, Facts]:
    """The same, with other facts of the videos: those that a model sees which does not see all."""
    return true_table(benchmark, folder) | {
        content_hash(benchmark.target_side(one)): seen[one] for one in benchmark.corpus
    }


def by_id(analogue: Analogue, see: Callable[[VideoSpec], Facts]) -> dict[str, Facts]:
    """What is seen of every video of an analogue, by its id in the corpus."""
    return {whole(spec).id: see(spec) for spec in analogue.videos}


def one_frame(spec: VideoSpec, u: float) -> Facts:
    """What one frame shows, at progress `u` of the first shot: things and where they are, and the background."""
    shot, aspect = spec.shots[0], spec.width / spec.height
    shown = [thing for thing in shot.things if is_visible(thing, u)]
    named_facts = {fact for thing in shown for fact in thing_facts(thing)[:2]}
    places = {f"{name(thing)} {place(*on_screen(shot, thing, u, aspect)[:2])}" for thing in shown}
    return frozenset({*setting_facts(shot.background), *named_facts, *places})


def query_scores(benchmark: Benchmark, model: FactModel | RandomModel) -> NDArray[np.float64]:
    """The dataset's metric for every query, float64 [queries]."""
    dataset = benchmark.dataset
    queries = encode_distinct(
        ((query.query_id, benchmark.query_side(query)) for query in benchmark.queries), model, dataset.instruction
    )
    corpus = encode_distinct(((one, benchmark.target_side(one)) for one in benchmark.corpus), model)
    return ranked_scores(benchmark, queries.vectors, corpus.vectors)


def ranked_scores(benchmark: Benchmark, queries: Vectors, corpus: Vectors) -> NDArray[np.float64]:
    """The same from vectors of queries and of the corpus, both in the order of their ids."""
    rows = {one: row for row, one in enumerate(sorted(benchmark.corpus))}
    scores = []
    for vector, query in zip(queries, sorted(benchmark.positives), strict=True):
        pool = sorted(rows[one] for one in benchmark.candidates.get(query, benchmark.corpus))
        ranked = np.array(pool)[top_k(vector[None], corpus[pool], benchmark.dataset.k).indices]
        scores.append(recall_at_k(ranked, [{rows[one] for one in benchmark.positives[query]}], benchmark.dataset.k)[0])
    return np.array(scores)


def chance(benchmark: Benchmark) -> float:
    """What a random ranking scores."""
    return benchmark.dataset.k / len(next(iter(benchmark.candidates.values()), benchmark.corpus))
