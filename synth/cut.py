"""Stage `cut`: encodes the clips that survived, small enough to train on and quick to sample from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import pyarrow as pa

from infra.media.encode import encode_clip
from infra.stage import Row, RowStage, Work, Workspace, each


@dataclass(frozen=True)
class Cut(RowStage):
    """H.264 MP4 per clip: upright, without audio, constant frame rate, key frames 1 s apart.

    Key frames that close let a reader sample 8 frames without decoding the whole clip. A clip whose span
    cannot be decoded whole, or whose file lacks frames, is quarantined: `damaged`, `encode_failed`.
    """

    short_side: int = 448  # pixels at most: 16 patches of 28, the sharpest a model of this family sees
    crf: int = 23  # x264's constant quality, lower is better and larger

    name: ClassVar[str] = "cut"
    version: ClassVar[int] = 2
    needs: ClassVar[tuple[str, ...]] = ("source", "start_s", "end_s")
    schema: ClassVar[pa.Schema] = pa.schema(
        [
            ("clip_path", pa.string()),  # relative to the lake
            ("clip_bytes", pa.int64()),
            ("clip_frames", pa.int64()),
            ("clip_width", pa.int32()),
            ("clip_height", pa.int32()),
            ("clip_fps", pa.float64()),
            ("clip_duration_s", pa.float64()),
        ]
    )
    unit_rows: ClassVar[int] = 16

    def open(self, workspace: Workspace) -> Work:
        return each(partial(cut_row, self, workspace))


def cut_row(settings: Cut, workspace: Workspace, row: Row) -> Iterable[Row]:
    """The row of one encoded clip; its file is named by the clip's id, which is content-derived."""
    source = workspace.path(row["source"])
    clip = encode_clip(source, row["start_s"], row["end_s"], settings.short_side, settings.crf)
    yield {
        "key": row["key"],
        "parent": row["key"],
        "clip_path": workspace.save(f"{row['key']}.mp4", clip.data),
        "clip_bytes": len(clip.data),
        "clip_frames": clip.frames,
        "clip_width": clip.width,
        "clip_height": clip.height,
        "clip_fps": clip.fps,
        "clip_duration_s": clip.duration_s,
    }
