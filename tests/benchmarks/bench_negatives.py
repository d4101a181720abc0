"""What mining hard negatives costs, and how often it finds what comparing everything finds, at several sizes.

    python tests/benchmarks/bench_negatives.py [--pairs 900000] [--sizes 4] [--dim 256] [--kind even] [--json]

Generated targets around random centres, 300 to a centre, that differ in 32 directions as embeddings do
(`--kind even`: no structure at all, the worst case); each query lies in a random direction from its target,
at a cosine between 0.4 and 0.9. Ten clips are of one video, one clip in twenty is labelled as a duplicate of
another, one query in twenty is what another pair asks. Every size runs in a process of its own, through the
stage's `compute` on an Arrow table, every row taken. Peak RSS is that process's, the table of vectors
included. For sampled queries all targets are compared: `same` is the share of them whose negative is the
one that this finds, `short_by` the mean cosine that the found ones lack. `cpu_us` is CPU microseconds a pair:
they grow with the number of pairs up to PROBES x CELL_TARGETS = 65,536, where all are compared, and must not after.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from made_vectors import Centres, unit

from filters.negatives import Negatives, by_task_and_split
from shards.mining import SCALE, mine, score_limits
from shards.vectors import VECTOR

PIECE = 50_000  # vectors generated at once
SAMPLE = 2_000  # queries compared with every target
CLIPS_OF_VIDEO = 10


def make_vectors(pairs: int, dim: int, kind: str) -> tuple[NDArray[np.float16], NDArray[np.float16]]:
    """Queries and targets, float16 [pairs, dim]."""
    rng = np.random.default_rng(pairs)
    queries, targets = np.empty((pairs, dim), np.float16), np.empty((pairs, dim), np.float16)
    centres = Centres(rng, max(10, pairs // 300), dim)
    for start in range(0, pairs, PIECE):
        count = min(PIECE, pairs - start)
        target = centres.draw(rng, count) if kind == "clusters" else unit(rng.standard_normal((count, dim), np.float32))
        away = rng.standard_normal(target.shape, np.float32)
        away = unit(away - (away * target).sum(axis=1, keepdims=True) * target)
        cosines = rng.uniform(0.4, 0.9, (count, 1)).astype(np.float32)
        targets[start : start + count] = target
        queries[start : start + count] = cosines * target + np.sqrt(1 - cosines**2) * away
    return queries, targets


def column(vectors: NDArray[np.float16]) -> pa.Array:
    """Vectors as a column of a table, not copied."""
    rows, dim = vectors.shape
    offsets = pa.py_buffer((np.arange(rows + 1, dtype=np.int64) * dim * 2).astype(np.int32))
    return pa.Array.from_buffers(VECTOR, rows, [None, offsets, pa.py_buffer(vectors)])


def make_table(pairs: int, dim: int, kind: str) -> pa.Table:
    """Rows as the engine gives them, all of one task and split."""
    queries, targets = make_vectors(pairs, dim, kind)
    rng = np.random.default_rng(0)
    names = [f"{i:032x}" for i in range(pairs)]
    others = rng.integers(0, pairs, pairs).tolist()
    is_copy, is_asked_twice = (rng.random(pairs) < 0.05).tolist(), (rng.random(pairs) < 0.05).tolist()
    return pa.table(
        {
            "key": names,
            "task": pa.array(["T2V"] * pairs),
            "split": pa.array(["train"] * pairs),
            "shard": [f"{i // 1000:024x}" for i in range(pairs)],
            "position": pa.array(np.arange(pairs) % 1000),
            "video_id": [names[i // CLIPS_OF_VIDEO] for i in range(pairs)],
            "clip_id": names,
            "query_id": [names[other] if twice else names[i] for i, (other, twice) in _both(others, is_asked_twice)],
            "near_duplicate_of": pa.array([names[o] if copy else None for _, (o, copy) in _both(others, is_copy)]),
            "same_text_as": pa.array([""] * pairs),
            "query_vector": column(queries),
            "clip_vector": column(targets),
            "vector_model": pa.array(["bench"] * pairs),
        }
    )


def _both(one: list[Any], other: list[Any]) -> Any:
    return enumerate(zip(one, other, strict=True))


def measure(pairs: int, dim: int, kind: str) -> dict[str, Any]:
    """Seconds, memory and recall of one size, in this process."""
    stage, table = Negatives(), make_table(pairs, dim, kind)
    columns = {"key": pa.string(), "negatives": pa.list_(pa.string()), "vector_model": pa.string()}
    nothing = pa.schema(columns.items()).empty_table()
    began, cpu = time.perf_counter(), time.process_time()
    found = np.array([row["negative_cosines"] or [np.nan] for row in stage.compute(table, nothing)])[:, 0]
    seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - cpu
    facts = {
        "pairs": pairs,
        "seconds": round(seconds, 1),
        "cpu_seconds": round(cpu_seconds, 1),
        "cpu_us": round(cpu_seconds / pairs * 1e6),
        "peak_gib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
        "with_negative": int(np.isfinite(found).sum()),
    }
    return facts | recall(table, found, stage)


def recall(table: pa.Table, found: NDArray[np.float64], stage: Negatives) -> dict[str, Any]:
    """Of sampled queries with a negative: how many have the best there is, and what cosine the others lack."""
    [(_, pairs)] = by_task_and_split(table)
    own = np.arange(len(found))
    sample = np.sort(np.random.default_rng(1).choice(own, min(SAMPLE, len(own)), replace=False))
    limits = score_limits(pairs.scores(sample, sample), stage.max_share)
    best = np.round(mine(pairs, sample, limits, stage.seed, probes=len(own)).scores / SCALE**2, 4)
    there = np.isfinite(best)
    short = np.where(np.isfinite(found[sample]), best - found[sample], np.nan)[there]
    return {"same": round(float((short < 5e-5).mean()), 4), "short_by": round(float(np.nanmean(short)), 5)}


def main() -> None:
    parser = argparse.ArgumentParser(description="Cost and recall of mining hard negatives at several sizes.")
    parser.add_argument("--pairs", type=int, default=900_000, help="the largest size; each other is half the next")
    parser.add_argument("--sizes", type=int, default=4)
    parser.add_argument("--dim", type=int, default=256)
    parser.add_argument("--kind", choices=["clusters", "even"], default="clusters")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options.pairs, options.dim, options.kind)))
        return
    rows: list[dict[str, Any]] = []
    for halvings in reversed(range(options.sizes)):
        size = ["--pairs", str(options.pairs >> halvings), "--dim", str(options.dim), "--kind", options.kind]
        answer = subprocess.run([sys.executable, __file__, "--one", *size], stdout=subprocess.PIPE, check=True)
        rows.append(json.loads(answer.stdout) | {"dim": options.dim, "kind": options.kind})
        if not options.json:
            print("   ".join(f"{name} {value}" for name, value in rows[-1].items()), flush=True)
    if options.json:
        print(json.dumps(rows))


if __name__ == "__main__":
    main()
