"""Stage `spans`: from transitions and samples to clips, each with the measures of its own samples."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import ClassVar, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from infra.media.fingerprint import clip_prints
from infra.stage import Drop, Row, RowStage, Work, Workspace, each
from synth.scan import MEASURES
from synth.steadiness import longest_hold_s, page_turns, shake
from synth.transitions import Interval, merged

_MEDIANS = {"picture": "picture_share", "blockiness": "blockiness", "flat": "flat_share", "text": "text_share"}
_HOLD_S = 1.0  # a change between two samples further apart took no longer: the old picture was held before it


class Span(NamedTuple):
    """A stretch of one video in milliseconds from its first frame, end exclusive."""

    start_ms: int
    end_ms: int
    damaged: bool = False


@dataclass(frozen=True)
class Spans(RowStage):
    """Cuts every shot into clips of `min_s` to `max_s`; longer shots are split evenly.

    Damaged stretches become clips of their own, marked, for the quality filter to turn away. What is left
    out (short shots, margins, transitions) is told in `left_out_s`; a video that yields no clip is
    dropped as `too_short`.
    """

    min_s: float = 2.0
    max_s: float = 30.0
    margin_s: float = 0.05  # kept off both sides of a transition
    still_motion: float = 0.2  # mean change in grey levels under which nothing moves
    black_level: float = 12.0  # brightness under which a plain picture is black
    white_level: float = 243.0  # and over which it is blown out
    plain_contrast: float = 6.0  # standard deviation under which a picture is plain
    held_change: float = 0.0005  # share of the pixels that may differ in a picture that is held
    turn_change: float = 0.02  # and that must differ when another takes its place: a page turned
    page_flat: float = 0.67  # a picture with this share without gradient
    page_text: float = 0.008  # and this share under lines of text is a page or a screen, not a scene

    name: ClassVar[str] = "spans"
    version: ClassVar[int] = 2
    needs: ClassVar[tuple[str, ...]] = (
        "video_id",
        "end_s",
        "cut_starts",
        "cut_ends",
        "damaged_starts",
        "damaged_ends",
        "prints",
        *MEASURES,
    )
    schema: ClassVar[pa.Schema] = pa.schema(
        [
            ("start_s", pa.float64()),
            ("end_s", pa.float64()),
            ("damaged", pa.bool_()),
            ("left_out_s", pa.float64()),  # of the whole video: in no clip
            ("brightness", pa.float64()),  # mean
            ("contrast", pa.float64()),  # mean
            ("black_share", pa.float64()),  # of the samples
            ("blown_out_share", pa.float64()),  # of the samples
            ("still_share", pa.float64()),  # of the time
            ("sharpness", pa.float64()),  # median
            ("motion", pa.float64()),  # mean
            ("motion_peak", pa.float64()),  # largest change between two samples
            ("held_share", pa.float64()),  # of the time: the picture was held
            ("freeze_share", pa.float64()),  # of the time: the longest hold
            ("page_share", pa.float64()),  # of the samples: flat ground with text
            ("page_turns", pa.int64()),  # of the whole video: a held picture gave way to another
            ("pages_held_share", pa.float64()),  # of the time in which the whole video shows pages: held
            ("shake", pa.float64()),  # median change of the camera's course, in short sides a sample
            ("picture_share", pa.float64()),  # inside black bars, median
            ("blockiness", pa.float64()),  # median
            ("flat_share", pa.float64()),  # of the picture, median
            ("text_share", pa.float64()),  # of the picture, median
            ("prints", pa.binary()),  # the prints that show nothing but the clip: infra.media.fingerprint
        ]
    )
    unit_rows: ClassVar[int] = 256

    def __post_init__(self) -> None:
        if not 0 < 2 * self.min_s <= self.max_s or self.margin_s < 0:
            raise ValueError("spans: 0 < 2 * min_s <= max_s and margin_s >= 0 are needed, or an even split falls short")

    def open(self, workspace: Workspace) -> Work:
        return each(partial(span_rows, self))


def span_rows(settings: Spans, row: Row) -> Iterable[Row] | Drop:
    """The clips of one scanned video, or Drop `too_short` when there is none."""
    transitions = list(zip(row["cut_starts"], row["cut_ends"], strict=True))
    damaged = list(zip(row["damaged_starts"], row["damaged_ends"], strict=True))
    spans = clip_spans(settings, row["end_s"], transitions, damaged)
    left_out_s = left_out(row["end_s"], spans)
    if not spans:
        detail = {"end_s": row["end_s"], "shots": len(transitions) + 1, "min_s": settings.min_s}
        return Drop(row["key"], "too_short", detail)
    samples = {name: np.asarray(row[name]) for name in MEASURES}
    whole = {"left_out_s": left_out_s, **_pages(settings, samples)}
    return [_clip_row(settings, row, span, whole, samples) for span in spans]


def _clip_row(settings: Spans, row: Row, span: Span, whole: Row, samples: dict[str, NDArray[np.generic]]) -> Row:
    start_s, end_s = span.start_ms / 1000, span.end_ms / 1000
    return {
        "key": clip_id(row["video_id"], span),
        "parent": row["key"],
        "start_s": start_s,
        "end_s": end_s,
        "damaged": span.damaged,
        **whole,
        **clip_measures(settings, start_s, end_s, samples),
        "prints": clip_prints(row["prints"], start_s, end_s),
    }


def clip_id(video_id: str, span: Span) -> str:
    """The identity of a clip: 16 hex digits that depend on the video's content and the span."""
    return hashlib.sha256(f"{video_id} {span.start_ms} {span.end_ms}".encode()).hexdigest()[:16]


def clip_spans(
    settings: Spans, end_s: float, transitions: Sequence[Interval], damaged: Sequence[Interval]
) -> list[Span]:
    """Clips of a video of `end_s` seconds, ascending and apart; pure.

    No clip touches a transition or a damaged stretch, nor comes nearer to one than the margin.
    """
    broken = merged(damaged)
    spans = [Span(_floor_ms(start), _ceil_ms(end), damaged=True) for start, end in broken]
    cursor_s, margin_s = 0.0, 0.0
    for start, end in [*merged([*transitions, *broken]), (end_s + settings.margin_s, np.inf)]:
        spans += _split(settings, cursor_s + margin_s, min(start - settings.margin_s, end_s))
        cursor_s, margin_s = end, settings.margin_s
    return sorted(spans)


def _split(settings: Spans, start_s: float, end_s: float) -> list[Span]:
    """A stretch without transitions as equally long clips, or none when it is too short."""
    start, end = _ceil_ms(start_s), _floor_ms(end_s)
    if end - start < settings.min_s * 1000:
        return []
    parts = int(np.ceil((end - start) / (settings.max_s * 1000)))
    edges = [start + (end - start) * i // parts for i in range(parts + 1)]
    return [Span(a, b) for a, b in pairwise(edges)]


def _ceil_ms(time_s: float) -> int:
    return int(np.ceil(round(time_s * 1000, 3)))  # 1.65 s is 1650 ms, whatever floats make of it


def _floor_ms(time_s: float) -> int:
    return int(round(time_s * 1000, 3))


def left_out(end_s: float, spans: Iterable[Span]) -> float:
    """Seconds of a video of `end_s` seconds that are in none of its clips."""
    inside = sum(min(span.end_ms / 1000, end_s) - min(span.start_ms / 1000, end_s) for span in spans)
    return round(max(0.0, end_s - inside), 3)


def clip_measures(settings: Spans, start_s: float, end_s: float, samples: dict[str, NDArray[np.generic]]) -> Row:
    """The measures of the clip [start_s, end_s) from the samples of its video.

    Without a sample of its own (a picture held for seconds) it has those of the last one before it.
    """
    times = samples["times"].astype(np.float64)
    low, high = (int(i) for i in np.searchsorted(times, (start_s, end_s)))
    if low == high:
        low = max(0, low - 1)
        high = min(low + 1, len(times))
    own = {name: column[low:high] for name, column in samples.items()}
    brightness, contrast = own["brightness"].astype(np.float64), own["contrast"].astype(np.float64)
    plain = contrast < settings.plain_contrast
    change = own["motion"].astype(np.float64)[1:]  # the first sample differs from one outside the clip
    return {
        "brightness": _mean(brightness),
        "contrast": _mean(contrast),
        "black_share": _mean(plain & (brightness < settings.black_level)),
        "blown_out_share": _mean(plain & (brightness > settings.white_level)),
        "still_share": still_share(times[low:high], change >= settings.still_motion, start_s, end_s),
        "sharpness": round(_median(own["sharpness"]), 2),
        "motion": _mean(change),
        "motion_peak": round(float(change.max(initial=0.0)), 4),
        **_steadiness(settings, start_s, end_s, own),
        "page_share": _mean(_is_page(settings, own)),
        **{column: _median(own[name]) for name, column in _MEDIANS.items()},
    }


def _changed(settings: Spans, samples: dict[str, NDArray[np.generic]]) -> NDArray[np.bool_]:
    """Whether anything differs between each sample and the next: a few pixels clearly, or all a little."""
    share, mean = (samples[name].astype(np.float64)[1:] for name in ("changed", "motion"))
    return np.asarray((share > settings.held_change) | (mean >= settings.still_motion))


def _is_page(settings: Spans, samples: dict[str, NDArray[np.generic]]) -> NDArray[np.bool_]:
    flat, text = samples["flat"].astype(np.float64), samples["text"].astype(np.float64)
    return np.asarray((flat >= settings.page_flat) & (text >= settings.page_text))


def _pages(settings: Spans, samples: dict[str, NDArray[np.generic]]) -> Row:
    """What a whole video says about its pages: how often they turn, and how long they stand still."""
    changed, page = _changed(settings, samples), _is_page(settings, samples)
    gaps = np.diff(samples["times"].astype(np.float64))[page[1:] & page[:-1]]
    held = ~changed[page[1:] & page[:-1]]
    return {
        "page_turns": page_turns(changed, samples["changed"].astype(np.float64)[1:], settings.turn_change),
        "pages_held_share": round(float(gaps[held].sum() / gaps.sum()), 4) if gaps.sum() else 0.0,
    }


def _steadiness(settings: Spans, start_s: float, end_s: float, own: dict[str, NDArray[np.generic]]) -> Row:
    times = own["times"].astype(np.float64)
    x, y = (own[name].astype(np.float64)[1:] for name in ("shift_x", "shift_y"))
    changed = _changed(settings, own)
    return {
        "held_share": still_share(times, changed, start_s, end_s),
        "freeze_share": round(longest_hold_s(times, changed, start_s, end_s) / (end_s - start_s), 4),
        "shake": round(shake(times, x, y), 4),
    }


def _median(values: NDArray[np.generic]) -> float:
    return round(float(np.median(values.astype(np.float64))), 4) if values.size else 0.0


def _mean(values: NDArray[np.generic]) -> float:
    return round(float(values.astype(np.float64).mean()), 4) if values.size else 0.0


def still_share(times: NDArray[np.float64], moved: NDArray[np.bool_], start_s: float, end_s: float) -> float:
    """The share of the time of [start_s, end_s) in which nothing moved.

    `moved[i]` says whether samples i and i + 1 differ. A picture that was held for long before the next
    one came (variable frame rate) was still for all but the last second.
    """
    gaps = np.diff(times)
    moving = float(np.minimum(gaps, _HOLD_S)[moved].sum())
    edges = max(0.0, times[0] - start_s - _HOLD_S) + max(0.0, end_s - times[-1] - _HOLD_S) if len(times) else 0.0
    still = float(gaps[~moved].sum() + np.maximum(gaps - _HOLD_S, 0.0)[moved].sum()) + edges
    return round(still / (still + moving), 4) if still + moving else 1.0
