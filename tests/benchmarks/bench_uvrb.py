"""What scoring a UVRB dataset takes once its vectors are there, beside the bare product of the vectors.

    python tests/benchmarks/bench_uvrb.py [--sizes 1000 5000 15000] [--dim 256] [--json]

As many queries as videos, random vectors, one right video a query. Both ways run in turn in every round, in this
process; the figures are medians, `ratio` is that of the same round.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eval.uvrb.datasets import named
from eval.uvrb.evaluate import score_dataset
from eval.uvrb.records import Benchmark, Query

Vectors = NDArray[np.float32]
AT_ONCE = 256  # queries of the bare product, so that its scores fit in memory


class NoFiles:
    """Scoring opens none."""

    def read(self, name: str) -> bytes:
        raise FileNotFoundError(name)


def unit(rng: np.random.Generator, count: int, dim: int) -> Vectors:
    """Random directions [count, dim]."""
    vectors = rng.standard_normal((count, dim), np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def benchmark_of(size: int) -> Benchmark:
    """A dataset of `size` queries and videos, query i answered by video i."""
    ids = [f"{number:06d}" for number in range(size)]
    queries = tuple(Query(name, text=name) for name in ids)
    positives = {name: (name,) for name in ids}
    return Benchmark(named(["PEV-K"])[0], queries, {name: name for name in ids}, positives, {}, NoFiles())


def product(queries: Vectors, corpus: Vectors) -> None:
    """All cosines, some queries at a time."""
    for at in range(0, len(queries), AT_ONCE):
        queries[at : at + AT_ONCE] @ corpus.T


def cpu_s(work: Callable[[], object]) -> float:
    """CPU seconds that something takes."""
    began = time.process_time()
    work()
    return time.process_time() - began


def measure(size: int, dim: int, rounds: int) -> dict[str, Any]:
    """One size."""
    rng = np.random.default_rng(size)
    benchmark, queries, corpus = benchmark_of(size), unit(rng, size, dim), unit(rng, size, dim)
    taken = [
        (cpu_s(lambda: product(queries, corpus)), cpu_s(lambda: score_dataset(benchmark, queries, corpus)))
        for _ in range(rounds)
    ]
    return {
        "queries": size,
        "product_cpu_s": round(statistics.median(bare for bare, _ in taken), 2),
        "score_cpu_s": round(statistics.median(whole for _, whole in taken), 2),
        "ratio": round(statistics.median(whole / bare for bare, whole in taken), 2),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="*", default=[1000, 5000, 15_000])
    parser.add_argument("--dim", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = [measure(size, options.dim, options.rounds) for size in options.sizes]
    print(json.dumps(rows, indent=1) if options.json else "\n".join(map(str, rows)))


if __name__ == "__main__":
    main()
