"""Perceptual duplicates at scale, and by transformation.

    python tests/benchmarks/bench_perceptual.py --sizes 12500 50000 200000 1550000 --json FILE --picture FILE.png
    python tests/benchmarks/bench_perceptual.py --copies 300 --json FILE

The first makes prints of clips that nobody filmed, 5% of them copies, and runs the stage over them, each size in
a process of its own: CPU and wall-clock seconds, peak memory, recall by kind, and recall against comparing all
pairs on a sample. The second renders videos of the sample world and copies of them, scans both, and counts what
is found by transformation.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import combinations
from pathlib import Path
from typing import TypeVar

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

import matplotlib
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from planted_prints import Planted, plant
from pyarrow import feather
from world_copies import copies_of_the_world, has_original

from filters.perceptual.entries import VIEWS
from filters.perceptual.matching import Limits, find_match
from filters.perceptual.prints import Prints
from filters.perceptual.stage import Perceptual
from infra.processes import process_pool
from infra.stage import Drop

T = TypeVar("T")

SAMPLE = 160  # clips of the sample whose pairs are all compared


def save(clips: int, path: str) -> tuple[NDArray[np.int64], Sequence[str]]:
    """Write the planted table to a file; returns the copies and their kinds."""
    planted = plant(clips, seed=1)
    feather.write_feather(planted.rows, path, compression="uncompressed")
    return planted.copies, planted.kinds


def measure(path: str, copies: NDArray[np.int64], kinds: Sequence[str]) -> dict[str, object]:
    """One size: what the stage took and found, in a process that has done nothing else."""
    planted = Planted(feather.read_table(path, memory_map=False), copies, kinds)
    before_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    nothing = planted.rows.slice(0, 0).select(["key", *Perceptual.remembers])
    wall, cpu = time.perf_counter(), cpu_s()
    drops = {
        row.key: row.detail["duplicate_of"]
        for row in Perceptual().compute(planted.rows, nothing)
        if isinstance(row, Drop)
    }
    return {
        "clips": planted.rows.num_rows,
        "prints": Prints.of([planted.rows["prints"]]).count,
        "wall_s": round(time.perf_counter() - wall, 1),
        "cpu_s": round(cpu_s() - cpu, 1),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "peak_mb_before": round(before_mb),
        **found(planted, drops),
    }


def cpu_s() -> float:
    """CPU seconds of this process and of those that it started and that ended."""
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in both)


def found(planted: Planted, drops: dict[str, str]) -> dict[str, object]:
    """Recall by kind, wrong drops, and how much of what comparing all pairs of a sample finds was found."""
    keys = np.array(planted.rows["key"].to_pylist())
    pairs = {
        (keys[copy], keys[original]): kind for (copy, original), kind in zip(planted.copies, planted.kinds, strict=True)
    }
    right = {pair for pair in pairs if drops.get(pair[0]) == pair[1]}
    total, hit = Counter(pairs.values()), Counter(pairs[pair] for pair in right)
    brute = brute_force(planted)
    kept = sum(drops.get(keys[a]) == keys[b] or drops.get(keys[b]) == keys[a] for a, b in brute)
    return {
        "recall": {kind: round(hit[kind] / total[kind], 4) for kind in sorted(total)},
        "recall_all": round(len(right) / max(1, len(pairs)), 4),
        "wrong_drops": len(drops) - len(right),
        "brute_force_matches": len(brute),
        "recall_of_brute_force": round(kept / max(1, len(brute)), 4),
    }


def brute_force(planted: Planted) -> list[tuple[int, int]]:
    """All matches among a sample of clips: copies, what they are copies of, and clips by chance."""
    some = np.unique(planted.copies[: SAMPLE // 2].ravel())[:SAMPLE].tolist()
    prints = Prints.of([planted.rows["prints"]])
    limits, crops = Limits(), [(view, whole_is_first) for view in VIEWS[1:] for whole_is_first in (True, False)]
    return [
        (a, b)
        for a, b in combinations(some, 2)
        if find_match(limits, prints.clip(a), prints.clip(b), crops, False) is not None
    ]


def by_transformation(videos: int) -> list[dict[str, object]]:
    """Recall and wrong drops of every transformation, over videos of the sample world."""
    with tempfile.TemporaryDirectory(prefix="uvr-bench-") as folder:
        rows, facts = copies_of_the_world(Path(folder), videos)
    nothing = rows.slice(0, 0).select(["key", *Perceptual.remembers])
    drops = {row.key: row.detail for row in Perceptual().compute(rows, nothing) if isinstance(row, Drop)}
    of = {fact.key: fact for fact in facts}
    partners = {key for lost, detail in drops.items() for key in (lost, detail["duplicate_of"])}
    table = []
    for name in dict.fromkeys(fact.transformation for fact in facts if fact.transformation):
        copies = [fact for fact in facts if fact.transformation == name and has_original(fact, facts)]
        found = sum(fact.key in partners for fact in copies)
        table.append({"transformation": name, "clips": len(copies), "recall": round(found / len(copies), 4)})
    wrong = [key for key, detail in drops.items() if of[key].video != of[detail["duplicate_of"]].video]
    return [*table, {"transformation": "all", "clips": len(facts), "drops": len(drops), "wrong_drops": len(wrong)}]


def alone(function: Callable[..., T], *arguments: object) -> T:
    """What a function answers in a process of its own."""
    with process_pool(1) as pool:
        return pool.submit(function, *arguments).result()


def draw(results: list[dict[str, object]], path: str) -> None:
    """Seconds over clips, both logarithmic, with n log n beside them."""
    matplotlib.use("Agg")
    from matplotlib import pyplot

    clips = np.array([result["clips"] for result in results], float)
    seconds = np.array([result["cpu_s"] for result in results], float)
    figure, axes = pyplot.subplots(figsize=(6, 4))
    axes.loglog(clips, seconds, "o-", label="stage perceptual")
    rule = clips * np.log(clips)
    axes.loglog(clips, rule * seconds[0] / rule[0], "--", label="n log n")
    axes.set(xlabel="clips", ylabel="CPU seconds")
    axes.legend()
    figure.savefig(path, dpi=120, bbox_inches="tight")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="*", default=[])
    parser.add_argument("--copies", type=int, default=0, metavar="VIDEOS")
    parser.add_argument("--json")
    parser.add_argument("--picture")
    options = parser.parse_args()
    pa.set_cpu_count(1)
    results: list[dict[str, object]] = []
    for clips in options.sizes:
        with tempfile.NamedTemporaryFile(suffix=".arrow") as file:
            copies, kinds = alone(save, clips, file.name)
            results.append(alone(measure, file.name, copies, kinds))
        print(json.dumps(results[-1]), flush=True)
    if options.copies:
        results += by_transformation(options.copies)
        for row in results:
            print(json.dumps(row))
    if options.json:
        Path(options.json).write_text(json.dumps(results, indent=1) + "\n")
    if options.picture:
        draw(results, options.picture)


if __name__ == "__main__":
    main()
