"""Exact duplicates: files with the same bytes, or with the same pictures in another container."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import pyarrow as pa

from infra.stage import Drop, Row, TableStage


@dataclass(frozen=True)
class ExactDuplicates(TableStage):
    """Keeps one file of every content, from here on a row is a video.

    Two files are the same when their bytes are, or when the encoded packets of their video streams are
    (a re-mux). A released one is kept before others, then the one whose path sorts first.
    """

    name: ClassVar[str] = "exact"
    version: ClassVar[int] = 2
    needs: ClassVar[tuple[str, ...]] = ("source", "video_id", "packets_id")
    remembers: ClassVar[tuple[str, ...] | None] = ("source", "packets_id")
    schema: ClassVar[pa.Schema] = pa.schema([])

    def compute(self, rows: pa.Table, released: pa.Table) -> Iterable[Row | Drop]:
        """The kept files under their video ids, the others dropped with the file they equal."""
        known = {row["key"]: row for row in released.to_pylist()}
        holders = {row["packets_id"]: row for row in known.values() if row["packets_id"]}
        kept: dict[str, Row] = {}
        for row in sorted(rows.to_pylist(), key=lambda row: (row["video_id"] not in known, row["source"], row["key"])):
            twin = holders.get(row["packets_id"])
            if row["video_id"] in kept:
                yield _duplicate(row, kept[row["video_id"]], "same bytes")
            elif twin is not None and row["video_id"] not in known:
                yield _duplicate(row, twin, "same packets")
            else:
                kept[row["video_id"]] = row
                if row["packets_id"]:
                    holders.setdefault(row["packets_id"], row)
                yield {"key": row["video_id"], "parent": row["key"]}


def _duplicate(row: Row, winner: Row, kind: str) -> Drop:
    return Drop(row["key"], "duplicate", {"duplicate_of": winner["source"], "kind": kind})
