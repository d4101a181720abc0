"""A writer that is killed at any moment leaves the old release, or the old and the new one, and never a part of one."""

import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import killed_release
import pytest
from killed_release import LAYOUT, NEW, OLD
from published_release import release
from s3_server import S3Server

from infra.store import Store
from shards.manifest import PUBLISHED, manifests, published, verify


class Writer:
    """Publishes the new release in a process that dies early."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, killed_release.__file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def start(self, lake: str, nth: int = 0) -> int:
        """Have a process ready that dies at its nth file operation; its id."""
        return int(self._ask(f"{lake} {nth}"))

    def go(self) -> int:
        """Let it go; how it ended."""
        return int(self._ask(""))

    def _ask(self, line: str) -> str:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        return self._process.stdout.readline()

    def close(self) -> None:
        self._process.communicate()


@pytest.fixture
def writer() -> Iterator[Writer]:
    process = Writer()
    yield process
    process.close()


def check(lake: str, old: str, new: str) -> bool:
    """Only whole releases are there, and publishing again makes the new one; whether it had been there already."""
    store = Store(lake)
    found = manifests(store)
    assert set(found) in ({old}, {old, new})
    ids = {verify(manifest).release_id for manifest in found}
    assert set(published(store)) <= ids
    assert release(lake, NEW, LAYOUT) == new
    assert set(manifests(store)) == {old, new}
    verify(new)
    return new in found


def test_on_a_disk_at_every_file_operation(writer: Writer, tmp_path: Path) -> None:
    lake = str(tmp_path / "lake")
    old, expected = release(lake, OLD, LAYOUT), release(shutil.copytree(lake, tmp_path / "whole"), NEW, LAYOUT)
    new = expected.replace(str(tmp_path / "whole"), lake)
    shutil.copytree(lake, tmp_path / "before", dirs_exist_ok=True)
    was_there = []
    ended, nth = -signal.SIGKILL, 0
    while ended:
        nth += 1
        shutil.rmtree(lake)
        shutil.copytree(tmp_path / "before", lake)
        writer.start(lake, nth)
        ended = writer.go()
        assert ended in (0, -signal.SIGKILL)
        was_there.append(check(lake, old, new))
    assert nth > 20
    assert was_there == sorted(was_there)  # from some moment on, the new release is there
    assert not was_there[nth // 2]


def test_in_a_bucket_at_every_write(writer: Writer, s3: S3Server) -> None:
    was_there = []
    ended, nth = -signal.SIGKILL, 0
    while ended:
        nth += 1
        lake = f"{s3.bucket()}/lake"
        old = release(lake, OLD, LAYOUT)
        s3.kill(writer.start(lake), nth, ("releases", PUBLISHED))
        ended = writer.go()
        assert ended in (0, -signal.SIGKILL)
        store = Store(lake)
        found = manifests(store)
        assert old in found
        new = release(lake, NEW, LAYOUT)
        assert set(found) in ({old}, {old, new})
        assert [verify(manifest).release_id for manifest in (old, new)] == published(store)
        was_there.append(new in found)
    assert nth > 5
    assert was_there == sorted(was_there)
    assert not was_there[nth // 2]
