"""Stage `quality`: turns away clips whose pictures are no use, by the measures that the scan took.

Integrity and temporal dynamics of V-SynFlow's first stage (arXiv 2510.27571, section 3.2). The
thresholds are conservative: what a person would keep must pass.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import pyarrow as pa

from infra.stage import Drop, Row, RowStage, Work, Workspace, each


@dataclass(frozen=True)
class Quality(RowStage):
    """Drops a clip with the first of these reasons that holds; `detail` tells scores and threshold.

    damaged     the stretch could not be decoded whole
    too_small   the short side is under `min_short_side` pixels
    black       at least `max_plain_share` of the pictures are black
    blown_out   at least that share are plain white
    static      nothing moves for `max_still_share` of the time, and no two samples ever differ by
                `min_change` grey levels on average: a slide show changes, a frozen picture does not
    blurry      not even the hardest edges reach `min_sharpness`
    """

    min_short_side: int = 128  # pixels; small web videos (176 x 144) pass
    max_plain_share: float = 0.8
    max_still_share: float = 0.9
    min_change: float = 1.0  # grey levels, mean over the picture
    min_sharpness: float = 10.0  # |Laplacian|, 0-255; a blur of 3 pixels at a short side of 256 leaves less
    score_only: bool = False  # keep every clip and only tell what it would have been dropped for

    name: ClassVar[str] = "quality"
    version: ClassVar[int] = 1
    needs: ClassVar[tuple[str, ...]] = (
        "width",
        "height",
        "declared_frames",
        "decoded_frames",
        "lost_share",
        "start_s",
        "end_s",
        "damaged",
        "black_share",
        "blown_out_share",
        "still_share",
        "motion_peak",
        "sharpness",
    )
    schema: ClassVar[pa.Schema] = pa.schema([("quality_faults", pa.list_(pa.string()))])
    unit_rows: ClassVar[int] = 1024

    def open(self, workspace: Workspace) -> Work:
        return each(partial(judge, self))


def judge(settings: Quality, row: Row) -> Iterable[Row] | Drop:
    """The clip with the faults it was kept in spite of, or Drop with the first fault."""
    found = faults(settings, row)
    if found and not settings.score_only:
        reason, detail = next(iter(found.items()))
        return Drop(row["key"], reason, detail)
    return [{"key": row["key"], "parent": row["key"], "quality_faults": list(found)}]


def faults(settings: Quality, row: Row) -> dict[str, Row]:
    """Every reason that holds for a clip, with the scores and thresholds behind it; pure."""
    plain, short_side = settings.max_plain_share, min(row["width"], row["height"])
    black, white = row["black_share"], row["blown_out_share"]
    still, change, sharp = row["still_share"], row["motion_peak"], row["sharpness"]
    decoding = {name: row[name] for name in ("declared_frames", "decoded_frames", "lost_share", "start_s", "end_s")}
    static = {
        "still_share": still,
        "max_still_share": settings.max_still_share,
        "motion_peak": change,
        "min_change": settings.min_change,
    }
    rules: dict[str, tuple[bool, Row]] = {
        "damaged": (row["damaged"], decoding),
        "too_small": (
            short_side < settings.min_short_side,
            {"short_side": short_side, "min_short_side": settings.min_short_side},
        ),
        "black": (black >= plain, {"black_share": black, "max_plain_share": plain}),
        "blown_out": (white >= plain, {"blown_out_share": white, "max_plain_share": plain}),
        "static": (still >= settings.max_still_share and change < settings.min_change, static),
        "blurry": (sharp < settings.min_sharpness, {"sharpness": sharp, "min_sharpness": settings.min_sharpness}),
    }
    return {reason: detail for reason, (holds, detail) in rules.items() if holds}
