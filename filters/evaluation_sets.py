"""Index files of evaluation sets: what their videos show and their texts say, one Parquet file each."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from infra.errors import UsageError
from infra.store import read_source

INDEX = pa.schema(
    [
        ("set_name", pa.string()),
        ("source", pa.string()),
        ("video_id", pa.string()),  # "" where a row is about texts alone
        ("prints", pa.binary()),  # of the whole video: infra.media.fingerprint
        ("texts", pa.list_(pa.string())),  # its captions and queries
    ]
)


def read_sets(paths: Sequence[str], columns: Sequence[str]) -> pa.Table:
    """Some columns of all index files, in order; raises UsageError where there is none."""
    return pa.concat_tables([_read_set(path, columns) for path in paths])


def contents(paths: Sequence[str]) -> tuple[str, ...]:
    """A hash of what each index file holds; raises UsageError where there is none."""
    return tuple(hashlib.sha256(_bytes(path)).hexdigest() for path in paths)


def _read_set(path: str, columns: Sequence[str]) -> pa.Table:
    try:
        file = pq.ParquetFile(pa.BufferReader(_bytes(path)))
    except pa.ArrowInvalid as error:
        raise UsageError(f"recipe: {path} is no Parquet file: {error}") from error
    if missing := set(columns) - set(file.schema_arrow.names):
        raise UsageError(f"recipe: {path} lacks the columns {', '.join(sorted(missing))}; make it with `uvr index`")
    wanted = pa.schema([INDEX.field(name) for name in columns])
    return file.read(columns=list(columns)).select(list(columns)).cast(wanted)


def _bytes(path: str) -> bytes:
    try:
        return read_source(path)
    except FileNotFoundError as error:
        raise UsageError(f"recipe: no evaluation set at {path}") from error
