"""`uvr run` with videos and lake in a bucket makes the same release as on a disk."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from s3_server import S3Server

from infra.sample_world.write import write_world
from infra.store import Store
from shards.manifest import Manifest, verify

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("shared_prefect")]

SETTINGS = ("--set", "layout.shard_bytes=100000", "--set", "layout.val_share=0.3", "--set", "run.workers=2")


def _uvr(home: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "flows.cli", *arguments],
        env={**os.environ, "PREFECT_HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _contents(release: Manifest) -> dict[str, bytes]:
    store = Store(release.folder)
    names = [file.name for file in (*release.shards, *release.files)]
    return {name: store.read(name) for name in (*names, "manifest.json")}


def test_a_run_in_a_bucket_makes_the_same_bytes(s3: S3Server, tmp_path: Path) -> None:
    bucket = s3.bucket()
    here, there = (write_world(f"{place}/videos", 4, seed=3) for place in (tmp_path, bucket))
    made = [
        _uvr(tmp_path / name, "run", "--videos", videos, "--lake", lake, *SETTINGS).splitlines()[-1]
        for name, videos, lake in (
            ("disk", here, str(tmp_path / "lake")),
            ("bucket", there, f"{bucket}/lake"),
            ("again", there, f"{bucket}/lake"),
        )
    ]
    assert made[1] == made[2]
    assert [request for request in s3.listings() if "media" in request] == []  # of which a lake may hold millions
    local, remote = (verify(manifest) for manifest in made[:2])
    assert made[1] == f"{bucket}/lake/releases/{local.release_id}/manifest.json"
    assert _contents(remote) == _contents(local)
    status = json.loads(_uvr(tmp_path / "bucket", "status", "--lake", f"{bucket}/lake", "--json"))
    assert not [stage for stage in status["stages"] if stage["pending"] or stage["quarantined"]]
    listed = json.loads(_uvr(tmp_path / "bucket", "release", "list", "--lake", f"{bucket}/lake", "--json"))
    assert [row["manifest"] for row in listed] == [made[1]]
