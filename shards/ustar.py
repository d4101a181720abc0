"""Where the members of a tar lie, told by its headers alone (POSIX.1-1988 ustar, which shards.writer writes).

tarfile takes 14 µs a header, most of it for fields that no shard uses: a quarter of the time of reading a release.
What later formats add, headers that change the next member's name, size or kind, is not followed here: such a header
is a member that is no plain file.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

_BLOCK: Final = 512  # bytes; a header is one block, and data is padded to whole ones
_FIELDS: Final = struct.Struct("100s24x12s12x8sc188x155s12x")  # name, size, checksum, kind, folder
_PLAIN: Final = (b"0", b"\0")  # kinds of a member that is nothing but its bytes


class Member(NamedTuple):
    """What a header says."""

    name: str
    is_file: bool  # and not a link, a folder, a device or a header about the next member
    start: int  # of its data, bytes from the beginning of the tar
    size: int


def read_headers(file: int) -> Iterator[Member]:
    """The members of an open tar in order, up to its end or to the first header that is damaged or cut off."""
    offset = 0
    while member := _member(os.pread(file, _BLOCK, offset), offset + _BLOCK):
        yield member
        offset = member.start + -(-member.size // _BLOCK) * _BLOCK


def _member(header: bytes, offset: int) -> Member | None:
    """The member whose data is at `offset`; None for what is no header: the zeros at a tar's end, or a damaged one."""
    if len(header) < _BLOCK:
        return None
    name, size, checksum, kind, folder = _FIELDS.unpack(header)
    try:
        if _octal(checksum) != sum(header) - sum(checksum) + len(checksum) * ord(" "):
            return None
        path = b"/".join(part.partition(b"\0")[0] for part in (folder, name) if part[0])
        return Member(path.decode("utf-8", "replace"), kind in _PLAIN, offset, _octal(size))
    except ValueError:
        return None


def _octal(field: bytes) -> int:
    """A number in octal digits, without a sign: a size below zero would lead back; raises ValueError."""
    digits = field.strip(b" \0")
    if not digits.isdigit():
        raise ValueError(f"{field!r} holds no digits")
    return int(digits, 8)
