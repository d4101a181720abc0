"""Files by their names, in a folder or in an archive that is never unpacked.

Names are relative, with `/`. An archive is read through once, to learn where its files lie; after that a file costs
one read at its place. Links, devices and folders in archives are no files, and nothing is ever written.
"""

from __future__ import annotations

import os
import re
import stat
import struct
import tarfile
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Final, NamedTuple, Protocol

from infra.errors import RowError, UsageError

_FOREIGN: Final = re.compile(r"[\\\x00-\x1f\x7f]|^[A-Za-z]:")  # what no name holds: other systems' ways, controls
_LOCAL_HEADER: Final = struct.Struct("<4s22xHH")  # of a ZIP's member: signature, lengths of its name and extra field
_TABLES: Final = 1024  # bytes that deflate may write about its codes before the data
_ENCRYPTED: Final = 1  # a flag of a ZIP's member


class FileTree(Protocol):
    """Files by their names. What cannot be read at all raises OSError."""

    def size(self, name: str) -> int | None:
        """Bytes of a file; None where there is no such file."""
        ...

    def head(self, name: str, count: int) -> bytes:
        """The first `count` bytes of a file, or all where it has fewer."""
        ...

    def read(self, name: str) -> bytes:
        """All bytes of a file; raises RowError `missing_file`, or `damaged` when they are not those archived."""
        ...

    def names(self, folder: str) -> list[str]:
        """The names, without the folder's, of the files that lie directly in a folder; none where it does not exist."""
        ...


def safe_name(name: str) -> str | None:
    """A name in its shortest form; None when it is none, is absolute, leads upward or is not written with `/`."""
    parts = PurePosixPath(name).parts
    if not parts or parts[0] == "/" or ".." in parts or _FOREIGN.search(name):
        return None
    return "/".join(parts)


class Folder:
    """The files below a local folder, links followed."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def size(self, name: str) -> int | None:
        """See FileTree."""
        try:
            found = (self.path / name).stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        return found.st_size if stat.S_ISREG(found.st_mode) else None

    def head(self, name: str, count: int) -> bytes:
        """See FileTree."""
        with (self.path / name).open("rb") as file:
            return file.read(count)

    def read(self, name: str) -> bytes:
        """See FileTree."""
        try:
            return (self.path / name).read_bytes()
        except FileNotFoundError as error:
            raise _missing(name, self.path) from error

    def names(self, folder: str) -> list[str]:
        """See FileTree."""
        try:
            with os.scandir(self.path / folder) as entries:
                return [entry.name for entry in entries if entry.is_file()]
        except (FileNotFoundError, NotADirectoryError):
            return []


class _Member(NamedTuple):
    """Where the bytes of an archive's file lie, and how."""

    start: int
    stored: int  # bytes in the archive
    size: int  # bytes of the file
    deflated: bool = False
    crc: int | None = None


class Archive:
    """The files of a local ZIP or tar.

    Those in a folder of the archive's own name (`videos/` in `videos.tar`) go by their names in it. `refused` says
    by name what is not read, why, and what to do: names that lead elsewhere, a name that stands twice, encryption,
    compressions other than deflate.
    """

    def __init__(self, path: Path) -> None:
        """Reads the archive's index; raises UsageError when it is damaged or no archive."""
        self.path = path
        self.refused: dict[str, str] = {}
        self._members: dict[str, _Member] = {}
        self._folders: dict[str, list[str]] = defaultdict(list)
        own = path.stem + "/"
        try:
            for name, member in _MEMBERS[path.suffix](path, self.refused):
                self._add(name, own, member)
        except (zipfile.BadZipFile, tarfile.TarError, NotImplementedError, ValueError, OSError) as error:
            raise UsageError(f"{path.name} cannot be read as {path.suffix[1:]} ({error}): fetch it again") from error

    def _add(self, name: str, own: str, member: _Member) -> None:
        safe = safe_name(name)
        if safe is None:
            self.refused[name] = "leads out of the archive: make it anew without it"
            return
        safe = safe.removeprefix(own)
        if safe in self._members:
            self.refused[name] = "stands twice in the archive: make it anew with one of them"
            return
        self._members[safe] = member
        folder, _, last = safe.rpartition("/")
        self._folders[folder].append(last)

    def size(self, name: str) -> int | None:
        """See FileTree."""
        member = self._members.get(name)
        return member.size if member else None

    def head(self, name: str, count: int) -> bytes:
        """See FileTree."""
        member = self._members[name]
        stored = self._stored(member, min(member.stored, count + _TABLES if member.deflated else count))
        try:
            return zlib.decompressobj(-zlib.MAX_WBITS).decompress(stored, count) if member.deflated else stored
        except zlib.error:
            return b""  # which begins like nothing

    def read(self, name: str) -> bytes:
        """See FileTree."""
        member = self._members.get(name)
        if member is None:
            raise _missing(name, self.path)
        data = self._stored(member, member.stored)
        try:
            if member.deflated:
                data = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, member.size + 1)
        except zlib.error as error:
            raise RowError("damaged", f"{name} in {self.path.name}: {error}") from error
        if len(data) != member.size or member.crc not in (None, zlib.crc32(data)):
            raise RowError("damaged", f"{name} in {self.path.name}: its bytes are not those that were archived")
        return data

    def names(self, folder: str) -> list[str]:
        """See FileTree."""
        return list(self._folders.get(folder, ()))

    def _stored(self, member: _Member, count: int) -> bytes:
        with self.path.open("rb") as file:
            file.seek(member.start)
            return file.read(count)


def _zip_members(path: Path, refused: dict[str, str]) -> Iterator[tuple[str, _Member]]:
    with path.open("rb") as file, zipfile.ZipFile(file) as archive:
        for info in archive.infolist():
            if info.flag_bits & _ENCRYPTED:
                refused[info.filename] = "is encrypted: store it plainly"
            elif info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                refused[info.filename] = "is compressed in a way that is not read: store it, or deflate it"
            elif not info.is_dir():
                start = _data_start(file.fileno(), info.header_offset)
                deflated = info.compress_type == zipfile.ZIP_DEFLATED
                yield info.filename, _Member(start, info.compress_size, info.file_size, deflated, info.CRC)


def _data_start(file: int, header: int) -> int:
    """Where the data of a ZIP's member begins: only the header before it tells how long that header is."""
    head = os.pread(file, _LOCAL_HEADER.size, header)
    if len(head) < _LOCAL_HEADER.size or not head.startswith(b"PK\x03\x04"):
        raise zipfile.BadZipFile(f"no member begins at byte {header}")
    _, name, extra = _LOCAL_HEADER.unpack(head)
    return header + _LOCAL_HEADER.size + int(name) + int(extra)


def _tar_members(path: Path, refused: dict[str, str]) -> Iterator[tuple[str, _Member]]:
    """tarfile, not `shards.ustar`: tars made elsewhere have headers about the next member."""
    with tarfile.open(path, "r:") as archive:
        for info in archive:
            if info.issparse():
                refused[info.name] = "is a sparse file: store it whole"
            elif info.isreg():
                yield info.name, _Member(info.offset_data, info.size, info.size)


_Reader = Callable[[Path, dict[str, str]], Iterator[tuple[str, _Member]]]
_MEMBERS: Final[dict[str, _Reader]] = {".zip": _zip_members, ".tar": _tar_members}
ARCHIVES: Final = tuple(_MEMBERS)  # suffixes of archives that are read


def _missing(name: str, where: Path) -> RowError:
    return RowError("missing_file", f"{name} is not in {where.name} (any more)")
