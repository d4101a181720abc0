"""The pairs of a release in any order: of its tars only what is asked for is read."""

from __future__ import annotations

import os
import tarfile
import threading
import weakref
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from infra.errors import ReleaseCorrupt, RowError
from shards.cache import ShardCache
from shards.files import Shard
from shards.manifest import Manifest
from shards.reader import name_parts, parse_pair
from shards.records import Pair

OPEN_TARS = 256  # at once; one that is asked for again later is opened again


class Samples:
    """The samples of one release by shard and position; threads may share it."""

    def __init__(self, manifest: Manifest, cache: ShardCache) -> None:
        """`cache` holds shards that are not on this machine's disk."""
        self._manifest = manifest
        self._cache = cache
        self._lock = threading.Lock()
        self._opened = lru_cache(OPEN_TARS)(self._open)

    def read(self, shard: Shard, position: int) -> Pair:
        """The pair at a position of a shard.

        Raises RowError `corrupt_sample` when it is damaged, or behind a place where the tar is; ReleaseCorrupt when
        the shard is missing, EndpointDown when it cannot be reached.
        """
        with self._lock:
            tar = self._opened(shard)
        where = f"{self._manifest.path(shard)}: sample {position}"
        try:
            return parse_pair(tar.members(position, where), where)
        except ReleaseCorrupt as error:
            raise RowError("corrupt_sample", str(error)) from error

    def expect(self, shard: Shard) -> None:
        """Fetch and open a shard that is soon to be read."""
        self._cache.local(self._manifest.path(shard), shard)  # before the lock: others go on reading meanwhile
        with self._lock:
            self._opened(shard)

    def _open(self, shard: Shard) -> _Tar:
        path = self._manifest.path(shard)
        try:
            return _Tar(self._cache.local(path, shard), path)
        except FileNotFoundError as error:
            raise ReleaseCorrupt(f"{path} is missing") from error


@dataclass(frozen=True, slots=True)
class _Member:
    extension: str
    offset: int  # bytes from the beginning of the tar
    size: int


class _Tar:
    """A tar on this machine's disk, and where its samples' members lie."""

    def __init__(self, local: Path, path: str) -> None:
        self._file = os.open(local, os.O_RDONLY)
        weakref.finalize(self, os.close, self._file)  # when the last thread has read
        os.posix_fadvise(self._file, 0, 0, os.POSIX_FADV_WILLNEED)  # in one go: samples are asked for in any order
        self._samples = _scan(local, path)

    def members(self, position: int, where: str) -> dict[str, bytes]:
        """The bytes of a sample's members by extension; raises ReleaseCorrupt naming `where`."""
        if position >= len(self._samples):
            raise ReleaseCorrupt(f"{where} cannot be found: the tar's headers can be read up to there only")
        members = self._samples[position]
        found = {member.extension: os.pread(self._file, member.size, member.offset) for member in members}
        if any(len(found[member.extension]) != member.size for member in members):
            raise ReleaseCorrupt(f"{where} is cut off: the tar ends in it")
        return found


def _scan(local: Path, path: str) -> list[list[_Member]]:
    """The members of every sample, as far as the headers can be read; raises ReleaseCorrupt for one no release has."""
    samples: list[list[_Member]] = []
    last = ""
    with suppress(tarfile.TarError), tarfile.open(local, "r:") as tar:
        for entry in tar:
            key, extension = name_parts(entry, path)
            if key != last:
                samples.append([])
            samples[-1].append(_Member(extension, entry.offset_data, entry.size))
            last = key
    return samples
