"""The driver's side: as many replicas as the cluster has room for, started when they are first needed."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from math import ceil
from pathlib import Path
from types import TracebackType
from typing import Any

from infra.errors import ClusterLost, RunFailed, UsageError
from infra.pool import check_cluster, raise_ours
from synth.generators.settings import GeneratorSettings, Serving
from synth.generators.vllm.command import LOOPBACK, Device, Place
from synth.generators.vllm.replica import Replica

SAY_EVERY_S = 5.0
STOP_S = 30.0  # for a replica to answer; one that does not is killed, and its server ends too
CALLS = 3  # of one replica side by side: it can be stopped while it starts


class Fleet:
    """vLLM servers of one run, on the Ray cluster that this process is connected to; a context manager.

    Not for use by several threads: Ray is asked from the caller's.
    """

    def __init__(
        self, generator: GeneratorSettings, serving: Serving, say: Callable[[str], None] = lambda line: None
    ) -> None:
        """Starts nothing; `say` is told in a line now and then how starting goes on."""
        self.generator = generator
        self.serving = serving
        self._say = say
        self._replicas: list[Any] = []
        self._connection = ("", "")  # to Ray, under which they were started

    def __enter__(self) -> Fleet:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.release()

    def urls(self, connect: Callable[[], None]) -> tuple[str, ...]:
        """Base URLs of the servers (`http://host:port/v1`), all ready to answer.

        `connect` connects this process to Ray and does nothing where that was done. Servers that are there
        are left alone, those that are gone are replaced. Raises UsageError (no interpreter, no model folder,
        no room for a replica), RunFailed with the end of the server's log when it cannot start, and
        ClusterLost; then none is left.
        """
        connect()
        import ray

        try:
            check_cluster()
            self._forget_lost()
            place, count = self._plan()
            while len(self._replicas) < count:
                self._replicas.append(self._hire(place))
            return self._wait_until_ready()
        except ray.exceptions.RayError as error:
            self.release()
            raise_ours(error)
            raise ClusterLost(f"Ray lost a vLLM replica: {error}") from error
        except ClusterLost:
            self._replicas.clear()  # nobody is there to be asked; they end with it
            raise
        except BaseException:
            self.release()
            raise

    def release(self) -> None:
        """Stop all servers; does nothing where there are none."""
        replicas, self._replicas = self._replicas, []
        if not replicas or not self._is_connected():
            return  # replicas end with the connection that they were started under
        import ray

        with suppress(ray.exceptions.RayError):
            ray.wait([r.stop.remote() for r in replicas], num_returns=len(replicas), timeout=STOP_S)
        for replica in replicas:
            with suppress(ray.exceptions.RayError):
                ray.kill(replica)

    def _is_connected(self) -> bool:
        """Whether the connection to Ray is still the one that the replicas were started under."""
        import ray

        return bool(ray.is_initialized()) and _connection() == self._connection

    def _forget_lost(self) -> None:
        """Keep the replicas whose actors are alive."""
        import ray

        if not self._is_connected():
            self._connection, self._replicas = _connection(), []
        asked = {replica.url.remote(): replica for replica in self._replicas}
        self._replicas = []
        for answer, replica in asked.items():
            try:
                ray.get(answer, timeout=STOP_S)
            except ray.exceptions.RayTaskError:  # its server was given up: `start` starts it again
                pass
            except ray.exceptions.RayActorError:
                continue
            self._replicas.append(replica)

    def _plan(self) -> tuple[Place, int]:
        """What replicas have in common, and how many there shall be."""
        import ray

        gpus = [node["Resources"].get("GPU", 0.0) for node in ray.nodes() if node["Alive"]]
        device, count = replicas_for(gpus, self.serving)
        key = os.environ.get("OPENAI_API_KEY", "").strip()  # what the endpoints' clients show
        if len(gpus) > 1 and not key:
            raise UsageError("servers that other machines can reach want a key: set OPENAI_API_KEY to a secret")
        place = Place(
            model=_model(self.generator.model),
            host=LOOPBACK if len(gpus) == 1 else "",
            device=device,
            threads=max(1, (os.cpu_count() or 1) // 2 // ceil(count / len(gpus))),  # the rest cut and decode
            key=key,
        )
        return place, count

    def _hire(self, place: Place) -> Any:
        import ray

        gpus = self.serving.gpus if place.device == "cuda" else 0
        options = {"num_cpus": 0, "num_gpus": gpus, "max_concurrency": CALLS, "scheduling_strategy": "SPREAD"}
        return ray.remote(Replica).options(**options).remote(self.generator, self.serving, place)

    def _wait_until_ready(self) -> tuple[str, ...]:
        """All replicas' URLs; the first that fails ends the wait."""
        import ray

        began = time.monotonic()
        starting = waiting = [replica.start.remote() for replica in self._replicas]
        while waiting:
            ready, waiting = ray.wait(waiting, num_returns=len(waiting), timeout=SAY_EVERY_S)
            ray.get(ready)
            check_cluster()
            seconds = time.monotonic() - began
            progress = f"vLLM: {len(starting) - len(waiting)} of {len(starting)} servers ready after {seconds:.0f} s"
            if waiting and seconds > 2 * self.serving.start_s:  # half of it for the cluster to place them
                raise RunFailed(f"{progress}; is there room for the others on the cluster?")
            if waiting:
                self._say(progress)
        return tuple(ray.get(starting))


def _connection() -> tuple[str, str]:
    """Names this process's connection to Ray: every new cluster numbers its jobs from one, but not its nodes."""
    import ray

    context = ray.get_runtime_context()
    return context.get_job_id(), context.get_node_id()


def replicas_for(gpus: Sequence[float], serving: Serving) -> tuple[Device, int]:
    """What replicas run on and how many there shall be, on nodes with so many `gpus` each.

    Raises UsageError when those that the recipe asks for do not fit.
    """
    if serving.gpus == 0 or not any(gpus):
        return "cpu", serving.replicas or 1
    room = sum(int(on_node / serving.gpus) for on_node in gpus)
    count = serving.replicas or max(1, room)
    if count > room:
        sizes = ", ".join(f"{on_node:g}" for on_node in gpus)
        raise UsageError(
            f"recipe: there is room for {room} replicas with {serving.gpus:g} GPUs each, not for {count}: "
            f"the cluster's nodes have {sizes} GPUs"
        )
    return "cuda", count


def _model(name: str) -> str:
    """A folder of this machine as an absolute path; any other name as it is."""
    folder = Path(name).expanduser()
    return str(folder.resolve()) if folder.is_dir() else name
