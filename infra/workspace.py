"""What a worker of one stage may touch in a lake."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from infra.errors import EndpointDown, RowError, RunFailed
from infra.lease import Lease
from infra.stage import Service
from infra.store import Store, is_external, read_source

T = TypeVar("T")

KEPT = "kept"  # what outlives the stages that made it
ROUNDS = "rounds"


def rounds(store: Store) -> int:
    """How often somebody asked that rows of this lake be tried anew."""
    return len(store.list(f"{KEPT}/{ROUNDS}"))


def begin_round(store: Store, lease: Lease) -> None:
    """From now on a question whose answers were no good is asked again."""
    lease.check(store)
    store.write(f"{KEPT}/{ROUNDS}/{lease.number:08d}", b"")


class LakeWorkspace:
    """What a worker of one stage may touch (see infra.stage.Workspace).

    Media go to `<folder>/media/<first two letters>/<name>`, so that no folder grows to millions of
    entries. A remote source is downloaded when its path is asked for and deleted at the next one.
    """

    def __init__(
        self, lake: str, folder: str, lease: Lease | None = None, service: Service | None = None, round_: int = 0
    ) -> None:
        self.store = Store(lake)
        self.folder = folder
        self.lease = lease
        self.service = service or Service()
        self.round = round_
        self._fetched: tempfile.TemporaryDirectory[str] | None = None
        self._tokens = 0
        self._counting = threading.Lock()  # a stage may wait for several model answers at once

    def __reduce__(self) -> tuple[Any, ...]:
        return LakeWorkspace, (self.store.url, self.folder, self.lease, self.service, self.round)

    def save(self, name: str, data: bytes) -> str:
        """Write one media file of this stage; returns its lake-relative path. Raises StaleLease."""
        relative = self._media(name)
        self._write(relative, data)
        return relative

    def save_by(self, name: str, write: Callable[[BinaryIO], T]) -> tuple[str, T]:
        """Write one media file as `write` fills it; returns its path and what `write` answered. Raises StaleLease."""
        relative = self._media(name)
        with self.store.writer(relative) as file:
            answer = write(file)
            self._check_lease()
        return relative, answer

    def _media(self, name: str) -> str:
        return f"{self.folder}/media/{name[:2]}/{name}"

    def _write(self, name: str, data: bytes) -> None:
        self._check_lease()
        self.store.write(name, data)

    def _check_lease(self) -> None:
        if self.lease is not None:
            self.lease.check(self.store)

    def recall(self, name: str) -> bytes | None:
        """What any worker of any run of this lake kept under `name`; None when nothing."""
        try:
            return self.store.read(f"{KEPT}/{name}")
        except FileNotFoundError:
            return None

    def keep(self, name: str, data: bytes) -> None:
        """Keep `data` for every later run, whatever becomes of this one. Raises StaleLease."""
        self._write(f"{KEPT}/{name}", data)

    def read(self, source: str) -> bytes:
        """The bytes of a lake-relative path, an absolute path or a URL.

        Raises RowError: `unreachable` when the server of a source stays away, `refused` when a bucket lets nobody
        in, `missing_file`.
        """
        if not is_external(source):
            return self.store.read(source)
        try:
            return read_source(source)
        except EndpointDown as error:
            raise RowError("unreachable", str(error)) from error
        except RunFailed as error:
            raise RowError("refused", str(error)) from error
        except FileNotFoundError as error:
            raise RowError("missing_file", f"{source}: {error.__cause__ or error}") from error

    def path(self, source: str) -> str:
        """A local path holding the content of `source`, valid until the next call."""
        if "://" not in source and (self.store.is_local or is_external(source)):
            return source if is_external(source) else self.store.full(source)
        if self._fetched is not None:
            self._fetched.cleanup()
        self._fetched = tempfile.TemporaryDirectory(prefix="uvr-")
        local = Path(self._fetched.name) / source.rsplit("/", 1)[-1]
        local.write_bytes(self.read(source))
        return str(local)

    def spend(self, tokens: int) -> None:
        """Count `tokens` that a model read and wrote for the rows at hand."""
        with self._counting:
            self._tokens += tokens

    def take_spent(self) -> int:
        """Tokens counted since this was last asked."""
        with self._counting:
            tokens, self._tokens = self._tokens, 0
        return tokens
