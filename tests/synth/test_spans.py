"""From transitions to clips: properties of the split, and the measures of a clip."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sample_clips import scanned, shot, write_video

from infra.stage import Drop
from synth.spans import Span, Spans, clip_id, clip_measures, clip_spans, left_out, span_rows, still_share
from synth.transitions import merged

END_S = 400.0
seconds = st.floats(0, END_S, allow_nan=False).map(lambda x: round(x, 3))
intervals = st.lists(st.tuples(seconds, seconds).map(lambda pair: (min(pair), max(pair))), max_size=3)
cuts = st.lists(seconds.map(lambda x: (x, x)), max_size=12)
settings = st.builds(
    lambda short, factor, margin: Spans(min_s=short, max_s=short * factor, margin_s=margin),
    st.sampled_from([0.5, 1.0, 2.0]),
    st.sampled_from([2, 3.5, 15]),
    st.sampled_from([0.0, 0.05, 0.2]),
)


@given(settings, st.floats(0.1, END_S), cuts, intervals, intervals)
def test_clips_keep_every_promise(
    chosen: Spans,
    end_s: float,
    hard: list[tuple[float, float]],
    soft: list[tuple[float, float]],
    damaged: list[tuple[float, float]],
) -> None:
    transitions, damaged = merged(hard + soft), [d for d in merged(damaged) if d[0] < d[1]]
    spans = clip_spans(chosen, end_s, transitions, damaged)
    assert spans == clip_spans(chosen, end_s, transitions, damaged)
    assert spans == sorted(spans)
    whole = [(span.start_ms / 1000, span.end_ms / 1000) for span in spans if not span.damaged]
    for (_, before), (after, _) in pairwise(whole):
        assert before <= after
    for start, end in whole:
        assert 0 <= start < end <= end_s + 1e-9
        # an even split may round by a millisecond
        assert chosen.min_s - 0.002 <= end - start <= chosen.max_s + 0.002
        for low, high in [*transitions, *damaged]:
            assert high + chosen.margin_s <= start + 1e-9 or end <= low - chosen.margin_s + 1e-9
    assert len([span for span in spans if span.damaged]) == len(damaged)


@given(settings, st.floats(0.1, END_S), cuts)
def test_what_is_left_out_was_too_short_or_a_margin(
    chosen: Spans, end_s: float, hard: list[tuple[float, float]]
) -> None:
    spans = clip_spans(chosen, end_s, merged(hard), [])
    edges = [0.0, *(cut for cut, _ in merged(hard) if cut < end_s), end_s]
    shots = [b - a for a, b in pairwise(edges)]
    short = sum(length for length in shots if length < chosen.min_s)
    clear = sum(length for length in shots if length >= chosen.min_s + 2 * chosen.margin_s + 0.002)
    kept = end_s - left_out(end_s, spans)
    assert kept <= end_s - short + 0.002
    assert kept >= clear - 2 * chosen.margin_s * len(shots) - 0.01 * len(shots)


def test_a_long_shot_is_split_evenly() -> None:
    lengths = [span.end_ms - span.start_ms for span in clip_spans(Spans(max_s=30), 100.0, [], [])]
    assert lengths == [25_000] * 4
    with pytest.raises(ValueError, match="min_s"):
        Spans(min_s=20, max_s=30)


def test_clip_ids_tell_content_and_span_apart() -> None:
    ids = {clip_id(video, span) for video in ("a", "b") for span in (Span(0, 1000), Span(0, 2000), Span(1000, 2000))}
    assert len(ids) == 6
    assert clip_id("a", Span(0, 1000)) == clip_id("a", Span(0, 1000, damaged=True))
    assert all(len(name) == 16 and int(name, 16) >= 0 for name in ids)


def test_stillness_is_told_by_time_not_by_samples() -> None:
    # ten samples of motion in half a second, then one picture held for the rest of ten seconds
    times = np.array([*np.arange(0, 0.5, 0.05), 9.0])
    moved = np.ones(len(times) - 1, dtype=bool)
    assert still_share(times, moved, 0.0, 10.0) == pytest.approx(0.85, abs=0.05)
    assert still_share(np.array([0.0]), np.array([], dtype=bool), 0.0, 5.0) == 1.0
    steady = np.arange(0, 5, 0.25)
    assert still_share(steady, np.arange(19) % 2 == 0, 0.0, 5.0) == pytest.approx(9 / 19, abs=0.01)


def test_a_clip_is_measured_by_its_own_samples() -> None:
    times = np.arange(0, 4, 0.25)
    first = times < 2
    samples = {
        "times": times,
        "brightness": np.where(first, 0.0, 250.0),
        "contrast": np.zeros(16),
        "sharpness": np.where(first, 1.0, 5.0),
        "motion": np.where(times == 2, 99.0, 0.0),  # the cut itself belongs to no clip
    }
    dark = clip_measures(Spans(), 0.0, 2.0, samples)
    light = clip_measures(Spans(), 2.0, 4.0, samples)
    assert (dark["black_share"], dark["blown_out_share"], dark["sharpness"]) == (1.0, 0.0, 1.0)
    assert (light["black_share"], light["blown_out_share"], light["sharpness"]) == (0.0, 1.0, 5.0)
    assert (dark["motion_peak"], light["motion_peak"], light["still_share"]) == (0.0, 0.0, 1.0)


def test_a_video_without_a_long_enough_shot_is_dropped_and_says_so(tmp_path: Path) -> None:
    row = scanned(write_video(tmp_path / "short.mp4", shot(1, 40) + shot(2, 40)))
    answer = span_rows(Spans(), row)
    assert isinstance(answer, Drop)
    assert (answer.key, answer.reason) == ("short.mp4", "too_short")
    assert answer.detail == {"end_s": pytest.approx(3.2), "shots": 2, "min_s": 2.0}
    (first, second) = span_rows(Spans(min_s=1.0), row)
    assert (first["start_s"], first["end_s"]) == (0.0, pytest.approx(1.55))
    assert (second["start_s"], second["end_s"]) == (pytest.approx(1.65), pytest.approx(3.2))
    assert first["left_out_s"] == second["left_out_s"] == pytest.approx(0.1, abs=0.002)
