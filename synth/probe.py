"""Stage `probe`: is it a video at all, which one (by content), and what does its container say?"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

import pyarrow as pa

from infra.media.probe import packets_id, probe
from infra.removed import removed_name
from infra.stage import Drop, Row, RowStage, Work, Workspace, each


@dataclass(frozen=True)
class Probe(RowStage):
    """Hashes the source's bytes and reads its container; nothing but one frame is decoded.

    A row that is no readable video is quarantined as missing_file, empty_file, not_a_video,
    unreadable_container, no_video_stream or no_frames. A video that was removed from the lake is dropped.
    """

    name: ClassVar[str] = "probe"
    version: ClassVar[int] = 2
    needs: ClassVar[tuple[str, ...]] = ("source",)
    schema: ClassVar[pa.Schema] = pa.schema(
        [
            ("video_id", pa.string()),  # first 32 hex digits of the SHA-256 of the file's bytes
            (
                "packets_id",
                pa.string(),
            ),  # the same for the same encoded pictures in another container; "" where unknown
            ("container", pa.string()),
            ("codec", pa.string()),
            ("width", pa.int32()),  # display pixels, after rotation
            ("height", pa.int32()),
            ("rotation_deg", pa.int32()),  # clockwise
            ("fps", pa.float64()),
            ("duration_s", pa.float64()),
            ("declared_frames", pa.int64()),  # 0 where the container does not count
            ("has_audio", pa.bool_()),
        ]
    )
    unit_rows: ClassVar[int] = 64

    def open(self, workspace: Workspace) -> Work:
        return each(partial(probe_row, workspace))


def probe_row(workspace: Workspace, row: Row) -> Iterable[Row] | Drop:
    """The probed row of one source, or that it was removed; raises RowError when it is no readable video."""
    path = workspace.path(row["source"])
    facts = asdict(probe(path))
    name = video_id(path)
    if removed := workspace.recall(removed_name(name)):
        return Drop(row["key"], "removed", {"video_id": name, "why": json.loads(removed)["reason"]})
    ids = {"video_id": name, "packets_id": packets_id(path)}
    return [{"key": row["key"], "parent": row["key"], **ids, **facts}]


def video_id(path: str) -> str:
    """The identity of a video: 32 hex digits of the SHA-256 of the file at `path`."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:32]
