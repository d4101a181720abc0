"""Vectors on disk, by what was embedded and by which model: none is computed twice.

CACHE/MODEL/*.vectors: each file holds some sides' keys and vectors, and is named by the digest of its bytes. It is
written whole when they were made, so an evaluation that was killed goes on behind the last of them, and any number
of processes may write. What does not fit its name is damaged: it is removed, and its sides are embedded again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from infra.errors import RunFailed
from infra.store import Store
from shards.records import Side

KEY_BYTES: Final = 32  # of SHA-256
SUFFIX: Final = ".vectors"
_NUMBER: Final = np.dtype("<f4")


def side_key(side: Side, instruction: str) -> bytes:
    """What tells a side apart that is embedded with an instruction: SHA-256 of all that the model is given."""
    digest = hashlib.sha256()
    text = None if side.text is None else side.text.encode()
    for part in (text, side.image, side.video, instruction.encode()):
        digest.update(b"-" if part is None else b"+%d:" % len(part))  # so that no two sides give the same bytes
        digest.update(part or b"")
    return digest.digest()


@dataclass(frozen=True)
class Place:
    """Where a vector is: the row of a file."""

    file: str
    row: int


class VectorCache:
    """The vectors of one model: a folder, and where in it each is."""

    def __init__(self, folder: str, model_id: str, dim: int, tell: Callable[[str], None]) -> None:
        """`folder` is a path or URL that all processes of an evaluation see; `tell` is given a line on every damage.

        Raises UsageError, EndpointDown and RunFailed as `Store` does.
        """
        self.store, self.folder, self.dim, self.tell = Store(folder), model_id, dim, tell
        self._files = set[str]()
        self._places: dict[bytes, Place] = {}
        self.refresh()

    def __contains__(self, key: bytes) -> bool:
        return key in self._places

    def refresh(self) -> None:
        """Take in what other processes have written since."""
        for name in self.store.list(self.folder, SUFFIX):
            if name not in self._files and (content := self._whole(name)) is not None:
                self._take_in(name, content[0])

    def add(self, keys: Sequence[bytes], vectors: NDArray[np.float32]) -> None:
        """Keep the vectors [len(keys), dim] of some keys, whole or not at all; raises what `Store.write` does."""
        data = b"".join(keys) + vectors.astype(_NUMBER).tobytes()
        name = f"{self.folder}/{_name(data)}"
        self.store.write(name, data)
        self._take_in(name, keys)

    def read(self, keys: Sequence[bytes]) -> NDArray[np.float32]:
        """The vectors of keys that are there, float32 [len(keys), dim]; files are read one at a time.

        Raises RunFailed when a file was lost since it was last seen.
        """
        vectors = np.empty((len(keys), self.dim), np.float32)
        wanted: dict[str, list[tuple[int, int]]] = {}
        for number, key in enumerate(keys):
            place = self._places[key]
            wanted.setdefault(place.file, []).append((number, place.row))
        for name, pairs in wanted.items():
            content = self._whole(name)
            if content is None:
                raise RunFailed(f"{self.store.url}/{name} was lost while it was in use; start the same command again")
            numbers, rows = zip(*pairs, strict=True)
            vectors[list(numbers)] = content[1][list(rows)]
        return vectors

    def _take_in(self, name: str, keys: Sequence[bytes]) -> None:
        self._files.add(name)
        for row, key in enumerate(keys):
            self._places.setdefault(key, Place(name, row))

    def _whole(self, name: str) -> tuple[list[bytes], NDArray[np.float32]] | None:
        """A file's keys and vectors; None of one that is damaged, which is removed, or gone."""
        try:
            data = self.store.read(name)
        except FileNotFoundError:
            return None
        count, rest = divmod(len(data), KEY_BYTES + _NUMBER.itemsize * self.dim)
        if name != f"{self.folder}/{_name(data)}" or rest:
            self.tell(f"{self.store.url}/{name} is damaged; what it held is embedded again")
            with suppress(FileNotFoundError):  # another process was faster
                self.store.remove(name)
            return None
        split = count * KEY_BYTES
        keys = [data[start : start + KEY_BYTES] for start in range(0, split, KEY_BYTES)]
        return keys, np.frombuffer(data, _NUMBER, offset=split).reshape(count, self.dim)


def _name(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:32] + SUFFIX
