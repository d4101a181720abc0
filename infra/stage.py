"""The one abstraction: a stage is a function from keyed rows to keyed rows.

A stage is a frozen dataclass of settings. Its class says what it is called, which version of its
code this is, which columns it reads and writes, and what a worker of it costs; `open` runs once per
worker (a model is loaded there) and returns the function that does the work.

Every input key of a stage ends in exactly one place: output rows, a `Drop`, a `Fault` or pending.
"""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, BinaryIO, ClassVar, Protocol, TypeVar

import pyarrow as pa

from infra.recipe import Settings

T = TypeVar("T")
Row = dict[str, Any]


@dataclass(frozen=True)
class Drop:
    """A filter's answer that turns a row away: a short stable reason, and the scores behind it."""

    key: str
    reason: str
    detail: Row = field(default_factory=dict)


@dataclass(frozen=True)
class Fault:
    """A row that could not be done; it is quarantined and can be requeued."""

    key: str
    reason: str
    error: str


Outcome = Row | Drop | Fault
Work = Callable[[list[Row]], Iterable[Outcome]]


@dataclass(frozen=True)
class Service:
    """Servers that a stage's workers ask, and how: nothing here changes what a stage makes."""

    endpoints: tuple[str, ...] = ()
    max_in_flight: int = 64  # requests of one worker at one endpoint
    deadline_s: float = 300.0  # of one request
    patience_s: float = 60.0  # with endpoints that are all down
    gpus: float = 0.0  # behind the endpoints, where that is known


class Workspace(Protocol):
    """What a worker may touch: the media its stage makes, and files made before it."""

    @property
    def service(self) -> Service:
        """The servers that run beside this stage."""
        ...

    @property
    def round(self) -> int:
        """How often somebody asked that rows be tried anew (`uvr requeue`)."""
        ...

    def save(self, name: str, data: bytes) -> str:
        """Write one media file of this stage atomically; returns its path relative to the lake.

        Raises StaleLease when the run this worker belongs to no longer owns the lake.
        """
        ...

    def save_by(self, name: str, write: Callable[[BinaryIO], T]) -> tuple[str, T]:
        """As `save`, of a file that `write` fills, since it is too much to hold in memory; also what that answers."""
        ...

    def path(self, source: str) -> str:
        """A local path from which the video or media file `source` (lake-relative or any URL) can be read."""
        ...

    def read(self, source: str) -> bytes:
        """The bytes of `source` (lake-relative or any URL)."""
        ...

    def recall(self, name: str) -> bytes | None:
        """What any worker of any run of this lake kept under `name`; None when nothing."""
        ...

    def keep(self, name: str, data: bytes) -> None:
        """Keep `data` for every later run, whatever becomes of this one. Raises StaleLease."""
        ...

    def spend(self, tokens: int) -> None:
        """Count `tokens` that a model read and wrote for the rows at hand."""
        ...

    def take_spent(self) -> int:
        """Tokens counted since this was last asked; the engine asks after every batch."""
        ...


@dataclass(frozen=True)
class Stage(Settings, ABC):
    """Settings of one stage; what they say decides which earlier work can be reused."""

    name: ClassVar[str]
    version: ClassVar[int]
    needs: ClassVar[tuple[str, ...]] = ()  # columns read from upstream, besides `key`
    schema: ClassVar[pa.Schema]  # columns written, besides `key` and `parent`

    def ingredients(self) -> Sequence[str]:
        """What besides its settings decides what a stage puts out: versions of the prompts it sends, say."""
        return ()

    def fingerprint(self, upstream: Sequence[str]) -> str:
        """12 hex digits that name this stage's folder: its version, settings and everything before it."""
        facts = [self.name, self.version, asdict(self), list(upstream), *self.ingredients()]
        text = json.dumps(facts, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:12]


@dataclass(frozen=True)
class RowStage(Stage):
    """A stage whose rows are independent: streamed in units of input ids to Ray workers.

    An output row holds `key`, `parent` (the key of the input row it was made from) and the columns
    of `schema`; columns of earlier stages are joined back by key, never copied. A row function may
    raise RowError for a fault of the row; a RunFailed ends the run (a full disk, say) and no row is
    blamed; anything else it raises is quarantined as `unexpected`.
    With `group_by`, an input row is a group: its key is the value of that column, and every needed
    column is a list in the order of the members' keys.
    """

    unit_rows: ClassVar[int] = 16  # rows a worker takes and commits at once: 30-60 s of work
    batch_rows: ClassVar[int] = 1  # rows handed to the function at once
    deadline_s: ClassVar[float] = 300.0  # per row; a worker that exceeds it is killed
    group_by: ClassVar[str] = ""

    def least_unit_rows(self) -> int:
        """Rows of a unit even where that leaves workers without any: servers want many questions at once."""
        return 1

    @abstractmethod
    def open(self, workspace: Workspace) -> Work:
        """Load what one worker needs and return the function from a batch of rows to outcomes."""


@dataclass(frozen=True)
class TableStage(Stage):
    """A stage that must see the whole table at once (duplicates, assembly); runs in the driver.

    One that chooses between rows takes those first that an earlier release was made from: what was
    released is never given up for something that came later.
    """

    remembers: ClassVar[tuple[str, ...] | None] = None  # columns told of released rows; None: they are of no account
    told_apart_by: ClassVar[tuple[str, ...]] = ("key",)  # texts by which a released row is the same as one now

    @abstractmethod
    def compute(self, rows: pa.Table, released: pa.Table) -> Iterable[Row | Drop]:
        """Outcomes of all rows.

        `rows` holds `key` and the needed columns, `released` this stage's own output rows that earlier
        releases were made from, whether or not they come out again: `key`, `parent` and what the stage
        `remembers`. Both are sorted by key. A key may be released in several rows, if more than it tells them apart.
        """


def each(function: Callable[[Row], Iterable[Row] | Drop]) -> Work:
    """The batch function of a stage that treats every row alone."""

    def work(rows: list[Row]) -> Iterable[Outcome]:
        for row in rows:
            answer = function(row)
            if isinstance(answer, Drop):
                yield answer
            else:
                yield from answer

    return work
