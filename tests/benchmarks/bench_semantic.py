"""What finding semantic duplicates costs, and how many of the planted ones it finds, at four sizes.

    python tests/benchmarks/bench_semantic.py [--clips 1550000] [--sizes 4] [--dim 256] [--kind even]
            [--min-cosine 0.99] [--png FILE] [--json]

Generated vectors around random centres, 300 clips to a centre, that differ in 32 directions as embeddings
do (`--kind even`: no structure at all, the worst case); one clip in fifty is a planted near duplicate of
another, in a random direction from it, its cosine with it uniform between the threshold and 1. Every size
runs in a process of its own, through the stage's `compute` on an Arrow table, every outcome taken. Peak
RSS is that process's, the table of vectors included. Recall is over brute force: sampled clips, planted
ones among them, are compared with all others, and of every two that are near one must have been dropped.
`x_n_log_n` is CPU seconds over n log n, relative to the smallest size: it must not grow.
"""

from __future__ import annotations

import argparse
import json
import math
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

from made_vectors import Centres, alike, unit

from filters.semantic import SemanticDuplicates
from infra.stage import Drop
from shards.vectors import VECTOR, to_unit, unpack

PIECE = 50_000  # vectors generated at once
PLANTED_SHARE = 0.02
SAMPLE = 2_000  # of all clips, and as many of the planted ones, compared with every other
MARGIN = 1e-3  # planted that much above the threshold: half precision moves cosines


def make_vectors(clips: int, dim: int, kind: str, min_cosine: float) -> NDArray[np.float16]:
    """Vectors float16 [clips, dim]; the last PLANTED_SHARE are near duplicates of random others."""
    rng = np.random.default_rng(clips)
    vectors = np.empty((clips, dim), np.float16)
    films = clips - round(clips * PLANTED_SHARE)
    centres = Centres(rng, max(10, films // 300), dim)
    for start in range(0, films, PIECE):
        count = min(PIECE, films - start)
        vectors[start : start + count] = (
            centres.draw(rng, count) if kind == "clusters" else unit(rng.standard_normal((count, dim), np.float32))
        )
    sources = rng.choice(films, clips - films, replace=False)
    vectors[films:] = alike(rng, to_unit(vectors[sources]), min_cosine + MARGIN)
    return vectors


def make_table(vectors: NDArray[np.float16]) -> pa.Table:
    """Rows as the engine gives them; keys sort in the order of the vectors, facts are drawn."""
    clips, dim = vectors.shape
    rng = np.random.default_rng(0)
    offsets = pa.py_buffer(np.arange(0, (clips + 1) * dim * 2, dim * 2, dtype=np.int64).astype(np.int32))
    column = pa.Array.from_buffers(VECTOR, clips, [None, offsets, pa.py_buffer(vectors)])
    return pa.table(
        {
            "key": [f"{i:032x}" for i in range(clips)],
            "clip_vector": column,
            "vector_model": pa.array(["bench"] * clips),
            "width": rng.choice(np.array([320, 640, 1280], np.int32), clips),
            "height": rng.choice(np.array([180, 360, 720], np.int32), clips),
            "clip_duration_s": rng.uniform(2, 30, clips),
        }
    )


def measure(clips: int, dim: int, kind: str, min_cosine: float) -> dict[str, Any]:
    """Seconds, memory and recall of one size, in this process."""
    stage = SemanticDuplicates(min_cosine=min_cosine)
    vectors = make_vectors(clips, dim, kind, min_cosine)
    table = make_table(vectors)
    began, cpu = time.perf_counter(), time.process_time()
    dropped = {o.key for o in stage.compute(table, table.slice(0, 0)) if isinstance(o, Drop)}
    seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    lost = np.isin(np.arange(clips), [int(key, 16) for key in dropped])
    facts = {
        "clips": clips,
        "seconds": round(seconds, 1),
        "cpu_seconds": round(cpu_seconds, 1),
        "peak_gib": round(peak, 2),
    }
    return facts | {"dropped": len(dropped), **recall(unpack(table["clip_vector"]), lost, min_cosine)}


def recall(vectors: NDArray[np.float16], lost: NDArray[np.bool_], min_cosine: float) -> dict[str, Any]:
    """Of sampled clips that brute force finds near another: how many near pairs the stage left whole.

    A pair is settled when at least one of it was dropped.
    """
    rng = np.random.default_rng(1)
    clips, planted = len(vectors), round(len(vectors) * PLANTED_SHARE)
    sample = np.unique(
        [
            *rng.choice(clips, min(SAMPLE, clips), replace=False),
            *rng.choice(np.arange(clips - planted, clips), min(SAMPLE, planted), replace=False),
        ]
    )
    units, pairs, settled = to_unit(vectors[sample]), 0, 0
    for start in range(0, clips, PIECE):
        i, j = np.nonzero(units @ to_unit(vectors[start : start + PIECE]).T >= min_cosine + 1e-5)
        a, b = sample[i], start + j
        other = a != b
        pairs += int(other.sum())
        settled += int((other & (lost[a] | lost[b])).sum())
    return {"brute_force_pairs": pairs, "recall": round(settled / pairs, 5) if pairs else None}


def draw(rows: list[dict[str, Any]], path: str) -> None:
    """CPU seconds over clips beside a curve of n log n through the smallest size."""
    from matplotlib.figure import Figure

    clips, seconds = [row["clips"] for row in rows], [row["cpu_seconds"] for row in rows]
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    axes.loglog(clips, seconds, "o-", label="semantic duplicates")
    unit_cost = seconds[0] / (clips[0] * math.log(clips[0]))
    axes.loglog(clips, [unit_cost * n * math.log(n) for n in clips], "--", color="grey", label="n log n")
    axes.set_xlabel("clips")
    axes.set_ylabel("CPU seconds")
    axes.set_title(f"Semantic duplicates, {rows[0]['dim']} dimensions")
    axes.grid(True, which="both", alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description="Cost and recall of semantic deduplication at several sizes.")
    parser.add_argument("--clips", type=int, default=1_550_000, help="the largest size; each other is half the next")
    parser.add_argument("--sizes", type=int, default=4)
    parser.add_argument("--dim", type=int, default=256)
    parser.add_argument("--kind", choices=["clusters", "even"], default="clusters")
    parser.add_argument("--min-cosine", type=float, default=SemanticDuplicates().min_cosine)
    parser.add_argument("--png")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options.clips, options.dim, options.kind, options.min_cosine)))
        return
    rows = []
    for halvings in reversed(range(options.sizes)):
        size = ["--clips", str(options.clips >> halvings), "--dim", str(options.dim), "--kind", options.kind]
        size += ["--min-cosine", str(options.min_cosine)]
        answer = subprocess.run([sys.executable, __file__, "--one", *size], stdout=subprocess.PIPE, check=True)
        row = json.loads(answer.stdout) | {"dim": options.dim, "kind": options.kind, "min_cosine": options.min_cosine}
        n, first = row["clips"], (rows or [row])[0]
        cost = (row["cpu_seconds"] / first["cpu_seconds"]) / (
            n * math.log(n) / (first["clips"] * math.log(first["clips"]))
        )
        rows.append(row | {"x_n_log_n": round(cost, 2)})
        if not options.json:
            print("   ".join(f"{name} {value}" for name, value in rows[-1].items()), flush=True)
    if options.json:
        print(json.dumps(rows))
    if options.png:
        draw(rows, options.png)


if __name__ == "__main__":
    main()
