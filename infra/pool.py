"""A pool of Ray workers that does units of rows and outlives any of its workers.

A worker that dies (a decoder's segfault, a lost machine) or exceeds its deadline costs at most one
row: its unit is done again row by row, and a row that ends a second worker is quarantined. When all
of Ray is gone the run ends with ClusterLost, and the same pool connects anew when it is used again.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

import pyarrow as pa

from infra.errors import ClusterLost, RunFailed, UvrError
from infra.faults import disk_full
from infra.stage import Fault, RowStage, Workspace
from infra.tables import part_table
from infra.worker import ERROR_TAIL, Worker

LOCAL_RAY: dict[str, Any] = {
    "include_dashboard": False,
    "object_store_memory": 256 * 2**20,  # rows are metadata; media never pass through Ray
}
CRASHES_PER_ROW = 2  # a second worker lost on one row cannot be another row's fault
POLL_S = 1.0
CHECK_CLUSTER_S = 5.0  # how often, while workers start, Ray is asked whether it is still there


def keep_ray_local() -> None:
    """Make a Ray started by this process listen on the loopback only and admit this user only.

    Ray reads these variables when it is imported; where that has happened, it is too late and they
    are left alone.
    """
    if "ray" not in sys.modules:
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"  # Ray's name for "not only on the loopback"
        os.environ.setdefault("RAY_AUTH_MODE", "token")


@contextmanager
def _keep_sigterm() -> Iterator[None]:
    """Leave SIGTERM as it was: Ray would turn it into an exit of its own, which hides that a run was cancelled."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, before)


@dataclass
class Unit:
    """A fixed list of input rows, committed together; its slices are what workers are given."""

    todo: deque[pa.Table]
    done: list[pa.Table] = field(default_factory=list)
    crashes: int = 0  # of the slice that is next, once it is a single row


@dataclass
class Slot:
    """One worker and what it is busy with."""

    worker: Any
    unit: Unit | None = None
    deadline: float = 0.0


class Pool:
    """Workers on the Ray cluster, started when first needed and reused from stage to stage."""

    def __init__(self, workers: int = 0, address: str = "local") -> None:
        """`workers` 0 means one per CPU of the cluster; `address` "local" starts Ray here."""
        self._wanted = workers
        self.workers = workers
        self.address = address
        self._slots: list[Slot] = []
        self._started_ray = False

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._dismiss()
        self._disconnect()

    def _dismiss(self) -> None:
        """End all workers, whatever they are busy with."""
        for slot in self._slots:
            _kill(slot.worker)
        self._slots.clear()

    def _disconnect(self) -> None:
        if self._started_ray:
            import ray

            ray.shutdown()
        self._started_ray = False

    def connect(self) -> None:
        """Start Ray here or join the cluster, unless that is done; one that was lost is left. Raises ClusterLost."""
        if self._started_ray:
            if is_connected():
                return
            self._dismiss()
            self._disconnect()
        local = LOCAL_RAY if self.address == "local" else {}
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        if local:
            keep_ray_local()
        import ray

        try:
            with _keep_sigterm():
                ray.init(
                    address=self.address,
                    log_to_driver=False,
                    logging_level="ERROR",
                    configure_logging=False,
                    **local,
                )
        except ConnectionError as error:
            raise ClusterLost(f"no Ray cluster answers at {self.address}: {error}") from error
        self._started_ray = True
        self.workers = self._wanted or max(1, int(ray.cluster_resources().get("CPU", 1)))

    def _hire(self) -> Any:
        import ray

        cpus = ray.cluster_resources().get("CPU", 1)
        # A little under an even share: a pool that asks for all CPUs waits for ever when one is taken.
        return ray.remote(Worker).options(num_cpus=min(1.0, 0.9 * cpus / self.workers)).remote()

    def _open(self, slots: Sequence[Slot], stage: RowStage, workspace: Workspace) -> None:
        import ray

        opening = waiting = [slot.worker.open.remote(stage, workspace) for slot in slots]
        while waiting:
            _, waiting = ray.wait(waiting, num_returns=len(waiting), timeout=CHECK_CLUSTER_S)
            check_cluster()
        try:
            ray.get(opening)
        except ray.exceptions.RayError as error:
            raise_ours(error)
            raise RunFailed(f"stage {stage.name}: a worker could not start: {error}") from error

    def run(
        self, stage: RowStage, workspace: Workspace, rows: Iterator[pa.Table], units: int
    ) -> Generator[pa.Table, None, None]:
        """Yield one part per table of `rows` (about `units` of them), in the order they are done.

        `rows` is asked for the next unit only when a worker is free, so it can end the stage early; what
        was handed out is finished. When this raises, or is closed before its end, units under way are lost
        and their workers ended. Raises RunFailed when the stage is at fault, ClusterLost, and what
        workers raise as UvrError.
        """
        try:
            self.connect()
            while len(self._slots) < min(self.workers, units):
                self._slots.append(Slot(self._hire()))
            slots = self._slots[: min(self.workers, units)]
            self._open(slots, stage, workspace)
            running: dict[Any, Slot] = {}
            for slot in slots:
                self._give(slot, stage, rows, running)
            while running:
                yield from self._collect(stage, workspace, rows, running)
        except ClusterLost:
            self._dismiss()
            self._disconnect()
            raise
        except BaseException:  # the caller's, too: it closes this iterator
            self._dismiss()
            raise

    def _give(self, slot: Slot, stage: RowStage, rows: Iterator[pa.Table], running: dict[Any, Slot]) -> None:
        """Hand the slot its unit's next slice, or a new unit's."""
        if slot.unit is None:
            table = next(rows, None)
            if table is None:
                return
            slot.unit = Unit(deque([table]))
        piece = slot.unit.todo[0]
        slot.deadline = time.monotonic() + stage.deadline_s * piece.num_rows
        running[slot.worker.run.remote(piece)] = slot

    def _collect(
        self, stage: RowStage, workspace: Workspace, rows: Iterator[pa.Table], running: dict[Any, Slot]
    ) -> Iterator[pa.Table]:
        """Take what is finished, give its worker the next slice, yield units that are whole."""
        import ray

        finished, _ = ray.wait(list(running), num_returns=1, timeout=POLL_S)
        late = [ref for ref, slot in running.items() if ref not in finished and time.monotonic() > slot.deadline]
        for ref in [*finished, *late]:
            slot = running.pop(ref)
            unit = slot.unit
            assert unit is not None
            try:
                if ref in late:
                    ray.kill(slot.worker)
                    raise ray.exceptions.GetTimeoutError(f"no answer within {stage.deadline_s:.0f} s a row")
                unit.done.append(ray.get(ref))
                unit.todo.popleft()
                unit.crashes = 0
            except ray.exceptions.RayTaskError as error:  # raised by our code: not a row's fault
                raise_ours(error)
                raise RunFailed(f"stage {stage.name} broke: {error}") from error
            except ray.exceptions.OutOfDiskError as error:
                raise disk_full(error, "the disk that Ray keeps its objects on") from error
            except ray.exceptions.RayError as error:  # the worker or its machine is gone
                check_cluster()
                self._replace(slot, stage, workspace)
                _isolate(unit, stage, "deadline" if ref in late else "worker_died", str(error))
            if not unit.todo:
                slot.unit = None
                yield pa.concat_tables(unit.done)
            self._give(slot, stage, rows, running)

    def _replace(self, slot: Slot, stage: RowStage, workspace: Workspace) -> None:
        slot.worker = self._hire()
        self._open([slot], stage, workspace)


def _kill(worker: Any) -> None:
    import ray

    with suppress(ray.exceptions.RayError, RuntimeError):  # gone already, or all of Ray is
        ray.kill(worker)


def is_connected() -> bool:
    """Whether the Ray node that this process is part of is alive."""
    import ray

    try:
        own = ray.get_runtime_context().get_node_id()
        return any(node["Alive"] and node["NodeID"] == own for node in ray.nodes())
    except ray.exceptions.RayError:
        return False


def check_cluster() -> None:
    """Raise ClusterLost when the Ray node that this process is part of is gone."""
    if not is_connected():
        raise ClusterLost("the Ray cluster went away; everything committed is kept")


def raise_ours(error: Exception) -> None:
    """Raise the error of this project that a worker raised, as it was; other errors are left to the caller."""
    cause = getattr(error, "cause", None)
    if isinstance(cause, UvrError):
        raise cause from error


def _isolate(unit: Unit, stage: RowStage, reason: str, error: str) -> None:
    """After a worker was lost on the unit's next slice: cut it into rows, or give up its only row."""
    piece = unit.todo.popleft()
    if piece.num_rows > 1:
        unit.todo.extendleft(piece.slice(i, 1) for i in reversed(range(piece.num_rows)))
        return
    unit.crashes += 1
    if unit.crashes < CRASHES_PER_ROW:
        unit.todo.appendleft(piece)
        return
    unit.crashes = 0
    fault = Fault(piece["key"][0].as_py(), reason, error.strip()[:ERROR_TAIL])
    unit.done.append(part_table(stage.schema, [fault]))
