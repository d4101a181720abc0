"""Both sides of a pair: of the right kind, different texts for different tasks, and about as large as its sample."""

from collections import Counter
from math import sqrt
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from toy_release import tar_bytes

from flows.recipe import read_recipe
from infra.errors import UsageError
from infra.stage import Row
from infra.store import Store
from infra.workspace import LakeWorkspace
from shards.reader import SIDES
from shards.records import CAPTION_KINDS, HARD_NEGATIVE_TASKS, TASKS
from shards.writer import FACTS, MEDIA, sample
from synth.sides import SIZES, Sides, pair_row, sides

WEIGHTS = st.fixed_dictionaries({kind: st.floats(0.01, 100) for kind in CAPTION_KINDS})


def drawn(task: str, clip: str = "c1") -> Row:
    return {
        "key": f"{task}-{clip}",
        "task": task,
        "clip_id": clip,
        "clip_path": f"stages/cut-1/media/c0/{clip}.mp4",
        "frame_path": f"stages/excerpts-1/media/c0/{clip}.jpg",
        "subclip_path": f"stages/excerpts-1/media/c0/{clip}-part.mp4",
        "clip_bytes": 5000,
        "frame_bytes": 700,
        "subclip_bytes": 2048,
        "captions": [f"{clip} {kind}" for kind in CAPTION_KINDS],
        "frame_captions": [f"{clip} frame caption {i}" for i in range(5)],
        "image_query": f"{clip} image query",
        "video_query": f"{clip} video query",
    }


@pytest.mark.parametrize("task", TASKS)
def test_sides_have_what_their_task_needs(task: str) -> None:
    parts = sides(Sides(), drawn(task))
    for role, needed in zip(("query", "target"), SIDES[task], strict=True):
        present = {part for part in ("text", "image", "video") if parts[f"{role}_{part}"] is not None}
        assert present == set(needed)


def kinds(weights: dict[str, float], clips: int = 1000, task: str = "T2V", role: str = "query") -> list[str]:
    """The kind of the caption that a side of every one of some clips is."""
    stage = Sides(caption_weights=weights)
    parts = [sides(stage, drawn(task, f"c{number}")) for number in range(clips)]
    return [str(part[f"{role}_text"]).split()[-1] for part in parts]


@given(WEIGHTS)
@settings(derandomize=True, max_examples=12)
def test_kinds_of_t2v_queries_come_in_the_shares_of_their_weights(weights: dict[str, float]) -> None:
    """Within five standard errors, of clips and by a seed that never change."""
    clips, whole = 1000, sum(weights.values())
    found = Counter(kinds(weights, clips))
    for kind, weight in weights.items():
        share = weight / whole
        assert abs(found[kind] - clips * share) <= 5 * sqrt(clips * share * (1 - share)) + 1


@given(WEIGHTS, st.sampled_from(CAPTION_KINDS), st.floats(1, 10))
@settings(max_examples=25)
def test_a_weight_that_rises_wins_clips_over_and_moves_no_other(
    weights: dict[str, float], kind: str, factor: float
) -> None:
    before, after = kinds(weights, 200), kinds(weights | {kind: weights[kind] * factor}, 200)
    assert {now for then, now in zip(before, after, strict=True) if then != now} <= {kind}


@given(st.dictionaries(st.sampled_from(CAPTION_KINDS), st.sampled_from([0.0, 0.5, 3.0])))
@settings(max_examples=25)
def test_t2t_uses_two_captions_that_t2v_did_not(weights: dict[str, float]) -> None:
    assume(len(weights) < len(CAPTION_KINDS) or any(weights.values()))
    videos, queries, targets = (kinds(weights, 50, *side) for side in (("T2V",), ("T2T", "query"), ("T2T", "target")))
    assert all(len({*three}) == 3 for three in zip(videos, queries, targets, strict=True))
    assert not {kind for kind, weight in weights.items() if not weight} & {*videos}


def test_kinds_without_a_weight_have_weight_one() -> None:
    assert Sides().all_caption_weights == dict.fromkeys(CAPTION_KINDS, 1)
    stage = read_recipe(None, ["sides.caption_weights={detailed = 2, partial = 0}"]).sides
    assert stage.all_caption_weights == {"summary": 1, "detailed": 2, "abstract": 1, "keywords": 1, "partial": 0}
    assert kinds({}) == kinds(dict.fromkeys(CAPTION_KINDS, 1.0)) == kinds(dict.fromkeys(CAPTION_KINDS, 4.0))


def test_what_t2t_takes_is_drawn_alike_whatever_the_weights() -> None:
    """Of four kinds that T2V leaves, one query in four, within five standard errors; where T2V's stays, T2T's does."""
    clips = 1000
    found = Counter(kinds({"summary": 1.0} | dict.fromkeys(CAPTION_KINDS[1:], 0.0), clips, "T2T"))
    assert found.keys() == {*CAPTION_KINDS[1:]}
    assert all(abs(count - clips / 4) <= 5 * sqrt(clips * 3 / 16) for count in found.values())
    before, after = ([*zip(kinds(some), kinds(some, task="T2T"), strict=True)] for some in ({}, {"detailed": 9.0}))
    assert all(then == now for then, now in zip(before, after, strict=True) if then[0] == now[0])


@pytest.mark.parametrize(
    ("weights", "told"),
    [
        ({"long": 1.0}, r"sides\.caption_weights names kinds \['long'\]; there are summary, detailed,"),
        ({"detailed": -1.0}, "every weight of sides.caption_weights is a number from 0 up"),
        ({"detailed": 1e999}, "every weight of sides.caption_weights is a number from 0 up"),
        ({"detailed": float("nan")}, "every weight of sides.caption_weights is a number from 0 up"),
        (dict.fromkeys(CAPTION_KINDS, 0.0), "sides.caption_weights .* not all are 0"),
    ],
)
def test_weights_that_are_none_are_refused(weights: dict[str, float], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        Sides(caption_weights=weights)


def test_ids_derive_from_what_a_pair_is_made_of() -> None:
    pair = pair_row(Sides(), drawn("T2V"))
    moved = drawn("T2V") | {"clip_path": "stages/cut-2/media/c0/c1.mp4"}
    assert pair_row(Sides(), moved)["pair_id"] == pair["pair_id"]
    reworded = drawn("T2V") | {"captions": [f"another {i}" for i in range(5)]}
    assert pair_row(Sides(), reworded)["pair_id"] != pair["pair_id"]
    assert pair_row(Sides(), drawn("I2V"))["target_id"] == pair["target_id"], "one is a positive of the other"


@pytest.mark.parametrize("task", HARD_NEGATIVE_TASKS)
def test_the_target_of_a_query_that_gets_hard_negatives_is_the_clip(task: str) -> None:
    """Its vector is the clip's, which is known before there are pairs."""
    row = drawn(task)
    parts = sides(Sides(), row)
    assert (parts["target_text"], parts["target_image"], parts["target_video"]) == (None, None, row["clip_path"])


@pytest.mark.parametrize("task", TASKS)
def test_its_size_is_about_that_of_its_sample(task: str, tmp_path: Path) -> None:
    row, store = drawn(task), Store(str(tmp_path))
    for path, size in SIZES.items():
        store.write(row[path], bytes(row[size]))
    pair = pair_row(Sides(), row)
    facts = dict.fromkeys((*FACTS, *MEDIA)) | {"video_id": "v" * 32, "start_s": 1.5, "end_s": 7.25} | row | pair
    tar = tar_bytes([sample(facts, LakeWorkspace(str(tmp_path), "stages/pack"))])
    end_of_tar = 10240  # a whole number of records of so many bytes, zeros at the end
    assert 0 <= len(tar) - pair["sample_bytes"] <= end_of_tar
