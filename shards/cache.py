"""Copies on the local disk of shards that lie elsewhere, so that they come over the network once.

A copy is named by its checksum, so releases that share shards share copies, and processes may share a folder.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from infra.errors import ReleaseCorrupt
from infra.faults import writing
from infra.store import open_source
from shards.files import Shard

_PIECE = 1 << 20  # bytes fetched at once


class ShardCache:
    """A folder of copies, up to a number of bytes; what was used longest ago makes room."""

    def __init__(self, folder: Path, most_bytes: int) -> None:
        self.folder = folder
        self.most_bytes = most_bytes
        self._lock = threading.Lock()  # one at a time is fetched, so that no two fetch the same

    def local(self, source: str, shard: Shard) -> Path:
        """Where a shard can be read: at `source` itself if that is a local path, else a copy with the right checksum.

        Raises ReleaseCorrupt when the shard is missing or comes with other bytes than the manifest says,
        EndpointDown, DiskFull.
        """
        if "://" not in source:
            return Path(source)
        kept = self.folder / f"{shard.sha256}.tar"
        with self._lock:
            if not kept.exists():
                with writing(str(self.folder)):
                    self._make_room(shard.bytes)
                    self._fetch(source, shard, kept)
            os.utime(kept, ns=(time.time_ns(),) * 2)  # the system's own clock of files ticks too slowly
        return kept

    def _fetch(self, source: str, shard: Shard, kept: Path) -> None:
        digest = hashlib.sha256()
        with _whole_file(kept) as copy, copy.open("wb") as out:
            try:
                with open_source(source) as file:
                    while piece := file.read(_PIECE):
                        digest.update(piece)
                        out.write(piece)
            except FileNotFoundError as error:
                raise ReleaseCorrupt(f"{source} is missing") from error
            if digest.hexdigest() != shard.sha256:
                came, expected = digest.hexdigest()[:12], shard.sha256[:12]
                raise ReleaseCorrupt(f"{source} came with sha256 {came}…, the manifest says {expected}…")

    def _make_room(self, wanted: int) -> None:
        """Delete the copies that were used longest ago; a process that has one open reads it to its end."""
        copies = sorted((file.stat().st_mtime_ns, file) for file in self.folder.glob("*.tar"))
        free = self.most_bytes - sum(file.stat().st_size for _, file in copies)
        for _, file in copies:
            if free >= wanted:
                return
            free += file.stat().st_size
            file.unlink(missing_ok=True)


@contextmanager
def _whole_file(path: Path) -> Iterator[Path]:
    """A temporary file that becomes `path` at the end, or goes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=".fetching-", dir=path.parent)
    os.close(handle)
    try:
        yield Path(name)
        Path(name).replace(path)
    finally:
        Path(name).unlink(missing_ok=True)
