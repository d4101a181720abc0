"""A lake that grows, and one of whose videos is removed for good: what each run and release makes of it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from infra.sample_world.write import write_world
from infra.tables import SOURCES
from shards.manifest import Manifest, load_manifest, verify
from shards.reader import read_pairs

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("shared_prefect")]

SETTINGS = ("--set", "layout.shard_bytes=100000", "--set", "layout.val_share=0.3", "--set", "run.workers=1")
EVERY_PAIR = ("--set", "pairs.target_pairs=1000")  # more than there are: otherwise fewer clips have smaller quotas


class Lake:
    """Commands on one lake."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "lake"
        self.videos = folder / "videos"
        self.environment = {**os.environ, "PREFECT_HOME": str(folder / "prefect")}

    def uvr(self, *arguments: str) -> str:
        command = [sys.executable, "-m", "flows.cli", *arguments]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def run(self, videos: int) -> Manifest:
        """The release made of so many videos of the sample world; everything of it is read again."""
        listing = write_world(str(self.videos), videos, seed=3)
        return verify(
            self.uvr("run", "--videos", listing, "--lake", str(self.root), *SETTINGS, *EVERY_PAIR).splitlines()[-1]
        )

    def tell(self, *arguments: str) -> list[dict[str, object]]:
        told: list[dict[str, object]] = json.loads(self.uvr(*arguments, "--lake", str(self.root), "--json"))
        return told

    def texts(self) -> dict[str, str]:
        """What the tables of all stages but the listing say, by file."""
        parts = (path for path in self.root.glob("stages/*/parts/*.parquet") if f"/{SOURCES}/" not in str(path))
        return {str(path): str(pq.read_table(path).to_pylist()) for path in parts}


def test_a_lake_grows_and_a_video_is_removed(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    first, second = lake.run(6), lake.run(8)
    assert (first.parents, second.parents) == ((), (first.release_id,))
    stayed = {shard.name for shard in second.shards if shard.home}
    assert stayed == {shard.name for shard in first.shards}, "of earlier videos no pair is written again"

    index = pq.read_table(second.index()).to_pylist()
    video = next(row["video_id"] for row in index if row["shard"] in stayed and row["split"] == "train")
    source = next(row["source"] for row in index if row["video_id"] == video)
    clips = {row["clip_id"] for row in index if row["video_id"] == video}
    told = lake.uvr("release", "remove", f"{second.folder}/manifest.json", "--video", video, "--reason", "asked for")
    assert "what is not deleted:" in told
    third = verify(told.splitlines()[-1])
    assert [stone.video_id for stone in third.tombstones] == [video]
    assert set(third.parents) == {first.release_id, second.release_id}
    assert not [text for text in lake.texts().values() if video in text or any(clip in text for clip in clips)]
    assert not [path for path in lake.root.rglob("*") if path.name.split(".")[0].split("_")[0] in clips]
    tars = [str(path) for path in lake.root.rglob("*.tar")]
    assert video not in {pair.video_id for pair in read_pairs(tars)}

    fourth = lake.run(8)
    assert fourth.tombstones == third.tombstones
    assert {(s.name, s.sha256) for s in fourth.shards} == {(s.name, s.sha256) for s in third.shards}
    assert all(shard.home for shard in fourth.shards)
    [dropped] = lake.tell("dropped", "--stage", "probe")
    assert (dropped["reason"], dropped["detail"]) == ("removed", {"video_id": video, "why": "asked for"})
    assert Path(str(dropped["source"])).name == source
    story = lake.tell("explain", video)
    assert [(row["stage"], row["status"]) for row in story][-2:] == [("probe", "dropped"), ("lake", "removed")]
    status = json.loads(lake.uvr("status", "--lake", str(lake.root), "--json"))
    assert not [stage for stage in status["stages"] if stage["pending"] or stage["quarantined"]]
    assert lake.run(8) == fourth
    assert load_manifest(f"{fourth.folder}/manifest.json") == fourth
