"""Engine overhead per row against a bare Ray Data pipeline that does the same work, side by side in one run.

    python tests/benchmarks/bench_engine.py [--rows 20000] [--repeats 5] [--json]

Both read keyed Parquet rows, apply the same function in the same number of Ray actors and write
Parquet. The engine also streams its pending rows in key order, times every row, keeps drops and
faults apart, commits unit by unit with fsync, and checks the sums. Starting Ray and a first pass that
warms the workers up do not count on either side.
"""

import argparse
import hashlib
import json
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa

sys.path.insert(0, str(Path(__file__).parent))  # workers import this file's stage by name

from infra.engine import Run, run_stage
from infra.lease import hold_lease
from infra.pool import Pool, keep_ray_local
from infra.progress import Progress
from infra.stage import Row, RowStage, Work, Workspace, each
from infra.store import Store
from infra.tables import SOURCE_COLUMNS, Tables, chain_links, ensure_table, part_table, replace_table

keep_ray_local()
import ray  # noqa: E402 - reads its environment when imported

WORKERS = 2
UNIT_ROWS = 512
ROUNDS = 20  # of hashing 4 KiB: about 50 us of work a row
BLOCK = b"x" * 4096


def digest(key: str) -> str:
    """The work: a little hashing that depends on the row."""
    value = key.encode()
    for _ in range(ROUNDS):
        value = hashlib.sha256(value + BLOCK).digest()
    return value.hex()


@dataclass(frozen=True)
class Digest(RowStage):
    """The work as a stage."""

    name: ClassVar[str] = "digest"
    version: ClassVar[int] = 1
    schema: ClassVar[pa.Schema] = pa.schema([("digest", pa.string())])
    unit_rows: ClassVar[int] = UNIT_ROWS

    def open(self, workspace: Workspace) -> Work:
        def work(row: Row) -> Iterable[Row]:
            return [{"key": row["key"], "parent": row["key"], "digest": digest(row["key"])}]

        return each(work)


class BareDigest:
    """The work as a Ray Data actor."""

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        return {"key": batch["key"], "digest": [digest(str(key)) for key in batch["key"]]}


def engine_seconds(root: Path) -> float:
    """One stage over the lake's sources, from nothing done to all committed; workers are warm."""
    with Pool(WORKERS) as pool:
        _engine_pass(root, pool)
        return _engine_pass(root, pool)


def _engine_pass(root: Path, pool: Pool) -> float:
    store = Store(str(root))
    stage = Digest()
    links = chain_links([stage])
    with hold_lease(store) as lease, Progress() as progress:
        began = time.perf_counter()
        tables = Tables(store, links)
        counts = run_stage(Run(store, lease, pool, tables, progress), stage, links[1])
        seconds = time.perf_counter() - began
    assert counts.pending == 0
    shutil.rmtree(root / links[1].folder)
    return seconds


def ray_data_seconds(root: Path) -> float:
    """The same rows through Ray Data; a first pass warms it up too."""
    ray.init(address="local", include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    ray.data.DataContext.get_current().enable_progress_bars = False
    _ray_data_pass(root)
    seconds = _ray_data_pass(root)
    ray.shutdown()
    return seconds


def _ray_data_pass(root: Path) -> float:
    source = str(next((root / "stages" / "sources" / "parts").glob("table-*.parquet")))
    target = root / "bare"
    began = time.perf_counter()
    rows = ray.data.read_parquet(source).select_columns(["key"]).repartition(target_num_rows_per_block=UNIT_ROWS)
    actors = ray.data.ActorPoolStrategy(size=WORKERS)
    rows.map_batches(BareDigest, batch_size=UNIT_ROWS, compute=actors, num_cpus=0.4).write_parquet(str(target))
    seconds = time.perf_counter() - began
    shutil.rmtree(target)
    return seconds


def write_rows(folder: str, rows: int) -> None:
    """A sources table of so many rows."""
    store, link = Store(folder), chain_links([])[0]
    keys = [hashlib.sha256(str(number).encode()).hexdigest() for number in range(rows)]
    sources = ({"key": k, "parent": k, "source": k, "size_bytes": 1, "weak_caption": None} for k in keys)
    ensure_table(store, link, SOURCE_COLUMNS)
    replace_table(store, link, "rows", part_table(SOURCE_COLUMNS, sources))


def main() -> None:
    """Alternate the two and report medians and the median ratio of neighbours."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        write_rows(folder, options.rows)
        pairs = [(engine_seconds(Path(folder)), ray_data_seconds(Path(folder))) for _ in range(options.repeats)]
    report = {
        "rows": options.rows,
        "engine_us_per_row": statistics.median(ours for ours, _ in pairs) / options.rows * 1e6,
        "ray_data_us_per_row": statistics.median(bare for _, bare in pairs) / options.rows * 1e6,
        "engine_over_ray_data": statistics.median(ours / bare for ours, bare in pairs),
    }
    print(json.dumps(report) if options.json else "\n".join(f"{k:24} {v:.3g}" for k, v in report.items()))


if __name__ == "__main__":
    main()
