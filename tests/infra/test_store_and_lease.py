"""Atomic writes, and one writer per lake whatever became of the others."""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from infra.errors import LakeBusy, StaleLease
from infra.lease import Lease, hold_lease
from infra.listing import find_files
from infra.store import Store
from infra.workspace import LakeWorkspace


def test_create_lets_one_writer_win(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    assert store.create("a/b", b"one")
    assert not store.create("a/b", b"two")
    assert store.read("a/b") == b"one"
    assert store.list("a") == ["a/b"]
    assert store.list("nowhere") == []


def test_a_shared_file_survives_its_first_name(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    store.write("a", b"bytes")
    store.share("a", "deep/b")
    store.remove("a")
    assert store.read("deep/b") == b"bytes"


def test_the_store_works_on_other_file_systems() -> None:
    store = Store("memory://lake")
    assert store.create("lease/1", b"x")
    assert not store.create("lease/1", b"y")
    store.write("parts/a.parquet", b"1")
    store.share("parts/a.parquet", "release/a")
    assert store.list("parts", ".parquet") == ["parts/a.parquet"]
    assert LakeWorkspace("memory://lake", "stages/x").read("release/a") == b"1"
    local = LakeWorkspace("memory://lake", "stages/x").path("release/a")
    assert Path(local).name == "a"
    assert [file.url for file in find_files("memory://lake/parts")] == ["memory:///lake/parts/a.parquet"]


@pytest.mark.parametrize("remote", [False, True])
def test_a_local_file_is_put_whole_in_place_of_what_was_there(tmp_path: Path, remote: bool) -> None:
    store = Store("memory://put" if remote else str(tmp_path / "store"))
    (tmp_path / "large").write_bytes(b"bytes" * 10**6)
    store.write("deep/a", b"old")
    store.put("deep/a", tmp_path / "large")
    assert store.read("deep/a") == b"bytes" * 10**6
    assert store.list("deep") == ["deep/a"]


def test_a_live_owner_keeps_others_out(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    with hold_lease(store) as first:
        first.check(store)
        with pytest.raises(LakeBusy, match=f"process {os.getpid()}"), hold_lease(store):
            pass
    with hold_lease(store) as second:
        assert second.number == first.number + 1


HOLDER = """
import sys, time
from infra.lease import hold_lease
from infra.store import Store
with hold_lease(Store(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_dead_owner_is_replaced_at_once_and_fenced_off(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == b"held\n"
        owner.kill()
    stale = LakeWorkspace(str(tmp_path), "stages/x", Lease(1))
    stale.save("before.txt", b"the lake is still its own")
    with hold_lease(store):
        with pytest.raises(StaleLease):
            stale.save("after.txt", b"too late")
        assert not store.exists("stages/x/media/af/after.txt")


def _other(beat: int, released: bool = False, **facts: object) -> bytes:
    return json.dumps(
        {"host": "elsewhere", "pid": 1, "start": "1", "beat": beat, "released": released} | facts
    ).encode()


def test_an_owner_elsewhere_is_live_while_its_record_changes_and_dead_when_it_does_not(tmp_path: Path) -> None:
    """Only changes are looked at; what they say, and what time it is, does not matter."""
    store = Store(str(tmp_path))
    stop = threading.Event()

    def beat() -> None:
        number = 0
        while not stop.wait(0.5):
            number -= 1
            store.write("lease/00000001.json", _other(number))

    store.write("lease/00000001.json", _other(0))
    with ThreadPoolExecutor(1) as thread:
        beating = thread.submit(beat)
        with pytest.raises(LakeBusy, match="process 1 on elsewhere"), hold_lease(store):
            pass
        stop.set()
        beating.result()
    with hold_lease(store) as lease:
        assert lease.number == 2


def test_patience_waits_for_the_release_and_says_so_once(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    told: list[str] = []

    def wait() -> int:
        with hold_lease(store, 60.0, told.append) as lease:
            return lease.number

    with ThreadPoolExecutor(1) as thread:
        with hold_lease(store):
            waiting = thread.submit(wait)
            while not told:
                time.sleep(0.05)
            assert not waiting.done()
        assert waiting.result() == 2
    assert len(told) == 1
    assert f"process {os.getpid()}" in told[0]


def test_a_process_that_took_over_a_dead_owners_pid_is_not_the_owner(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    store.write("lease/00000001.json", _other(5, host=socket.gethostname(), pid=os.getpid(), start="1"))
    with hold_lease(store) as lease:
        assert lease.number == 2
