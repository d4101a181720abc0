"""Both sides of a pair: of the right kind, different texts for different tasks, and about as large as its sample."""

from pathlib import Path

import pytest
from toy_release import tar_bytes

from infra.stage import Row
from infra.store import Store
from infra.workspace import LakeWorkspace
from shards.reader import SIDES
from shards.records import HARD_NEGATIVE_TASKS, TASKS
from shards.writer import FACTS, MEDIA, sample
from synth.sides import SIZES, pair_row, sides


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
        "captions": [f"{clip} caption {i}" for i in range(5)],
        "frame_captions": [f"{clip} frame caption {i}" for i in range(5)],
        "image_query": f"{clip} image query",
        "video_query": f"{clip} video query",
    }


@pytest.mark.parametrize("task", TASKS)
def test_sides_have_what_their_task_needs(task: str) -> None:
    parts = sides(drawn(task), 42)
    for role, needed in zip(("query", "target"), SIDES[task], strict=True):
        present = {part for part in ("text", "image", "video") if parts[f"{role}_{part}"] is not None}
        assert present == set(needed)


def test_t2t_uses_captions_that_t2v_did_not() -> None:
    for number in range(50):
        text, video = (sides(drawn(task, f"c{number}"), 42) for task in ("T2T", "T2V"))
        assert len({text["query_text"], text["target_text"], video["query_text"]}) == 3


def test_ids_derive_from_what_a_pair_is_made_of() -> None:
    pair = pair_row(drawn("T2V"), 42)
    moved = drawn("T2V") | {"clip_path": "stages/cut-2/media/c0/c1.mp4"}
    assert pair_row(moved, 42)["pair_id"] == pair["pair_id"]
    reworded = drawn("T2V") | {"captions": [f"another {i}" for i in range(5)]}
    assert pair_row(reworded, 42)["pair_id"] != pair["pair_id"]
    assert pair_row(drawn("I2V"), 42)["target_id"] == pair["target_id"], "one is a positive of the other"


@pytest.mark.parametrize("task", HARD_NEGATIVE_TASKS)
def test_the_target_of_a_query_that_gets_hard_negatives_is_the_clip(task: str) -> None:
    """Its vector is the clip's, which is known before there are pairs."""
    row = drawn(task)
    parts = sides(row, 42)
    assert (parts["target_text"], parts["target_image"], parts["target_video"]) == (None, None, row["clip_path"])


@pytest.mark.parametrize("task", TASKS)
def test_its_size_is_about_that_of_its_sample(task: str, tmp_path: Path) -> None:
    row, store = drawn(task), Store(str(tmp_path))
    for path, size in SIZES.items():
        store.write(row[path], bytes(row[size]))
    pair = pair_row(row, 42)
    facts = dict.fromkeys((*FACTS, *MEDIA)) | {"video_id": "v" * 32, "start_s": 1.5, "end_s": 7.25} | row | pair
    tar = tar_bytes([sample(facts, LakeWorkspace(str(tmp_path), "stages/pack"))])
    end_of_tar = 10240  # a whole number of records of so many bytes, zeros at the end
    assert 0 <= len(tar) - pair["sample_bytes"] <= end_of_tar
