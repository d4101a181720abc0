"""What came and went between two releases: pairs, source videos, shards."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from toy_release import toy_sample, write_release

from infra.errors import ReleaseCorrupt, UsageError
from shards.diff import compare
from shards.manifest import Manifest, load_manifest


def text_pair(number: int, split: str = "train", task: str = "T2T") -> dict[str, Any]:
    return toy_sample(task, split, number, query_text=f"query {number}", target_text=f"target {number}")


def write(folder: Path, samples: list[dict[str, Any]], release_id: str) -> Manifest:
    folder.mkdir()
    return load_manifest(write_release(folder, samples, shard_pairs=4, release_id=release_id))


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> tuple[Manifest, Manifest]:
    """0..9 before; then 0 is gone, 8 moved to val, 10..12 are new, and one pair of another task."""
    root = tmp_path_factory.mktemp("two")
    before = [text_pair(i) for i in range(10)]
    after = [text_pair(i, "val" if i == 8 else "train") for i in range(1, 13)]
    return write(root / "a", before, "aaa"), write(root / "b", [*after, text_pair(3, "val", "T2V")], "bbb")


def test_pairs_and_videos_that_came_went_moved_and_stayed(two: tuple[Manifest, Manifest]) -> None:
    found = compare(*two)
    assert (found.before, found.after) == ("aaa", "bbb")
    assert found.pairs == [
        {"task": "T2T", "split": "train", "came": 3, "went": 1, "moved": 0, "stayed": 8},
        {"task": "T2T", "split": "val", "came": 0, "went": 0, "moved": 1, "stayed": 0},
        {"task": "T2V", "split": "val", "came": 1, "went": 0, "moved": 0, "stayed": 0},
    ]
    assert [(video["source"], video["pairs"]) for video in found.videos_came] == [
        (f"{i:032x}.mp4", 1) for i in (10, 11, 12)
    ]
    assert [video["video_id"] for video in found.videos_went] == [f"{0:032x}"]


def test_every_pair_of_both_is_counted_once(two: tuple[Manifest, Manifest]) -> None:
    before, after = two
    found = compare(before, after)
    stayed = sum(row["stayed"] + row["moved"] for row in found.pairs)
    assert stayed + sum(row["came"] for row in found.pairs) == sum(shard.samples for shard in after.shards)
    assert stayed + sum(row["went"] for row in found.pairs) == sum(shard.samples for shard in before.shards)


def test_shards_are_told_by_what_they_hold(tmp_path: Path) -> None:
    before = write(tmp_path / "a", [text_pair(i) for i in range(8)], "aaa")
    after = write(tmp_path / "b", [text_pair(i) for i in range(10)], "bbb")
    found = compare(before, after)
    assert (found.shards_stayed, len(found.shards_went)) == (2, 0)
    assert [shard.name for shard in found.shards_came] == ["train-T2T-000002.tar"]
    assert found.bytes_came == found.shards_came[0].bytes
    back = compare(after, before)
    assert (back.shards_came, back.shards_went) == (found.shards_went, found.shards_came)


def test_a_release_does_not_differ_from_itself(two: tuple[Manifest, Manifest]) -> None:
    found = compare(two[0], two[0])
    assert [(row["came"], row["went"], row["moved"]) for row in found.pairs] == [(0, 0, 0)]
    assert (found.videos_came, found.videos_went, found.bytes_came) == ([], [], 0)


def test_the_command_prints_it_for_people_and_programs(two: tuple[Manifest, Manifest]) -> None:
    def uvr(*more: str) -> str:
        paths = [f"{release.folder}/manifest.json" for release in two]
        command = [sys.executable, "-m", "flows.cli", "release", "diff", *paths, *more]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    told = uvr()
    assert "3 source videos came:" in told
    assert f"{0:032x}.mp4" in told
    document = json.loads(uvr("--json"))
    assert document["bytes_came"] == sum(shard["bytes"] for shard in document["shards_came"])
    assert [row["came"] for row in document["pairs"]] == [3, 0, 1]


def test_a_release_without_an_index_is_named(two: tuple[Manifest, Manifest], tmp_path: Path) -> None:
    old = write(tmp_path / "old", [text_pair(1)], "old")
    path = tmp_path / "old" / "manifest.json"
    path.write_text(json.dumps({k: v for k, v in json.loads(path.read_text()).items() if k != "files"}))
    with pytest.raises(UsageError, match=r"release old has no index\.parquet"):
        compare(load_manifest(str(path)), two[0])
    (tmp_path / "old" / "index.parquet").unlink()
    with pytest.raises(ReleaseCorrupt, match=r"index\.parquet is missing"):
        compare(old, two[0])
