"""Exact duplicates: files with the same bytes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import pyarrow as pa

from infra.stage import Drop, Row, TableStage


@dataclass(frozen=True)
class ExactDuplicates(TableStage):
    """Keeps one file of every content: the one whose path sorts first; from here a row is a video."""

    name: ClassVar[str] = "exact"
    version: ClassVar[int] = 1
    needs: ClassVar[tuple[str, ...]] = ("source", "video_id")
    schema: ClassVar[pa.Schema] = pa.schema([])

    def compute(self, rows: pa.Table) -> Iterable[Row | Drop]:
        """The kept files under their video ids, the others dropped with the file they equal."""
        kept: dict[str, Row] = {}
        for row in sorted(rows.to_pylist(), key=lambda row: (row["source"], row["key"])):
            winner = kept.setdefault(row["video_id"], row)
            if winner is row:
                yield {"key": row["video_id"], "parent": row["key"]}
            else:
                yield Drop(row["key"], "duplicate", {"duplicate_of": winner["source"], "kind": "same bytes"})
