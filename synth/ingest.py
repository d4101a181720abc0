"""Lists the input: which videos a run is about, with their weak captions and licences where there are any."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlsplit

import pyarrow.parquet as pq

from infra.errors import EndpointDown, UsageError
from infra.faults import PATIENCE_S
from infra.listing import FileFacts, find_files
from infra.stage import Drop, Fault, Outcome
from infra.store import is_external, read_source

VIDEO_SUFFIXES = frozenset(
    {".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".gif", ".mpg", ".mpeg", ".ts", ".m2ts", ".mts", ".flv", ".wmv"}
    | {".ogv", ".3gp", ".asf", ".y4m"}
)
MANIFEST_SUFFIXES = (".csv", ".jsonl", ".parquet")
PATH_COLUMNS = ("path", "video", "file", "filename", "url", "source")
CAPTION_COLUMNS = ("caption", "weak_caption", "text", "title")
LICENCE_COLUMNS = ("license", "licence")


def list_sources(videos: str) -> list[Outcome]:
    """One outcome per listed video: a row of the sources table, or why it is none.

    `videos` is a folder (searched to its depth), a glob, one video, or a CSV / JSONL / Parquet
    manifest with a path column and optionally a caption and a license column; paths in a manifest may
    be relative to it. Raises UsageError when nothing is found, EndpointDown when the server of `videos` itself stays
    away; an entry of a manifest whose server does is a Fault `unreachable`.
    """
    if videos.lower().endswith(MANIFEST_SUFFIXES):
        outcomes = list(_from_manifest(videos))
    else:
        files = [file for file in find_files(videos) if PurePosixPath(file.url).suffix.lower() in VIDEO_SUFFIXES]
        outcomes = [_row(file) for file in files]
    if not outcomes:
        raise UsageError(f"no videos at {videos}: name a folder, a glob or a manifest ({', '.join(MANIFEST_SUFFIXES)})")
    return outcomes


def list_texts(table: str) -> list[str]:
    """The texts in the caption column of a CSV / JSONL / Parquet file, in order; raises UsageError."""
    entries = _entries(table)
    column = _column(entries[0], CAPTION_COLUMNS) if entries else None
    if column is None:
        raise UsageError(f"{table} has no texts; name their column one of {', '.join(CAPTION_COLUMNS)}")
    return [str(entry.get(column) or "").strip() for entry in entries]


def source_key(file: FileFacts) -> str:
    """The key of one version of one file; another size or modification time makes another key."""
    text = f"{file.url}\n{file.size_bytes}\n{file.stamp}"
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _row(file: FileFacts, caption: str | None = None, licence: str | None = None) -> Outcome:
    key = source_key(file)
    told = {"weak_caption": caption, "license": licence}
    return {"key": key, "parent": key, "source": file.url, "size_bytes": file.size_bytes, **told}


def _from_manifest(manifest: str) -> Iterator[Outcome]:
    entries = _entries(manifest)
    if not entries:
        return
    path_column = _column(entries[0], PATH_COLUMNS)
    if path_column is None:
        raise UsageError(f"{manifest} has no path column; name one of {', '.join(PATH_COLUMNS)}")
    caption_column = _column(entries[0], CAPTION_COLUMNS)
    licence_column = _column(entries[0], LICENCE_COLUMNS)
    folder = manifest.rsplit("/", 1)[0] if "/" in manifest else "."
    seen: set[str] = set()
    down: set[str] = set()  # servers that were given their time once; thousands of entries may name one
    for number, entry in enumerate(entries, 1):
        path = str(entry.get(path_column) or "").strip()
        entry_key = f"{manifest}#{number}"
        if not path:
            yield Fault(entry_key, "no_path", f"entry {number} of {manifest} names no file")
            continue
        url = path if is_external(path) else f"{folder}/{path}"
        server = urlsplit(url).netloc
        try:
            found = find_files(url, patience_s=0.0 if server in down else PATIENCE_S)
        except EndpointDown as error:
            down.add(server)
            yield Fault(entry_key, "unreachable", str(error))
            continue
        if len(found) != 1:
            yield Fault(entry_key, "missing_file", f"entry {number} of {manifest} names {path}, which is no file")
        elif found[0].url in seen:
            yield Drop(entry_key, "listed_twice", {"duplicate_of": found[0].url})
        else:
            seen.add(found[0].url)
            yield _row(found[0], _text(entry, caption_column), _text(entry, licence_column))


def _text(entry: Mapping[str, Any], column: str | None) -> str | None:
    """What an entry says in a column; None where it is empty or there is no such column."""
    return str(entry.get(column) or "").strip() or None if column else None


def _column(entry: Mapping[str, Any], names: tuple[str, ...]) -> str | None:
    return next((name for name in names if name in entry), None)


def _entries(manifest: str) -> list[dict[str, Any]]:
    try:
        data = read_source(manifest)
    except FileNotFoundError as error:
        raise UsageError(f"no manifest at {manifest}") from error
    if manifest.endswith(".parquet"):
        table: list[dict[str, Any]] = pq.read_table(io.BytesIO(data)).to_pylist()
        return table
    text = data.decode("utf-8-sig")
    if manifest.endswith(".csv"):
        return list(csv.DictReader(io.StringIO(text)))
    try:
        return [json.loads(line) for line in text.splitlines() if line.strip()]
    except json.JSONDecodeError as error:
        raise UsageError(f"{manifest} is not JSONL: {error}") from error
