"""Replicas on a real Ray, with a stand-in for vLLM: started together, replaced when lost, refused with reasons."""

import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import moody_server
import psutil
import pytest
from replicas import actors, connect
from service import wait_for

from infra.errors import ClusterLost, RunFailed, UsageError
from synth.generators.settings import GeneratorSettings, Serving
from synth.generators.vllm.fleet import Fleet

Make = Callable[..., Fleet]


@pytest.fixture(scope="module", autouse=True)
def ray_ended() -> Iterator[None]:
    import ray

    yield
    ray.shutdown()


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Makes fleets whose interpreter runs a moody server, whatever it is told to run."""
    fleets: list[Fleet] = []

    def make(mood: str = "fine", model: str = "tiny", say: Callable[[str], None] = print, **serving: Any) -> Fleet:
        python = tmp_path / "python"
        words = shlex.join([sys.executable, moody_server.__file__, str(tmp_path), mood])
        python.write_text(f'#!/bin/sh\nexec {words} "$@"\n')
        python.chmod(0o755)
        settings = Serving(**{"python": str(python), "start_s": 60.0, **serving})
        fleets.append(Fleet(GeneratorSettings(kind="vllm", model=model), settings, say))
        return fleets[-1]

    yield make
    for fleet in fleets:
        fleet.release()


def pids(folder: Path) -> set[int]:
    """The processes of all servers that were ever started."""
    return {int(pid) for path in folder.glob("*.pids") for pid in path.read_text().split()}


def living(folder: Path) -> set[int]:
    return {pid for pid in pids(folder) if psutil.pid_exists(pid)}


def test_replicas_are_started_once_and_stopped(make: Make, tmp_path: Path) -> None:
    with make(replicas=2) as fleet:
        urls = fleet.urls(connect)
        assert len(set(urls)) == 2
        assert all(httpx.get(url.removesuffix("/v1") + "/health").is_success for url in urls)
        assert fleet.urls(connect) == urls
        assert len(living(tmp_path)) == 4  # two servers with a child each
    assert not living(tmp_path)
    fleet.release()


def test_a_replica_whose_actor_is_killed_is_replaced_and_leaves_no_server(make: Make, tmp_path: Path) -> None:
    fleet = make()
    first = fleet.urls(connect)
    lost = living(tmp_path)
    (actor,) = actors()
    actor.kill()
    wait_for("the lost actor's server to end", lambda: not lost & living(tmp_path), 60)
    second = fleet.urls(connect)
    assert second != first
    assert httpx.get(second[0].removesuffix("/v1") + "/health").is_success


def test_a_server_that_was_given_up_is_started_again_when_it_is_wanted(make: Make, tmp_path: Path) -> None:
    fleet = make("mortal")
    urls = fleet.urls(connect)
    wait_for("all restarts to be used up", lambda: len(list(tmp_path.glob("*.pids"))) == 6, 120)
    wait_for("the server to be given up", lambda: not living(tmp_path), 60)
    assert fleet.urls(connect) == urls
    assert len(list(tmp_path.glob("*.pids"))) > 6


def test_a_server_that_cannot_start_fails_the_run_with_its_words(make: Make, tmp_path: Path) -> None:
    fleet = make("broken", replicas=2)
    with pytest.raises(RunFailed, match="no such weights"):
        fleet.urls(connect)
    wait_for("the other servers to end", lambda: not living(tmp_path), 60)


def test_starting_is_reported(make: Make) -> None:
    says: list[str] = []
    with pytest.raises(RunFailed, match="not ready after 7 s"):
        make("unready", say=says.append, start_s=7.0).urls(connect)
    assert says[0].startswith("vLLM: 0 of 1 servers ready after ")


def test_a_missing_interpreter_is_the_user_s_to_make(make: Make, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"bash infra/dev\.sh vllm"):
        make(python=str(tmp_path / "nowhere" / "python")).urls(connect)


def test_a_missing_model_folder_is_named(make: Make, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no model folder at /nowhere"):
        make(model="/nowhere/model").urls(connect)


def test_servers_end_with_ray_and_are_started_anew_on_the_next_one(make: Make, tmp_path: Path) -> None:
    import ray

    fleet = make()
    fleet.urls(connect)
    lost = living(tmp_path)
    ray.shutdown()
    wait_for("the servers to end", lambda: not lost & living(tmp_path), 60)
    (url,) = fleet.urls(connect)
    assert httpx.get(url.removesuffix("/v1") + "/health").is_success


def test_a_cluster_that_goes_away_meanwhile_is_said_to_be_lost(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its node is killed while a server starts that takes its time."""
    import ray

    def kill_ray(line: str) -> None:
        for process in psutil.Process().children(recursive=True):
            if process.name() == "raylet":
                process.kill()

    ray.shutdown()
    monkeypatch.setenv("RAY_health_check_period_ms", "500")  # so that Ray sees a dead node in 3 s, not in 15
    with pytest.raises(ClusterLost):
        make("unready", say=kill_ray).urls(connect)
    ray.shutdown()
