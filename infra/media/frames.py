"""Frames that were taken from a video already, packed into one file that stands in for the video.

The file is a ZIP that compresses nothing, and the same frames give the same bytes. It has no clock.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from typing import Final

from infra.errors import RowError
from infra.media.magic import begins_like_frame

_MAGIC: Final = b"PK\x03\x04"
_DATE: Final = (1980, 1, 1, 0, 0, 0)  # the first that a ZIP can tell
_UNIX: Final = 3  # the system that is named as the maker, whatever it is
_ENCRYPTED: Final = 1  # a flag of a ZIP's member


def pack_frames(frames: Sequence[bytes]) -> bytes:
    """One file of JPEG or PNG frames in the order of time, which `infra.media.decode.sample_frames` reads.

    Raises RowError `no_frames` when there are none.
    """
    if not frames:
        raise RowError("no_frames", "there is no frame to pack")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for number, frame in enumerate(frames):
            member = zipfile.ZipInfo(f"{number:08d}", _DATE)
            member.create_system = _UNIX
            archive.writestr(member, frame)
    return buffer.getvalue()


def is_packed(data: bytes) -> bool:
    """Whether the bytes of a video are packed frames, by how they begin."""
    return data.startswith(_MAGIC)


class PackedFrames:
    """Packed frames, each of which is read when it is asked for."""

    def __init__(self, data: bytes) -> None:
        """Raises RowError: `unreadable_container` for no whole ZIP, `not_a_video` for a foreign one, `no_frames`."""
        try:
            self._archive = zipfile.ZipFile(io.BytesIO(data))
        except (zipfile.BadZipFile, NotImplementedError, UnicodeDecodeError) as error:
            raise RowError("unreadable_container", f"packed frames ({len(data)} bytes): {error}") from error
        self._members = self._archive.infolist()
        if any(member.compress_type != zipfile.ZIP_STORED or member.flag_bits & _ENCRYPTED for member in self._members):
            raise RowError("not_a_video", f"a ZIP ({len(data)} bytes) that was not made of a video's frames")
        if not self._members:
            raise RowError("no_frames", f"packed frames ({len(data)} bytes) that list none")

    def __len__(self) -> int:
        return len(self._members)

    def read(self, number: int) -> bytes:
        """One encoded frame; raises RowError `damaged` when its bytes are not those packed, or no JPEG or PNG."""
        try:
            frame = self._archive.read(self._members[number])
        except (zipfile.BadZipFile, EOFError, ValueError) as error:  # the last for a place before the file
            raise RowError("damaged", f"packed frame {number} of {len(self)}: {error}") from error
        if not begins_like_frame(frame):
            raise RowError("damaged", f"packed frame {number} of {len(self)} is neither a JPEG nor a PNG")
        return frame
