"""The only opener of paths and URLs: a folder on any fsspec file system, written atomically.

On a local disk a write is temp file -> fsync -> rename; on an object store it is one PUT. Either
way a name that exists holds the whole content.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, cast

import aiohttp
import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
from fsspec.implementations.local import LocalFileSystem

from infra import s3
from infra.errors import EndpointDown, UsageError
from infra.faults import cannot_reach, failures, reach, writing

# A long download may take as long as it likes; a silent server may not.
_HTTP_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=10.0, sock_read=30.0)


def is_external(source: str) -> bool:
    """Whether `source` names a file outside a lake: an absolute path or a URL."""
    return "://" in source or Path(source).is_absolute()


def is_http(url: str) -> bool:
    """Whether `url` is on a web server."""
    return url.startswith(("http://", "https://"))


def source_options(url: str) -> dict[str, Any]:
    """What fsspec is to be told about the file system of `url`."""
    if s3.is_s3(url):
        return s3.SOURCE_OPTIONS
    return {"client_kwargs": {"timeout": _HTTP_TIMEOUT}} if is_http(url) else {}


def file_system(url: str, options: dict[str, Any]) -> tuple[fsspec.AbstractFileSystem, str]:
    """The file system that `url` is on, and its path there; raises UsageError when there is none for such URLs."""
    try:
        fs, path = fsspec.core.url_to_fs(url, **options)
    except ImportError as error:
        what = "pip install 'universal-video-retrieval[s3]'" if s3.is_s3(url) else error
        raise UsageError(f"{url} cannot be opened: {what}") from error
    return fs, path


@contextmanager
def open_source(url: str) -> Iterator[BinaryIO]:
    """A local path or any fsspec URL, opened for reading bytes; a server that does not answer is tried again.

    Raises EndpointDown when the server stays away or is lost on the way, FileNotFoundError.
    """
    fs, path = file_system(url, source_options(url))
    with reach(url, partial(fs.open, path, "rb")) as file:
        try:
            yield file
        except failures() as error:
            if not cannot_reach(error):
                raise
            raise EndpointDown(f"{url} was lost while it was read: {error}") from error


def read_source(url: str) -> bytes:
    """The bytes of a local path or any fsspec URL; a server that does not answer is tried again.

    Raises EndpointDown when the server stays away, FileNotFoundError.
    """
    return reach(url, partial(_read_once, url))


def _read_once(url: str) -> bytes:
    fs, path = file_system(url, source_options(url))
    with fs.open(path, "rb") as file:
        data: bytes = file.read()
        return data


class Store:
    """One folder; names are relative POSIX paths below it."""

    def __init__(self, root: str) -> None:
        """`root` is a local path or any fsspec URL; nothing is created yet.

        Raises UsageError when what such URLs need is not installed. Methods that read raise RunFailed when an
        object store refuses.
        """
        self.fs, base = file_system(root, s3.LAKE_OPTIONS if s3.is_s3(root) else source_options(root))
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

    def location(self, name: str) -> str:
        """Where `name` is, as other libraries take it: a path on a local disk, else a URL."""
        full = self.full(name)
        return full if self.is_local else str(self.fs.unstrip_protocol(full))

    def exists(self, name: str) -> bool:
        """Whether `name` exists now (never answered from a listing cache)."""
        self.fs.invalidate_cache()
        return bool(reach(self.url, partial(self.fs.exists, self.full(name))))

    def read(self, name: str) -> bytes:
        """All bytes of `name`; raises FileNotFoundError, EndpointDown."""
        data: bytes = reach(self.url, partial(self.fs.cat_file, self.full(name)))
        return data

    def write(self, name: str, data: bytes) -> None:
        """Write `name` whole or not at all, replacing what was there.

        Raises DiskFull, EndpointDown, or RunFailed when the store is not writable; so do the other
        methods that write.
        """
        if self.is_local:
            with self.writer(name) as file:
                file.write(data)
        else:
            with writing(self.url):
                self.fs.pipe_file(self.full(name), data)

    def write_table(self, name: str, rows: pa.Table) -> None:
        """Write a table as one Parquet file, atomically."""
        sink = pa.BufferOutputStream()
        pq.write_table(rows, sink, compression="zstd")
        self.write(name, sink.getvalue().to_pybytes())

    @contextmanager
    def writer(self, name: str) -> Iterator[BinaryIO]:
        """A file to write to, however much; at the end of the block it becomes `name`, or never if that raises."""
        with writing(self.url):
            if not self.is_local:
                with tempfile.NamedTemporaryFile(prefix="uvr-") as file:
                    yield cast(BinaryIO, file)
                    file.flush()
                    self.fs.put_file(file.name, self.full(name))
                return
            with self._temporary(name) as temporary:
                with _written_through(temporary) as file:
                    yield file
                temporary.replace(self.full(name))

    def put(self, name: str, path: Path) -> None:
        """Write the content of a local file as `name`, whole or not at all, however large it is."""
        with path.open("rb") as source, self.writer(name) as file:
            shutil.copyfileobj(source, file, 2**20)

    def create(self, name: str, data: bytes) -> bool:
        """Write `name` only if it does not exist; False when another writer was first.

        On S3 this is a PUT with `If-None-Match: *`; of one that had to be sent twice, because the first answer was
        lost, the second can find what the first wrote, and the answer is False.
        """
        with writing(self.url):
            try:
                if not self.is_local:
                    self.fs.pipe_file(self.full(name), data, mode="create")
                    return True
                with self._temporary(name) as temporary:
                    with _written_through(temporary) as file:
                        file.write(data)
                    os.link(temporary, self.full(name))
            except OSError as error:
                if isinstance(error, FileExistsError) or s3.is_taken(error.__cause__ or error):
                    return False
                raise
        return True

    @contextmanager
    def _temporary(self, name: str) -> Iterator[Path]:
        """A new file beside `name`; what is left of it after the block is deleted."""
        target = Path(self.full(name))
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=".writing-", dir=target.parent)
        os.close(handle)
        try:
            yield Path(temporary)
        finally:
            Path(temporary).unlink(missing_ok=True)

    def list(self, folder: str, suffix: str = "") -> list[str]:
        """Sorted names of what is directly in `folder`; empty when it does not exist."""
        self.fs.invalidate_cache()
        try:
            found = reach(self.url, partial(self.fs.ls, self.full(folder), detail=False))
        except FileNotFoundError:
            return []
        names = (f"{folder}/{path.rstrip('/').rsplit('/', 1)[-1]}" for path in found)
        return sorted(name for name in names if name.endswith(suffix) and "/.writing-" not in name)

    def remove(self, name: str) -> None:
        """Delete one file; raises FileNotFoundError."""
        with writing(self.url):
            self.fs.rm_file(self.full(name))

    def share(self, name: str, new_name: str) -> None:
        """Give the file `name` a second name: a hard link where possible, a copy otherwise."""
        with writing(self.url):
            if not self.is_local:
                self.fs.cp_file(self.full(name), self.full(new_name))
                return
            target = Path(self.full(new_name))
            target.parent.mkdir(parents=True, exist_ok=True)
            target.unlink(missing_ok=True)
            try:
                os.link(self.full(name), target)
            except OSError:  # another file system, or one without hard links
                with self._temporary(new_name) as temporary:
                    shutil.copyfile(self.full(name), temporary)
                    temporary.replace(target)

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


@contextmanager
def _written_through(path: Path) -> Iterator[BinaryIO]:
    """A file to write to; after the block the disk has it."""
    with path.open("wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())
