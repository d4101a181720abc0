"""A few videos through the real chain in a lake that is thrown away, and what every one of them took."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from flows.aside import run_aside
from flows.recipe import Recipe
from infra.counts import Counts
from infra.estimate import Figures
from infra.stage import Row
from infra.tables import Link, Tables
from shards.records import TASKS

METRICS = ("rows", "seconds", "bytes", "tokens")  # rows out; worker seconds; media, shards and table; of models
ALL_PAIRS = 10**9  # more than the clips of a sample can give: every clip gives a pair to every task


@dataclass(frozen=True)
class SampledStage:
    """What one stage did: its counts, and METRICS by video, float64 [4, videos], for each task.

    Before a row belongs to a task, its task is "".
    """

    counts: Counts
    figures: dict[str, Figures]

    def by_video(self, metric: str, task: str = "") -> Figures:
        """One metric of every video, for one task: float64 [videos]."""
        values: Figures = self.figures[task][METRICS.index(metric)]
        return values


@dataclass(frozen=True)
class SampleRun:
    """The stages in order, the workers that worked, and the seconds a run takes besides their work."""

    stages: tuple[SampledStage, ...]
    workers: int
    overhead_s: float


def run_sample(recipe: Recipe, videos: Sequence[Row]) -> SampleRun:
    """Run the chain on some rows of the sources table, on this machine, as far as packed shards.

    Quotas are lifted, so that every task shows what its pairs take, and no yield is too low. Raises RunFailed.
    """
    stages = replace(recipe, pairs=replace(recipe.pairs, target_pairs=ALL_PAIRS)).chain()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="uvr-plan-") as lake, run_aside(recipe, stages, videos, lake) as done:
        seconds = time.monotonic() - began
        sources = [video["source"] for video in videos]
        sampled = tuple(SampledStage(counts, _figures(done.tables, counts.name, sources)) for counts in done.counts)
    busy_s = sum(counts.seconds for counts in done.counts) / done.workers
    return SampleRun(sampled, done.workers, max(0.0, seconds - busy_s))


def _figures(tables: Tables, name: str, sources: Sequence[str]) -> dict[str, Figures]:
    """METRICS of one stage by task and video."""
    place = {source: i for i, source in enumerate(sources)}
    link = next(link for link in tables.links if link.name == name)
    rows = _settled(tables, link)
    table_bytes = _table_bytes(tables, link)
    whole = sum(row["weight"] for row in rows)
    figures = {task: np.zeros((len(METRICS), len(sources))) for task in ("", *TASKS)}
    for row in rows:
        media = sum(tables.store.size(path) for path in row["paths"] if path is not None)
        made = [row["out"], row["seconds"], media + table_bytes / whole, row["tokens"]]
        figures[row["task"]][:, place[row["source"]]] += np.array(made, np.float64) * row["weight"]
    return figures


def _settled(tables: Tables, link: Link) -> list[Row]:
    """Settled rows of a stage with the video and the task each is about.

    A row that was made from a group is shared evenly among the group's members.
    """
    before = tables.links[tables.links.index(link) - 1]
    earlier = {column for known in tables.links[: tables.links.index(link)] for column in known.columns}
    task = "p.task" if "task" in link.columns else "i.task" if "task" in earlier else "''"
    paths = [f'p."{column}"' for column in link.columns if column.endswith("_path")]
    members = f"SELECT *, key AS parent, 1.0::DOUBLE AS weight FROM in_{link.name}"
    if link.group_by:
        group = f'"{link.group_by}"'
        members = (
            f"SELECT * EXCLUDE parent, {group} AS parent, 1.0::DOUBLE / count(*) OVER (PARTITION BY {group}) AS weight "
            f"FROM out_{before.name}"
        )
    return tables.query(
        f"SELECT i.source, coalesce({task}, '') AS task, i.weight, p.status = 'out' AS out, p.seconds, "
        f"p.tokens, [{', '.join(paths)}] AS paths "
        f"FROM settled_{link.name} p JOIN ({members}) i ON p.parent = i.parent"
    )


def _table_bytes(tables: Tables, link: Link) -> int:
    """Bytes of a stage's table in one Parquet file."""
    sink = pa.BufferOutputStream()
    table = tables.table(f"settled_{link.name}", ("parent", "status", "seconds", *link.columns))
    pq.write_table(table, sink, compression="zstd")
    return int(sink.getvalue().size)
