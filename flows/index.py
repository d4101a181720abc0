"""The index of an evaluation set: what its videos show and its texts say, for runs that must not train on it."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from filters.evaluation_sets import INDEX
from flows.aside import run_aside
from flows.recipe import Recipe
from infra.errors import RunFailed
from infra.stage import Row
from infra.store import Store
from synth.ingest import list_sources, list_texts


def make_index(
    recipe: Recipe, name: str, videos: str | None, texts: Sequence[str], lake: str, out: str
) -> dict[str, int]:
    """Write the index of the evaluation set `name` to the Parquet file `out`; returns what it holds.

    `videos` are listed as for a run, and scanned in `lake`, where an interrupted index goes on; their weak
    captions are texts of the set. `texts` are tables with more of them. Raises UsageError when there is
    nothing at these places, RunFailed when no video can be read.
    """
    rows = [_index_row(name, file, "", b"", list_texts(file)) for file in texts]
    unread = found = 0
    if videos is not None:
        listed = list_sources(videos)
        with run_aside(recipe, (recipe.probe, recipe.scan), listed, lake) as done:
            shown = done.tables.query("SELECT source, video_id, prints, weak_caption FROM out_scan ORDER BY source")
            unread = done.counts[0].in_ - len(shown)
        if not shown:
            raise RunFailed(f"none of the videos at {videos} could be read; see `uvr quarantine --lake {lake}`")
        found = len(shown)
        rows += [
            _index_row(name, row["source"], row["video_id"], row["prints"], [row["weak_caption"]]) for row in shown
        ]
    folder, _, file_name = out.rpartition("/")
    Store(folder or ".").write_table(file_name, pa.Table.from_pylist(rows, schema=INDEX))
    return {"videos": found, "unread": unread, "texts": sum(len(row["texts"]) for row in rows)}


def _index_row(name: str, source: str, video_id: str, prints: bytes, texts: Sequence[str | None]) -> Row:
    about = {"set_name": name, "source": source, "video_id": video_id}
    return {**about, "prints": prints, "texts": [text for text in texts if text]}
