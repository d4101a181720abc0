"""The pairs of a release in any order.

A tar is read ahead into the system's page cache as it is opened, whole, since all of it will be asked for.
"""

from __future__ import annotations

import os
import weakref
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Final

from infra.errors import ReleaseCorrupt, RowError
from shards.cache import ShardCache
from shards.files import Shard
from shards.manifest import Manifest
from shards.reader import name_parts, parse_pair
from shards.records import Pair
from shards.ustar import read_headers

OPEN_TARS: Final = 256  # at once; one that is asked for again later is opened again
_AT_ONCE: Final = 1 << 30  # bytes read ahead by one call

Part = tuple[str, int, int]  # of a sample: extension, first byte in the tar, bytes


class Samples:
    """The samples of one release by shard and position; threads may share it."""

    def __init__(self, manifest: Manifest, cache: ShardCache) -> None:
        """`cache` holds shards that are not on this machine's disk."""
        _keep_freed_memory()
        self._manifest = manifest
        self._cache = cache
        self._opened = lru_cache(OPEN_TARS)(self._open)
        self._locks = lru_cache(OPEN_TARS)(lambda _: Lock())  # a shard's: one thread opens it, others read elsewhere
        self._opener = ThreadPoolExecutor(1)

    def read(self, shard: Shard, position: int) -> Pair:
        """The pair at a position of a shard.

        Raises RowError `corrupt_sample` when it is damaged, or behind a place where the tar is; ReleaseCorrupt when
        the shard is missing, EndpointDown when it cannot be reached.
        """
        tar = self._tar(shard)
        where = f"{self._manifest.path(shard)}: sample {position}"
        try:
            return parse_pair(tar.members(position, where), where)
        except ReleaseCorrupt as error:
            raise RowError("corrupt_sample", str(error)) from error

    def expect(self, shard: Shard) -> Future[object]:
        """Fetch and open a shard that is soon to be read, beside what is read now; its errors are those of `read`."""
        return self._opener.submit(self._tar, shard)

    def _tar(self, shard: Shard) -> _Tar:
        with self._locks(shard):
            return self._opened(shard)

    def _open(self, shard: Shard) -> _Tar:
        path = self._manifest.path(shard)
        try:
            return _Tar(self._cache.local(path, shard), path)
        except FileNotFoundError as error:
            raise ReleaseCorrupt(f"{path} is missing") from error


class _Tar:
    """A tar on this machine's disk, read ahead as it is opened, and where its samples' members lie."""

    def __init__(self, local: Path, path: str) -> None:
        self._file = os.open(local, os.O_RDONLY)
        weakref.finalize(self, os.close, self._file)  # when the last thread has read
        _read_ahead(self._file)
        self._samples = _scan(self._file, path)

    def members(self, position: int, where: str) -> dict[str, bytes]:
        """The bytes of a sample's members by extension; raises ReleaseCorrupt naming `where`."""
        if position >= len(self._samples):
            raise ReleaseCorrupt(f"{where} cannot be found: the tar's headers can be read up to there only")
        found = {}
        for extension, start, size in self._samples[position]:
            found[extension] = os.pread(self._file, size, start)
            if len(found[extension]) < size:
                raise ReleaseCorrupt(f"{where} is cut off: the tar ends in it")
        return found


def _keep_freed_memory() -> None:
    """Have glibc keep what samples free, for the next ones, up to 62 MB a thread.

    It hands freed memory back to the system as soon as that is more than twice the largest block ever freed. In a
    young process this is about a sample, and getting its pages anew costs more than reading into them.
    """
    bytes(31 << 20)  # made and freed


def _read_ahead(file: int) -> None:
    """Have the whole of a file in the page cache: it is sent to where nothing is kept, so that nothing is copied.

    Not by posix_fadvise: of a long range Linux reads no more than its window, often 128 KB.
    """
    place = 0
    with open(os.devnull, "wb") as nowhere, suppress(OSError):  # what cannot be read ahead, its reader will meet
        while sent := os.sendfile(nowhere.fileno(), file, place, _AT_ONCE):
            place += sent


def _scan(file: int, path: str) -> list[list[Part]]:
    """The members of every sample, as far as the headers can be read.

    Raises ReleaseCorrupt naming `path` for a member that no release has.
    """
    samples: list[list[Part]] = []
    last = ""
    for member in read_headers(file):
        key, extension = name_parts(member.name, member.is_file, path)
        if key != last:
            samples.append([])
        samples[-1].append((extension, member.start, member.size))
        last = key
    return samples
