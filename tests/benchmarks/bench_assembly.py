"""Assembly at scale: from captioned clips to a shard plan and the index of a release, by the table of UVRD.

    python tests/benchmarks/bench_assembly.py --pairs 12500 50000 200000 1549000 --json FILE --picture FILE.png

Clips nobody filmed, with texts of the usual length and media that are only told of, lie in a lake as parts of one
stage; the real engine runs `pairs`, `sides` and `layout` over them on two Ray workers, and the index is written.
Each size runs in a process of its own; memory is that of the driver at its peak, DuckDB's 2 GB among it.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

import matplotlib
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from toy_runs import open_run

from infra.engine import run_stage
from infra.pool import Pool
from infra.processes import process_pool
from infra.stage import Row, RowStage, Work, Workspace, each
from infra.store import Store
from infra.tables import RECORD, SOURCE_COLUMNS, Link, chain_links, ensure_table, part_table, write_part
from shards.index import index_rows, write_index
from shards.layout import Layout
from shards.records import UVRD_THOUSANDS
from synth.sides import Sides
from synth.tasks import Pairs, quotas

WORKERS = 2
PART_CLIPS = 20_000  # of one part
CLIPS_A_VIDEO = 8
TEXTS = pa.array([f"{i} " + "a plain grey thing moves slowly over wide green ground " * 3 for i in range(5000)])


@dataclass(frozen=True)
class Clips(RowStage):
    """What all stages before `pairs` make of the sources; its parts are written beforehand."""

    name: ClassVar[str] = "clips"
    version: ClassVar[int] = 1
    schema: ClassVar[pa.Schema] = pa.schema(
        [
            *((name, pa.string()) for name in ("video_id", "clip_path", "frame_path", "subclip_path")),
            *((name, pa.int64()) for name in ("clip_bytes", "frame_bytes", "subclip_bytes")),
            *((name, pa.list_(pa.string())) for name in ("captions", "frame_captions")),
            *((name, pa.string()) for name in ("image_query", "video_query")),
            *((name, pa.float64()) for name in ("start_s", "end_s", "motion", "sharpness")),
        ]
    )

    def open(self, workspace: Workspace) -> Work:
        return each(lambda row: [])


def write_clips(store: Store, source: Link, link: Link, clips: int) -> None:
    """The sources and the clips of a lake."""
    videos = [f"{i:032x}" for i in range(-(-clips // CLIPS_A_VIDEO))]
    told = {"size_bytes": 10**8, "weak_caption": None, "license": None}
    rows = ({"key": key, "parent": key, "source": f"{key}.mp4", **told} for key in videos)
    ensure_table(store, source, SOURCE_COLUMNS)
    write_part(store, source, "table-made", part_table(SOURCE_COLUMNS, rows))
    ensure_table(store, link, Clips.schema)
    rng = np.random.default_rng(5)
    for first in range(0, clips, PART_CLIPS):
        numbers = range(first, min(first + PART_CLIPS, clips))
        write_part(store, link, f"unit-{first:08d}", _part(rng, numbers, videos))


def _part(rng: np.random.Generator, numbers: range, videos: list[str]) -> pa.Table:
    count, keys = len(numbers), [f"{number * 2654435761 % 2**32:08x}{number:016x}" for number in numbers]
    of = [videos[number // CLIPS_A_VIDEO] for number in numbers]
    edges = pa.array(np.arange(0, 5 * count + 1, 5), pa.int32())

    def texts(many: int) -> pa.Array:
        return pc.take(TEXTS, pa.array(rng.integers(0, len(TEXTS), many)))

    columns: dict[str, Any] = {name: pa.nulls(count, RECORD.field(name).type) for name in RECORD.names}
    columns |= {"key": keys, "parent": of, "status": ["out"] * count, "seconds": np.zeros(count)}
    columns |= {"tokens": np.zeros(count, np.int64), "video_id": of}
    columns |= {f"{kind}_path": [f"stages/cut/media/{key[:2]}/{key}_{kind}" for key in keys]
                for kind in ("clip", "frame", "subclip")}  # fmt: skip
    sizes = {"clip": 700_000, "frame": 60_000, "subclip": 300_000}
    columns |= {f"{kind}_bytes": rng.integers(size // 2, 2 * size, count) for kind, size in sizes.items()}
    columns |= {name: pa.ListArray.from_arrays(edges, texts(5 * count)) for name in ("captions", "frame_captions")}
    columns |= {name: texts(count) for name in ("image_query", "video_query")}
    columns |= {name: rng.random(count) for name in ("start_s", "end_s", "motion", "sharpness")}
    return pa.table(columns, pa.schema([*RECORD, *Clips.schema]))


def measure(pairs: int) -> dict[str, Any]:
    """One size, in a process that has done nothing else: seconds by step, memory, and what the plan comes to."""
    clips = round(pairs * UVRD_THOUSANDS["T2V"] / sum(UVRD_THOUSANDS.values()))
    stages = [Clips(), Pairs(target_pairs=pairs), Sides(), Layout()]
    links = chain_links(stages)
    with tempfile.TemporaryDirectory(prefix="uvr-bench-") as folder:
        write_clips(Store(folder), *links[:2], clips)
        before_mb, seconds = peak_mb(), {}
        with Pool(WORKERS) as pool, open_run(Path(folder), stages, pool) as run:
            for stage, link in zip(stages, links[1:], strict=True):
                began = time.perf_counter()
                run_stage(run, stage, link)
                seconds[link.name] = round(time.perf_counter() - began, 1)
            began = time.perf_counter()
            write_index(index_rows(run.tables.db), Path(folder, "index.parquet"))
            seconds["index"] = round(time.perf_counter() - began, 1)
            checked = check(run.tables.query(PLAN), pairs, clips)
        index_mb = round(Path(folder, "index.parquet").stat().st_size / 2**20)
    total = round(sum(seconds.values()), 1)
    memory = {"peak_mb": peak_mb(), "peak_mb_before": before_mb, "index_mb": index_mb}
    return {"pairs": pairs, "clips": clips, "seconds": total, "by_step": seconds, **memory, **checked}


PLAN = """SELECT split, task, shard_name, count(*) AS pairs, sum(sample_bytes)::BIGINT AS bytes
          FROM out_layout GROUP BY ALL ORDER BY shard_name"""


def check(plan: list[Row], pairs: int, clips: int) -> dict[str, Any]:
    """What the plan comes to; fails unless every quota of table 7 is met to the last pair."""
    by_task: Counter[str] = Counter()
    for shard in plan:
        by_task[shard["task"]] += shard["pairs"]
    if by_task != Counter(quotas(pairs, clips)):
        raise SystemExit(f"quotas of {pairs} pairs were not met by {clips} clips: {dict(by_task)}")
    whole = [shard["bytes"] for shard in plan if shard["bytes"] > Layout().shard_bytes / 2]
    return {"shards": len(plan), "largest_mb": round(max(shard["bytes"] for shard in plan) / 1e6, 1),
            "spread": round(max(whole) / min(whole), 3) if whole else None, "by_task": dict(by_task)}  # fmt: skip


def peak_mb() -> int:
    """Of this process so far."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def draw(results: list[dict[str, Any]], path: str) -> None:
    """Seconds by step over pairs, both logarithmic."""
    matplotlib.use("Agg")
    from matplotlib import pyplot

    sizes = [result["pairs"] for result in results]
    figure, axes = pyplot.subplots(figsize=(6, 4))
    for step in results[0]["by_step"]:
        if step != Clips.name:
            axes.loglog(sizes, [max(0.05, result["by_step"][step]) for result in results], "o-", label=step)
    axes.set(xlabel="pairs", ylabel="seconds")
    axes.legend()
    figure.savefig(path, dpi=120, bbox_inches="tight")


def measured(sizes: list[int]) -> Iterator[dict[str, Any]]:
    for pairs in sizes:
        with process_pool(1) as pool:
            yield pool.submit(measure, pairs).result()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, nargs="+", default=[12_500, 50_000, 200_000])
    parser.add_argument("--json")
    parser.add_argument("--picture")
    options = parser.parse_args()
    results = []
    for result in measured(options.pairs):
        print(json.dumps(result), flush=True)
        results.append(result)
    if options.json:
        Path(options.json).write_text(json.dumps(results, indent=1) + "\n")
    if options.picture:
        draw(results, options.picture)


if __name__ == "__main__":
    main()
