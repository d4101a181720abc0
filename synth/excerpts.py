"""Stage `excerpts`: one frame and one sub-clip of every clip, the other sides of the visual pairs.

Frames and sub-clips of a video give the pairs frame <-> video and clip <-> video (arXiv 2510.27571,
section 3.2, stage 2); a reference clip lasts 2-10 s (appendix A.6).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import ClassVar

import pyarrow as pa

from infra.errors import RowError
from infra.media.decode import sample_frames
from infra.media.encode import encode_clip, encode_image
from infra.stage import Row, RowStage, Work, Workspace, each

_TRIES = 4  # frames drawn before a dark one is taken


@dataclass(frozen=True)
class Excerpts(RowStage):
    """Draws from `seed` and the clip's id alone: the same clip always gives the same excerpts."""

    seed: int = 42
    min_subclip_s: float = 2.0
    max_subclip_s: float = 10.0
    min_brightness: float = 20.0  # mean grey level, 0-255, under which a frame is drawn again
    jpeg_quality: int = 90
    crf: int = 23

    name: ClassVar[str] = "excerpts"
    version: ClassVar[int] = 2
    needs: ClassVar[tuple[str, ...]] = ("clip_path", "clip_frames", "clip_width", "clip_height", "clip_fps")
    schema: ClassVar[pa.Schema] = pa.schema(
        [
            ("frame_path", pa.string()),
            ("frame_bytes", pa.int64()),
            ("frame_time_s", pa.float64()),  # times count from the clip's first frame
            ("subclip_path", pa.string()),
            ("subclip_bytes", pa.int64()),
            ("subclip_start_s", pa.float64()),
            ("subclip_end_s", pa.float64()),
        ]
    )
    unit_rows: ClassVar[int] = 16

    def open(self, workspace: Workspace) -> Work:
        return each(partial(excerpt_row, self, workspace))


def excerpt_row(settings: Excerpts, workspace: Workspace, row: Row) -> Iterable[Row]:
    """The excerpts of one clip; raises RowError `too_few_frames` for a clip that has no proper part."""
    frames, fps = row["clip_frames"], row["clip_fps"]
    if frames < 2:
        raise RowError("too_few_frames", f"a clip of {frames} frame has no part that is not the whole")
    path = workspace.path(row["clip_path"])
    drawn = Random(f"{settings.seed} {row['key']}")
    frame_time_s, jpeg = _frame(settings, path, [drawn.randrange(frames) / fps for _ in range(_TRIES)])
    first, last = subclip_frames(settings, frames, fps, drawn)
    short_side = min(row["clip_width"], row["clip_height"])
    off = 0.25 / fps  # bounds between frames: rounding can neither lose nor add one
    part = encode_clip(path, max(0.0, first / fps - off), last / fps - off, short_side, settings.crf)
    if part.frames != last - first:
        raise RowError("encode_failed", f"the sub-clip holds {part.frames} of {last - first} frames")
    yield {
        "key": row["key"],
        "parent": row["key"],
        "frame_path": workspace.save(f"{row['key']}.jpg", jpeg),
        "frame_bytes": len(jpeg),
        "frame_time_s": round(frame_time_s, 3),
        "subclip_path": workspace.save(f"{row['key']}_part.mp4", part.data),
        "subclip_bytes": len(part.data),
        "subclip_start_s": round(first / fps, 3),
        "subclip_end_s": round(last / fps, 3),
    }


def subclip_frames(settings: Excerpts, frames: int, fps: float, drawn: Random) -> tuple[int, int]:
    """First frame of the sub-clip and the one after its last, drawn; pure but for the generator.

    Its length is drawn between `min_subclip_s` and what the settings and half of the clip allow; a
    clip too short for that gives about half of itself. It is never empty and never the whole.
    """
    half_s = frames / fps / 2
    most_s = min(settings.max_subclip_s, half_s)
    length_s = half_s if half_s <= settings.min_subclip_s else drawn.uniform(settings.min_subclip_s, most_s)
    length = min(frames - 1, max(1, round(length_s * fps)))
    first = drawn.randrange(frames - length + 1)
    return first, first + length


def _frame(settings: Excerpts, path: str, times_s: list[float]) -> tuple[float, bytes]:
    """The first drawn frame that is not dark, else the brightest of them: its time and its JPEG."""
    brightest, level, at_s = None, -1.0, 0.0
    for time_s in times_s:
        pictures, times = sample_frames(path, 1, time_s, time_s + 1e-3)
        if pictures[0].mean() > level:
            brightest, level, at_s = pictures[0], float(pictures[0].mean()), float(times[0])
        if level >= settings.min_brightness:
            break
    assert brightest is not None  # at least one frame was drawn
    return at_s, encode_image(brightest, settings.jpeg_quality)
