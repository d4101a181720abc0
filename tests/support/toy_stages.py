"""Stages small enough to reason about, for the tests of the engine; Ray workers import them from here."""

import os
import signal
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa

from infra.errors import RowError
from infra.stage import Drop, Fault, Outcome, Row, RowStage, TableStage, Work, Workspace, each
from infra.tables import SOURCE_COLUMNS, Link, part_table, source_link, write_part


def write_sources(store: Any, captions: dict[str, str], place: str = "/videos") -> Link:
    """A sources table with one row per key; the weak caption tells the toy stages what to do."""
    rows: list[Outcome] = [
        {"key": key, "parent": key, "source": f"{place}/{key}", "size_bytes": 1, "weak_caption": caption}
        for key, caption in captions.items()
    ]
    link = source_link()
    write_part(store, link, "0-schema", part_table(SOURCE_COLUMNS, []))
    write_part(store, link, "listing", part_table(SOURCE_COLUMNS, rows))
    return link


@dataclass(frozen=True)
class Split(RowStage):
    """One row becomes `len(weak_caption)` rows; some captions make it misbehave."""

    name: ClassVar[str] = "split"
    version: ClassVar[int] = 1
    needs: ClassVar[tuple[str, ...]] = ("weak_caption",)
    schema: ClassVar[pa.Schema] = pa.schema([("letter", pa.string()), ("opened_by", pa.int64())])
    deadline_s: ClassVar[float] = 20.0

    suffix: str = ""
    pause_s: float = 0.0
    opened: str = ""  # a folder in which every `open` leaves a file

    def open(self, workspace: Workspace) -> Work:
        if self.opened:
            (Path(self.opened) / f"{os.getpid()}-{time.monotonic_ns()}").touch()

        def work(row: Row) -> Iterable[Row] | Drop:
            return self._one(row, workspace)

        return each(work)

    def _one(self, row: Row, workspace: Workspace) -> Iterable[Row] | Drop:
        time.sleep(self.pause_s)
        caption = row["weak_caption"]
        if caption == "segfault":
            os.kill(os.getpid(), signal.SIGSEGV)
        if caption == "hang":
            time.sleep(600)
        if caption == "bad":
            raise RowError("bad_caption", "said bad")
        if caption == "bug":
            raise ZeroDivisionError("a defect in the stage")
        if caption == "drop":
            return Drop(row["key"], "unwanted", {"score": 0.25})
        workspace.save(f"{row['key']}.txt", caption.encode())
        return [
            {"key": f"{row['key']}-{i}", "parent": row["key"], "letter": letter + self.suffix, "opened_by": 0}
            for i, letter in enumerate(caption)
        ]


@dataclass(frozen=True)
class HangingSplit(Split):
    """Split with a deadline short enough for a test."""

    deadline_s: ClassVar[float] = 3.0


@dataclass(frozen=True)
class Fill(RowStage):
    """Every row writes one large file into the lake, or into a folder outside it."""

    name: ClassVar[str] = "fill"
    version: ClassVar[int] = 1
    schema: ClassVar[pa.Schema] = pa.schema([("path", pa.string())])

    size_bytes: int = 100_000
    folder: str = ""
    pause_s: float = 0.0

    def open(self, workspace: Workspace) -> Work:
        def fill(row: Row) -> Iterable[Row]:
            time.sleep(self.pause_s)
            data = bytes(self.size_bytes)
            if not self.folder:
                return [{"key": row["key"], "parent": row["key"], "path": workspace.save(f"{row['key']}.bin", data)}]
            path = Path(self.folder) / row["key"]
            path.write_bytes(data)
            return [{"key": row["key"], "parent": row["key"], "path": str(path)}]

        return each(fill)


@dataclass(frozen=True)
class Fetch(RowStage):
    """Reads the row's source, wherever it is."""

    name: ClassVar[str] = "fetch"
    version: ClassVar[int] = 1
    needs: ClassVar[tuple[str, ...]] = ("source",)
    schema: ClassVar[pa.Schema] = pa.schema([("text", pa.string())])

    def open(self, workspace: Workspace) -> Work:
        def fetch(row: Row) -> Iterable[Row]:
            return [{"key": row["key"], "parent": row["key"], "text": workspace.read(row["source"]).decode()}]

        return each(fetch)


@dataclass(frozen=True)
class Ask(RowStage):
    """Spends model tokens, some for every letter of the caption and some for the batch."""

    name: ClassVar[str] = "ask"
    version: ClassVar[int] = 1
    needs: ClassVar[tuple[str, ...]] = ("weak_caption",)
    schema: ClassVar[pa.Schema] = pa.schema([])
    unit_rows: ClassVar[int] = 4
    batch_rows: ClassVar[int] = 3

    def open(self, workspace: Workspace) -> Work:
        def ask(rows: list[Row]) -> Iterable[Outcome]:
            workspace.spend(100)
            for row in rows:
                workspace.spend(len(row["weak_caption"]))
                yield {"key": row["key"], "parent": row["key"]}

        return ask


@dataclass(frozen=True)
class Batched(RowStage):
    """Reads whole batches; a batch with an "x" in it fails as a whole."""

    name: ClassVar[str] = "batched"
    version: ClassVar[int] = 1
    needs: ClassVar[tuple[str, ...]] = ("letter",)
    schema: ClassVar[pa.Schema] = pa.schema([("upper", pa.string())])
    batch_rows: ClassVar[int] = 4

    def open(self, workspace: Workspace) -> Work:
        def work(rows: list[Row]) -> Iterable[Outcome]:
            if any("x" in row["letter"] for row in rows):
                raise ValueError("an x in the batch")
            return [{"key": row["key"], "parent": row["key"], "upper": row["letter"].upper()} for row in rows]

        return work


@dataclass(frozen=True)
class FirstOfLetter(TableStage):
    """Keeps the first row of every letter, a released one before others; the others lost to it."""

    name: ClassVar[str] = "first"
    version: ClassVar[int] = 1
    needs: ClassVar[tuple[str, ...]] = ("upper",)
    remembers: ClassVar[tuple[str, ...] | None] = ("upper",)
    schema: ClassVar[pa.Schema] = pa.schema([("group_name", pa.string())])

    def compute(self, rows: pa.Table, released: pa.Table) -> Iterable[Row | Drop]:
        kept = dict(zip(released["upper"].to_pylist(), released["key"].to_pylist(), strict=True))
        for row in rows.to_pylist():
            if (winner := kept.setdefault(row["upper"], row["key"])) != row["key"]:
                yield Drop(row["key"], "duplicate", {"duplicate_of": winner})
            else:
                yield {"key": row["key"], "parent": row["key"], "group_name": "even" if len(kept) % 2 else "odd"}


@dataclass(frozen=True)
class Join(RowStage):
    """Works on groups: one text of all the letters of a group, in the order of their keys."""

    name: ClassVar[str] = "join"
    version: ClassVar[int] = 1
    needs: ClassVar[tuple[str, ...]] = ("upper",)
    schema: ClassVar[pa.Schema] = pa.schema([("text", pa.string())])
    group_by: ClassVar[str] = "group_name"

    def open(self, workspace: Workspace) -> Work:
        return each(lambda row: [{"key": row["key"], "parent": row["key"], "text": "".join(row["upper"])}])


@dataclass(frozen=True)
class Pairing(RowStage):
    """Every row is a pair of its own video, one byte large."""

    name: ClassVar[str] = "pairing"
    version: ClassVar[int] = 1
    schema: ClassVar[pa.Schema] = pa.schema(
        [("task", pa.string()), ("video_id", pa.string()), ("sample_bytes", pa.int64())]
    )

    def open(self, workspace: Workspace) -> Work:
        facts = {"task": "T2T", "sample_bytes": 1}
        return each(lambda row: [{"key": row["key"], "parent": row["key"], "video_id": row["key"], **facts}])


@dataclass(frozen=True)
class Unable(RowStage):
    """Cannot load what it needs."""

    name: ClassVar[str] = "unable"
    version: ClassVar[int] = 1
    needs: ClassVar[tuple[str, ...]] = ()
    schema: ClassVar[pa.Schema] = pa.schema([])

    def open(self, workspace: Workspace) -> Work:
        raise RuntimeError("no model here")


def liar(rows: list[Row]) -> Iterable[Outcome]:
    """Answers for a row it was not given."""
    return [Fault("somebody else", "x", "y") for _ in rows]


@dataclass(frozen=True)
class Clips(RowStage):
    """Takes every source as a clip whose captions are the lines of its weak caption."""

    name: ClassVar[str] = "clips"
    version: ClassVar[int] = 1
    needs: ClassVar[tuple[str, ...]] = ("source", "weak_caption")
    schema: ClassVar[pa.Schema] = pa.schema([("clip_path", pa.string()), ("captions", pa.list_(pa.string()))])

    def open(self, workspace: Workspace) -> Work:
        def take(row: Row) -> Iterable[Row]:
            facts = {"clip_path": f"{row['source']}.mp4", "captions": row["weak_caption"].splitlines()}
            return [{"key": row["key"], "parent": row["key"], **facts}]

        return each(take)
