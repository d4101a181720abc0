"""Stage `quality`: what kind of footage a clip is, and whether its pictures are of any use.

Integrity and temporal dynamics of V-SynFlow's first stage (arXiv 2510.27571, section 3.2), by the measures
that the scan took. The thresholds are conservative: what a person would keep must pass. The measures
themselves stay columns of the clip, kept or dropped, so that thresholds can be set by looking.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import ClassVar

import pyarrow as pa

from filters.footage import FILM, KINDS, Footage, footage_kind, why
from filters.footage import NEEDS as FOOTAGE_NEEDS
from infra.stage import Drop, Row, RowStage, Work, Workspace, each


@dataclass(frozen=True)
class Quality(RowStage):
    """Drops a clip with the first of these reasons that holds; `detail` tells scores and thresholds.

    damaged     the stretch could not be decoded whole
    too_small   the short side is under `min_short_side` pixels
    wrong_aspect  the picture is narrower than `min_aspect` or wider than `max_aspect`
    too_short, too_long  the clip lasts less than `min_duration_s` or more than `max_duration_s`
    black       at least `max_plain_share` of the pictures are black
    blown_out   at least that share are plain white
    slides, screen  it is this kind of footage, and `allow` does not name it
    static      nothing moves for `max_still_share` of the time, and no two samples ever differ by
                `min_change` grey levels on average: a slide show changes, a frozen picture does not
    frozen      one picture of a film is held for `max_freeze_share` of the time
    blurry      not even the hardest edges reach `min_sharpness`
    blocky      the borders of 8 x 8 blocks stand out by `max_blockiness`
    shaky       the camera changes its course by `max_shake` from sample to sample
    texted      text covers `max_text_share` of the picture
    letterboxed   less than `min_picture_share` of the picture lies inside black bars
    """

    allow: tuple[str, ...] = KINDS  # of footage
    footage: Footage = field(default_factory=Footage)
    min_short_side: int = 128  # pixels; small web videos (176 x 144) pass
    min_aspect: float = 0.25  # width over height
    max_aspect: float = 4.0
    min_duration_s: float = 1.0
    max_duration_s: float = 120.0
    max_plain_share: float = 0.8
    max_still_share: float = 0.9
    min_change: float = 1.0  # grey levels, mean over the picture
    max_freeze_share: float = 0.75
    min_sharpness: float = 10.0  # |Laplacian|, 0-255; a blur of 3 pixels at a short side of 256 leaves less
    max_blockiness: float = 2.0  # the step at a block's border over those beside it; a dithered GIF has 1.5
    max_shake: float = 0.12  # short sides of the picture, a quarter second apart; a dash-cam has 0.01
    max_text_share: float = 0.3  # a dense page has 0.1
    min_picture_share: float = 0.35  # a slide in a black frame has 0.56
    score_only: bool = False  # keep every clip and only tell what it would have been dropped for

    name: ClassVar[str] = "quality"
    version: ClassVar[int] = 2
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
        "freeze_share",
        "sharpness",
        "blockiness",
        "shake",
        "text_share",
        "picture_share",
        *FOOTAGE_NEEDS,
    )
    schema: ClassVar[pa.Schema] = pa.schema(
        [
            ("footage", pa.string()),  # film, slides or screen
            ("quality_faults", pa.list_(pa.string())),  # in spite of which the clip was kept
        ]
    )
    unit_rows: ClassVar[int] = 1024

    def __post_init__(self) -> None:
        if unknown := set(self.allow) - set(KINDS):
            raise ValueError(f"quality.allow: no kind of footage is called {sorted(unknown)}; there are {KINDS}")

    def open(self, workspace: Workspace) -> Work:
        return each(partial(judge, self))


def judge(settings: Quality, row: Row) -> Iterable[Row] | Drop:
    """The clip with its kind of footage and the faults it was kept in spite of, or Drop with the first fault."""
    kind = footage_kind(settings.footage, row)
    found = faults(settings, row, kind)
    if found and not settings.score_only:
        reason, detail = next(iter(found.items()))
        return Drop(row["key"], reason, detail)
    return [{"key": row["key"], "parent": row["key"], "footage": kind, "quality_faults": list(found)}]


def faults(settings: Quality, row: Row, kind: str) -> dict[str, Row]:
    """Every reason that holds for a clip of this kind, with the scores and thresholds behind it; pure."""
    scores = row | {
        "short_side": min(row["width"], row["height"]),
        "aspect": round(row["width"] / row["height"], 4),
        "duration_s": round(row["end_s"] - row["start_s"], 3),
    }
    return _broken(settings, scores) | _footage(settings, scores, kind) | _unpleasant(settings, scores)


def _broken(settings: Quality, scores: Row) -> dict[str, Row]:
    """Faults that leave nothing to see."""
    decoding = ("declared_frames", "decoded_frames", "lost_share", "start_s", "end_s")
    return {
        **({"damaged": {name: scores[name] for name in decoding}} if scores["damaged"] else {}),
        **_under("too_small", "short_side", settings, "min_short_side", scores),
        **_under("wrong_aspect", "aspect", settings, "min_aspect", scores),
        **_over("wrong_aspect", "aspect", settings, "max_aspect", scores),
        **_under("too_short", "duration_s", settings, "min_duration_s", scores),
        **_over("too_long", "duration_s", settings, "max_duration_s", scores),
        **_over("black", "black_share", settings, "max_plain_share", scores),
        **_over("blown_out", "blown_out_share", settings, "max_plain_share", scores),
    }


def _footage(settings: Quality, scores: Row, kind: str) -> dict[str, Row]:
    """Faults of kind and of movement."""
    found: dict[str, Row] = {}
    if kind not in settings.allow:
        found[kind] = why(settings.footage, scores) | {"allow": list(settings.allow)}
    still = _over("static", "still_share", settings, "max_still_share", scores)
    changeless = _under("static", "motion_peak", settings, "min_change", scores)
    if still and changeless:
        found["static"] = still["static"] | changeless["static"]
    frozen = _over("frozen", "freeze_share", settings, "max_freeze_share", scores)
    return found | (frozen if kind == FILM else {})


def _unpleasant(settings: Quality, scores: Row) -> dict[str, Row]:
    """Faults that leave something to see, but nothing that one would want to."""
    return {
        **_under("blurry", "sharpness", settings, "min_sharpness", scores),
        **_over("blocky", "blockiness", settings, "max_blockiness", scores),
        **_over("shaky", "shake", settings, "max_shake", scores),
        **_over("texted", "text_share", settings, "max_text_share", scores),
        **_under("letterboxed", "picture_share", settings, "min_picture_share", scores),
    }


def _under(reason: str, score: str, settings: Quality, limit: str, scores: Row) -> dict[str, Row]:
    """The reason with its detail when the score is under the setting `limit`."""
    least = getattr(settings, limit)
    return {reason: {score: scores[score], limit: least}} if scores[score] < least else {}


def _over(reason: str, score: str, settings: Quality, limit: str, scores: Row) -> dict[str, Row]:
    """The reason with its detail when the score has reached the setting `limit`."""
    most = getattr(settings, limit)
    return {reason: {score: scores[score], limit: most}} if scores[score] >= most else {}
