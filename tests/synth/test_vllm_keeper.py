"""A kept server: started again when it is killed or hangs, given up in the end, and nothing of it is left."""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import moody_server
import psutil
import pytest
from service import wait_for

from infra.errors import RunFailed
from synth.generators.vllm import keeper
from synth.generators.vllm.keeper import KeptServer


def make(folder: Path, mood: str, start_s: float = 60.0) -> KeptServer:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    arguments = [sys.executable, moody_server.__file__, str(folder), mood, "--port", str(port)]
    return KeptServer(arguments, {"TMPDIR": str(folder)}, f"http://127.0.0.1:{port}/health", start_s, hang_s=1.0)


@pytest.fixture
def fine(tmp_path: Path) -> Iterator[KeptServer]:
    server = make(tmp_path, "fine")
    server.start()
    yield server
    server.stop()


def pids(folder: Path, life: int) -> list[int]:
    """The server's process and its child's, in its first, second... life."""
    path = folder / f"{life}.pids"
    wait_for(f"life {life} of the server", path.exists, 60)
    return [int(pid) for pid in path.read_text().split()]


def assert_gone(pids: list[int]) -> None:
    wait_for(f"{pids} to end", lambda: not any(psutil.pid_exists(pid) for pid in pids), 60)


def test_a_killed_server_comes_back_at_the_same_url_without_its_old_child(fine: KeptServer, tmp_path: Path) -> None:
    first = pids(tmp_path, 0)
    os.kill(first[0], signal.SIGKILL)
    second = pids(tmp_path, 1)
    wait_for("the server", lambda: httpx.get(fine.health).is_success, 60)
    assert_gone(first)
    assert all(psutil.pid_exists(pid) for pid in second)
    assert fine.is_kept()


def test_stopping_ends_the_server_and_its_child(fine: KeptServer, tmp_path: Path) -> None:
    fine.stop()
    assert not any(psutil.pid_exists(pid) for pid in pids(tmp_path, 0))
    assert not list(tmp_path.glob("vllm-*"))  # where its sockets are
    assert not fine.is_kept()


def test_losing_the_guard_costs_a_restart_and_leaves_nothing(fine: KeptServer, tmp_path: Path) -> None:
    first = pids(tmp_path, 0)
    guard = psutil.Process(first[0]).parent()
    assert guard is not None
    guard.kill()
    pids(tmp_path, 1)
    assert_gone(first)


def test_a_server_that_does_not_answer_is_started_anew(tmp_path: Path) -> None:
    server = make(tmp_path, "deaf")
    server.start()
    pids(tmp_path, 1)
    assert_gone(pids(tmp_path, 0))
    wait_for("the server", lambda: httpx.get(server.health).is_success, 60)
    server.stop()


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    with pytest.raises(RunFailed, match="no such weights"):
        make(tmp_path, "broken").start()
    assert_gone(pids(tmp_path, 0))


def test_a_server_that_is_never_ready_is_ended(tmp_path: Path) -> None:
    server = make(tmp_path, "unready", start_s=2.0)
    with pytest.raises(RunFailed, match="not ready after 2 s"):
        server.start()
    assert_gone(pids(tmp_path, 0))


def test_a_server_that_dies_again_and_again_is_given_up(tmp_path: Path) -> None:
    server = make(tmp_path, "mortal")
    server.start()
    wait_for("the keeper to give up", lambda: not server.is_kept(), 120)
    assert len(list(tmp_path.glob("*.pids"))) == 1 + keeper.RESTARTS_IN_A_ROW
    assert_gone([pid for life in range(1 + keeper.RESTARTS_IN_A_ROW) for pid in pids(tmp_path, life)])


def test_a_server_can_be_stopped_while_it_starts(tmp_path: Path) -> None:
    server = make(tmp_path, "unready")
    failures: list[RunFailed] = []

    def start() -> None:
        try:
            server.start()
        except RunFailed as error:
            failures.append(error)

    starting = threading.Thread(target=start)
    starting.start()
    first = pids(tmp_path, 0)
    server.stop()
    assert not any(psutil.pid_exists(pid) for pid in first)
    starting.join(60)
    assert "stopped" in str(failures[0])


def test_the_server_dies_with_the_process_that_keeps_it(tmp_path: Path) -> None:
    """Killed with SIGKILL, so that it cannot do anything about it."""
    script = f"import test_vllm_keeper as t; t.make(t.Path({str(tmp_path)!r}), 'fine').start(); t.signal.pause()"
    paths = os.pathsep.join([str(Path(__file__).parent), os.environ["PYTHONPATH"]])
    process = subprocess.Popen([sys.executable, "-c", script], env=os.environ | {"PYTHONPATH": paths})
    first = pids(tmp_path, 0)
    process.kill()
    process.wait()
    assert_gone(first)


def test_the_server_does_not_get_our_modules(fine: KeptServer, tmp_path: Path) -> None:
    """Its interpreter is another one, with other versions of everything."""
    given = psutil.Process(pids(tmp_path, 0)[0]).environ()
    assert "PYTHONPATH" not in given
    assert given["TMPDIR"] == str(tmp_path)
