"""Which files there are below a folder, or by a glob, on any file system."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from infra.faults import PATIENCE_S, cannot_reach, reach
from infra.store import file_system, is_http, source_options


@dataclass(frozen=True)
class FileFacts:
    """One listed file; `stamp` changes when its content may have."""

    url: str
    size_bytes: int
    stamp: str


def find_files(pattern: str, patience_s: float = PATIENCE_S) -> list[FileFacts]:
    """The files below a folder, or those that a path or a glob names, sorted by URL.

    A folder on a web server ends with a slash. A server that does not answer is tried again for
    `patience_s`; raises EndpointDown when it stays away.
    """
    fs, base = file_system(pattern, source_options(pattern))
    if isinstance(fs, LocalFileSystem):
        base = str(Path(os.path.normpath(base)))
    found = reach(pattern, partial(_find_once, fs, base), patience_s)
    is_local = isinstance(fs, LocalFileSystem)
    return [
        FileFacts(path if is_local else fs.unstrip_protocol(path), int(info["size"] or 0), _stamp(info))
        for path, info in sorted(found.items())
    ]


def _find_once(fs: fsspec.AbstractFileSystem, base: str) -> dict[str, dict[str, Any]]:
    """Files and what is known about them; `fs` is never asked about a file through a listing cache."""
    fs.invalidate_cache()
    if not _is_web_folder(base):
        try:
            info = fs.info(base)  # before globbing: a name may hold brackets
        except FileNotFoundError as error:
            if cannot_reach(error):
                raise
            return {path: info for path, info in fs.glob(base, detail=True).items() if info["type"] == "file"}
        if info["type"] != "directory":
            return {base: info}
    below: dict[str, dict[str, Any]] = fs.find(base, detail=True)
    return below


def _is_web_folder(url: str) -> bool:
    """Whether `url` is to be taken for a folder of a web server, which says of every page that it is a file."""
    return is_http(url) and url.endswith("/")


def _stamp(info: dict[str, Any]) -> str:
    names = ("mtime", "ETag", "etag", "LastModified", "Last-Modified", "updated")
    return next((str(info[name]) for name in names if info.get(name)), "")
