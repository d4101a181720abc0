"""The only opener of paths and URLs: a folder on any fsspec file system, written atomically.

On a local disk a write is temp file -> fsync -> rename; on an object store it is one PUT. Either
way a name that exists holds the whole content.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import fsspec
from fsspec.implementations.local import LocalFileSystem


def is_external(source: str) -> bool:
    """Whether `source` names a file outside a lake: an absolute path or a URL."""
    return "://" in source or Path(source).is_absolute()


def open_source(url: str) -> AbstractContextManager[BinaryIO]:
    """A local path or any fsspec URL, opened for reading bytes."""
    opened: AbstractContextManager[BinaryIO] = fsspec.open(url, "rb")
    return opened


def read_source(url: str) -> bytes:
    """The bytes of a local path or any fsspec URL."""
    with open_source(url) as file:
        return file.read()


@dataclass(frozen=True)
class FileFacts:
    """One listed file; `stamp` changes when its content may have."""

    url: str
    size_bytes: int
    stamp: str


def find_files(pattern: str) -> list[FileFacts]:
    """The files below a folder, or those that a path or a glob names, sorted by URL."""
    fs, base = fsspec.core.url_to_fs(pattern)
    if isinstance(fs, LocalFileSystem):
        base = str(Path(os.path.normpath(base)))
    if fs.isdir(base):
        found = fs.find(base, detail=True)
    elif fs.exists(base):  # before globbing: a name may hold brackets
        found = {base: fs.info(base)}
    else:
        found = {path: info for path, info in fs.glob(base, detail=True).items() if info["type"] == "file"}
    prefix = "" if isinstance(fs, LocalFileSystem) else f"{pattern.partition('://')[0]}://"
    return [FileFacts(prefix + path, int(info["size"] or 0), _stamp(info)) for path, info in sorted(found.items())]


def _stamp(info: dict[str, Any]) -> str:
    names = ("mtime", "ETag", "etag", "LastModified", "updated")
    return next((str(info[name]) for name in names if info.get(name)), "")


class Store:
    """One folder; names are relative POSIX paths below it."""

    def __init__(self, root: str) -> None:
        """`root` is a local path or any fsspec URL; nothing is created yet."""
        self.fs, base = fsspec.core.url_to_fs(root)
        self.is_local = isinstance(self.fs, LocalFileSystem)
        self.root = str(Path(base).resolve()) if self.is_local else base.rstrip("/")

    @property
    def url(self) -> str:
        """What this store can be opened with again, in any process."""
        return self.root if self.is_local else str(self.fs.unstrip_protocol(self.root))

    def __reduce__(self) -> tuple[Any, ...]:
        return Store, (self.url,)

    def full(self, name: str) -> str:
        """The absolute path or key of `name`, without its protocol."""
        return f"{self.root}/{name}"

    def exists(self, name: str) -> bool:
        """Whether `name` exists now (never answered from a listing cache)."""
        self.fs.invalidate_cache()
        return bool(self.fs.exists(self.full(name)))

    def read(self, name: str) -> bytes:
        """All bytes of `name`; raises FileNotFoundError."""
        data: bytes = self.fs.cat_file(self.full(name))
        return data

    def write(self, name: str, data: bytes) -> None:
        """Write `name` whole or not at all, replacing what was there."""
        if not self.is_local:
            self.fs.pipe_file(self.full(name), data)
            return
        temporary = self._temporary(name, data)
        temporary.replace(self.full(name))

    def create(self, name: str, data: bytes) -> bool:
        """Write `name` only if it does not exist; False when another writer was first."""
        if not self.is_local:
            try:
                self.fs.pipe_file(self.full(name), data, mode="create")
            except FileExistsError:
                return False
            return True
        temporary = self._temporary(name, data)
        try:
            os.link(temporary, self.full(name))
        except FileExistsError:
            return False
        finally:
            temporary.unlink()
        return True

    def _temporary(self, name: str, data: bytes) -> Path:
        target = Path(self.full(name))
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=".writing-", dir=target.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        return Path(temporary)

    def list(self, folder: str, suffix: str = "") -> list[str]:
        """Sorted names of the files directly in `folder`; empty when it does not exist."""
        self.fs.invalidate_cache()
        try:
            found = self.fs.ls(self.full(folder), detail=False)
        except FileNotFoundError:
            return []
        names = (f"{folder}/{path.rstrip('/').rsplit('/', 1)[-1]}" for path in found)
        return sorted(name for name in names if name.endswith(suffix) and "/.writing-" not in name)

    def remove(self, name: str) -> None:
        """Delete one file; raises FileNotFoundError."""
        self.fs.rm_file(self.full(name))

    def share(self, name: str, new_name: str) -> None:
        """Give the file `name` a second name: a hard link where possible, a copy otherwise."""
        if not self.is_local:
            self.fs.cp_file(self.full(name), self.full(new_name))
            return
        target = Path(self.full(new_name))
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        try:
            os.link(self.full(name), target)
        except OSError:  # another file system, or one without hard links
            shutil.copyfile(self.full(name), target)

    def size(self, name: str) -> int:
        """Bytes of `name`; raises FileNotFoundError."""
        return int(self.fs.size(self.full(name)))

    def free_bytes(self) -> int | None:
        """Free space on the disk where the folder is or will be; None on an object store."""
        if not self.is_local:
            return None
        folder = Path(self.root)
        while not folder.exists():
            folder = folder.parent
        return shutil.disk_usage(folder).free
