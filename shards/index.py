"""The index of a release: one Parquet row per pair, which DuckDB answers from without opening a tar.

    SELECT shard, count(*) FROM 'LAKE/releases/ID/index.parquet' WHERE scores['motion'] > 5 GROUP BY shard

Rows are sorted by (shard, position), as the samples lie in the tars. The file's bytes depend on nothing
but the rows: row groups are cut at fixed places, and where the videos lay is not told, only their names.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Final, NamedTuple

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from infra.errors import ReleaseCorrupt
from infra.store import open_source
from shards.records import CAPTION_KINDS

INDEX: Final = "index.parquet"
ROW_GROUP: Final = 8192  # rows; some 20 MB with captions
ROWS_AT_ONCE: Final = 200_000  # asked of the lake; some 300 MB

# What filters judged the target's clip by, under the names that `uvr dropped` shows.
SCORES: Final = (
    "brightness",
    "contrast",
    "black_share",
    "blown_out_share",
    "still_share",
    "held_share",
    "freeze_share",
    "sharpness",
    "motion",
    "motion_peak",
    "shake",
    "blockiness",
    "picture_share",
    "flat_share",
    "text_share",
    "page_share",
    "page_turns",
    "pages_held_share",
    "near_duplicate_distance",
    "consistency",
)


class Column(NamedTuple):
    """A column of the index: its DuckDB type, what it tells, and how it is read off the lake's columns."""

    name: str
    kind: str
    about: str
    lake: str = ""  # the lake's column; "": of the same name
    sql: str = ""  # an expression; "": the lake's column as it is


# A file's name alone: the folders before it, or a server, belong to the machine that ran.
_FILE_NAME = "parse_filename(CASE WHEN source LIKE '%://%' THEN regexp_replace(source, '[?#].*', '') ELSE source END)"
_CAPTIONS = ", ".join(f"{kind} := captions[{place}]" for place, kind in enumerate(CAPTION_KINDS, start=1))

COLUMNS: Final = (
    Column("pair_id", "VARCHAR", "Id of the pair, and the key of its sample in the shard"),
    Column("task", "VARCHAR", "Retrieval task: query and target made of text (T), image (I), video (V)"),
    Column("split", "VARCHAR", "train, val or test; no source video is in two of them"),
    Column(
        "shard",
        "VARCHAR",
        "File name of the tar that holds the sample; manifest.json tells its folder",
        lake="shard_name",
    ),
    Column("position", "BIGINT", "Place of the sample in its shard, from 0"),
    Column("video_id", "VARCHAR", "Id of the source video, a hash of its bytes"),
    Column("clip_id", "VARCHAR", "Id of the clip, a hash of video and span"),
    Column("near_duplicate_of", "VARCHAR", "Id of a clip that this one shows again, if it was not left out for it"),
    Column("same_text_as", "VARCHAR", "Id of a clip whose captions say the same, if there is one"),
    Column("source", "VARCHAR", "File name of the source video", sql=_FILE_NAME),
    Column("license", "VARCHAR", "Licence of the source video, where whoever listed it named one"),
    Column("start_s", "DOUBLE", "Where the clip starts in the source video, in seconds"),
    Column("end_s", "DOUBLE", "Where the clip ends in the source video, in seconds"),
    Column("width", "INTEGER", "Width of the source video in pixels"),
    Column("height", "INTEGER", "Height of the source video in pixels"),
    Column("fps", "DOUBLE", "Frames per second of the source video"),
    Column("query_id", "VARCHAR", "Id of the query, a hash of what it is made of"),
    Column("target_id", "VARCHAR", "Id of the target; pairs that share it are positives of each other"),
    Column("query_text", "VARCHAR", "Text of the query, if it has one"),
    Column("target_text", "VARCHAR", "Text of the target, if it has one"),
    Column("negatives", "VARCHAR[]", "Ids of pairs of the same task and split whose targets are hard negatives"),
    Column("negative_cosines", "DOUBLE[]", "Cosines of the query with these targets, by the model that mined them"),
    Column("weak_caption", "VARCHAR", "Caption that came with the source video, unrepaired, if one did"),
    Column("captions", "STRUCT", "Captions of the clip, by kind", sql=f"struct_pack({_CAPTIONS})"),
)
SCORE_MAP: Final = Column("scores", "MAP", "Scores of the clip that filters judged it by; those that it has")


def index_columns(available: Iterable[str]) -> dict[str, str]:
    """The columns of an index and the expressions for them, from the columns a lake has; others are left out."""
    lake = set(available)
    found = {c.name: _expression(c) for c in COLUMNS if (c.lake or c.name) in lake}
    scores = ", ".join(f"{{'k': '{name}', 'v': {name}::DOUBLE}}" for name in SCORES if name in lake)
    if scores:
        found[SCORE_MAP.name] = f"map_from_entries(list_filter([{scores}], lambda entry: entry.v IS NOT NULL))"
    return found


def _expression(column: Column) -> str:
    return column.sql or f"{column.lake or column.name}::{column.kind}"


def index_rows(db: duckdb.DuckDBPyConnection, view: str = "out_layout") -> pa.RecordBatchReader:
    """The rows of the index, in its order, streamed from a view of a lake (infra.tables): placed pairs.

    They are asked for some shards at a time: to sort a million rows with all their texts at once takes gigabytes.
    """
    columns = index_columns(db.sql(f"SELECT * FROM {view} LIMIT 0").columns)
    chosen = ", ".join(f'{sql} AS "{name}"' for name, sql in columns.items())
    asked = f"SELECT {chosen} FROM {view} WHERE shard_name BETWEEN $1 AND $2 ORDER BY shard_name, {view}.position"

    def batches() -> Iterator[pa.RecordBatch]:
        sizes = db.cursor().sql(f"SELECT shard_name, count(*) FROM {view} GROUP BY ALL ORDER BY ALL").fetchall()
        for first, last in _together(sizes):
            yield from db.cursor().sql(asked, params=[first, last]).to_arrow_reader(ROW_GROUP)

    schema = db.sql(f"SELECT {chosen} FROM {view} LIMIT 0").to_arrow_table().schema
    return pa.RecordBatchReader.from_batches(schema, batches())


def _together(shards: Iterable[tuple[str, int]]) -> Iterator[tuple[str, str]]:
    """The first and the last of shards, given by name and size in order, that are asked for at once."""
    first, last, rows = "", "", 0
    for name, size in shards:
        if first and rows + size > ROWS_AT_ONCE:
            yield first, last
            first, rows = "", 0
        first, last, rows = first or name, name, rows + size
    if first:
        yield first, last


def write_index(rows: pa.RecordBatchReader, path: Path) -> tuple[str, ...]:
    """Write the index of `rows` to a local file, one row group in memory at a time; returns its columns."""
    with pq.ParquetWriter(path, rows.schema, compression="zstd") as writer:
        for group in _row_groups(rows):
            writer.write_table(group, row_group_size=ROW_GROUP)
    return tuple(rows.schema.names)


def _row_groups(rows: pa.RecordBatchReader) -> Iterator[pa.Table]:
    """The rows in tables of ROW_GROUP, the last one shorter, however the batches came."""
    waiting = rows.schema.empty_table()
    for batch in rows:
        waiting = pa.concat_tables([waiting, pa.Table.from_batches([batch])])
        while waiting.num_rows >= ROW_GROUP:
            yield waiting.slice(0, ROW_GROUP).combine_chunks()
            waiting = waiting.slice(ROW_GROUP)
    if waiting.num_rows:
        yield waiting.combine_chunks()


def read_index(path: str, columns: Iterable[str]) -> Iterator[pa.RecordBatch]:
    """The rows of an index, of those columns that it has; raises ReleaseCorrupt when it is missing or damaged."""
    try:
        with open_source(path) as file:
            index = pq.ParquetFile(file)
            held = [name for name in columns if name in index.schema_arrow.names]
            yield from index.iter_batches(ROW_GROUP, columns=held)
    except FileNotFoundError as error:
        raise ReleaseCorrupt(f"{path} is missing") from error
    except (pa.ArrowInvalid, OSError) as error:
        raise ReleaseCorrupt(f"{path} is not a readable Parquet file: {error}") from error


def check_index(path: str, shards: Mapping[str, Sequence[str]]) -> None:
    """Raise ReleaseCorrupt unless the index at `path` lists the pairs that `shards` hold: by name, ids in order.

    And unless each hard negative that it names is one of them, of the same task and split.
    """
    held = ((name, place, pair_id) for name in sorted(shards) for place, pair_id in enumerate(shards[name]))
    for listed, expected in zip_longest(_places(path), held):
        if listed != expected:
            raise ReleaseCorrupt(f"{path} does not list the pairs as the shards hold them: {listed} for {expected}")
    _check_negatives(path)


def _check_negatives(path: str) -> None:
    pairs = pa.Table.from_batches(read_index(path, ("split", "task", "pair_id", "negatives")))
    if "negatives" not in pairs.column_names:
        return
    with duckdb.connect() as db:
        db.register("pairs", pairs)
        missing = db.execute(
            "SELECT * FROM (SELECT split, task, unnest(negatives) AS pair_id FROM pairs) "
            "ANTI JOIN pairs USING (split, task, pair_id) ORDER BY pair_id"
        ).fetchone()
    if missing:
        split, task, pair_id = missing
        raise ReleaseCorrupt(f"{path} names a negative that is no pair of {split} {task}: {pair_id}")


def listed_pairs(path: str, shards: Collection[str]) -> dict[str, list[str]]:
    """The pair ids that the index at `path` lists for some shards, by their names, in order; raises ReleaseCorrupt."""
    found: dict[str, list[str]] = {}
    for shard, _, pair_id in _places(path):
        if shard in shards:
            found.setdefault(shard, []).append(pair_id)
    return found


def _places(path: str) -> Iterator[tuple[str, int, str]]:
    """Shard, position and pair id of every row."""
    names = ("shard", "position", "pair_id")
    for batch in read_index(path, names):
        yield from zip(*(batch[name].to_pylist() for name in names), strict=True)


def count_licences(path: Path) -> dict[str, int]:
    """Source videos by the licence they came with, `unknown` where none was named, of the index at a local path."""
    with duckdb.connect() as db:
        index = db.read_parquet(str(path))
        licence = "coalesce(license, 'unknown')" if "license" in index.columns else "'unknown'"
        found = index.aggregate(f"{licence} AS name, count(DISTINCT video_id) AS videos", "name").order("name")
        return dict(found.fetchall())
