"""Releases in a bucket: the same as on a disk, whole or not there."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from published_release import pair_row, release
from s3_server import S3Server

from flows import commands
from infra.errors import ReleaseCorrupt
from infra.store import Store
from shards.layout import Layout
from shards.manifest import load_manifest, manifests, published, verify
from shards.reader import read_pairs

LAYOUT = Layout(shard_bytes=8000, val_share=0.3)


@pytest.fixture
def lake(s3: S3Server) -> str:
    return f"{s3.bucket()}/lake"


def test_a_release_is_the_same_bytes_as_on_a_disk(lake: str, tmp_path: Path) -> None:
    rows = [pair_row(i) for i in range(30)]
    manifest, local = release(lake, rows, LAYOUT), release(tmp_path, rows, LAYOUT)
    opened = verify(manifest)
    assert manifest == f"{lake}/releases/{opened.release_id}/manifest.json"
    names = [file.name for file in (*opened.shards, *opened.files)] + ["manifest.json"]
    here, there = Store(str(Path(local).parent)), Store(opened.folder)
    assert {name: there.read(name) for name in names} == {name: here.read(name) for name in names}
    assert sorted(pair.pair_id for pair in read_pairs(map(opened.path, opened.shards))) == sorted(
        row["pair_id"] for row in rows
    )
    assert release(lake, rows, LAYOUT) == manifest
    assert published(Store(lake)) == [opened.release_id]


def test_damage_is_found(lake: str) -> None:
    manifest = load_manifest(release(lake, [pair_row(i) for i in range(3)], LAYOUT))
    store, name = Store(manifest.folder), manifest.shards[0].name
    data = bytearray(store.read(name))
    data[700] ^= 1
    store.write(name, bytes(data))
    with pytest.raises(ReleaseCorrupt, match=name):
        verify(f"{manifest.folder}/manifest.json")
    store.remove(name)
    with pytest.raises(ReleaseCorrupt, match=f"{name} is missing"):
        verify(f"{manifest.folder}/manifest.json")


def test_releases_are_listed_compared_and_shown(lake: str, s3: S3Server, capsys: pytest.CaptureFixture[str]) -> None:
    before = release(lake, [pair_row(i) for i in range(9)], LAYOUT)
    after = release(lake, [pair_row(i) for i in range(12)], LAYOUT)
    s3.requests.clear()
    commands.release_list(lake, as_json=True)
    assert {row["manifest"] for row in json.loads(capsys.readouterr().out)} == {before, after}
    assert not [request for request in s3.listings() if f"{load_manifest(before).release_id}%2F&" in request]
    commands.release_diff(before, after, as_json=True)
    difference = json.loads(capsys.readouterr().out)
    assert sum(row["came"] for row in difference["pairs"]) == 3
    assert [video["video_id"] for video in difference["videos_came"]] == ["v3"]
    commands.release_preview(after, None, samples=1)
    page = capsys.readouterr().out.splitlines()[-1]
    assert page == after.replace("manifest.json", "preview.html")
    assert Store(after.rpartition("/")[0]).read("preview.html").startswith(b"<!")


KILLED = """
import os, signal, sys
from published_release import pair_row, release
from shards.layout import Layout
rows = [pair_row(i) for i in range(9)]
release(sys.argv[1], rows, Layout(shard_bytes=8000, val_share=0.3), lambda _: os.kill(os.getpid(), signal.SIGKILL))
"""


def test_killed_before_the_manifest_nothing_is_published(lake: str) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, lake], env=os.environ, check=False)
    assert done.returncode == -signal.SIGKILL
    store = Store(lake)
    [folder] = store.list("releases")
    assert [name for name in store.list(folder) if name.endswith(".tar")]
    assert manifests(store) == published(store) == []
    manifest = release(lake, [pair_row(i) for i in range(9)], LAYOUT)
    assert manifests(store) == [manifest]
    assert published(store) == [verify(manifest).release_id]
    assert manifest == f"{lake}/{folder}/manifest.json"
