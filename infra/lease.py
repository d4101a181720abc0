"""One writer per lake, and a fence against writers that came before it.

Every owner takes the next number by creating `lease/<number>.json`, which only one process can do.
A number is stale as soon as a higher one exists, so a worker orphaned by a killed driver cannot
write once a new run has begun (fencing tokens: Kleppmann, "How to do distributed locking", 2016).
The files are never deleted: they are a few bytes a run.

No clock on the wall is asked whether an owner lives: it keeps changing its file, and whoever waits
watches the file by its own monotonic clock.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.errors import LakeBusy, RunFailed, StaleLease
from infra.store import Store

HEARTBEAT_S = 3.0
EXPIRY_S = 20.0  # an owner that gives no sign of life for so long is dead
LOOK_S = 0.25  # how often the owner's file is looked at


def _record(number: int) -> str:
    return f"lease/{number:08d}.json"


@dataclass(frozen=True)
class Lease:
    """The right of one run to write to a lake."""

    number: int

    def check(self, store: Store) -> None:
        """Raise StaleLease if a later run has taken the lake over."""
        try:  # one GET; to tell whether a name exists, an object store is also asked for a listing
            store.read(_record(self.number + 1))
        except FileNotFoundError:
            return
        raise StaleLease(f"lease {self.number} is no longer the lake's; a later run took it over")


def _latest(store: Store) -> int:
    names = store.list("lease", ".json")
    return int(names[-1].rsplit("/", 1)[-1][: -len(".json")]) if names else 0


def _process_start(pid: int) -> str:
    """When process `pid` of this host began, in clock ticks since boot: no two processes share pid and start.

    Empty where the system does not tell (no /proc). Raises ProcessLookupError when there is no such process.
    """
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        os.kill(pid, 0)
        return ""
    if state in "ZX":
        raise ProcessLookupError(f"process {pid} has ended")
    return fields[18]  # field 22 of proc(5), starttime


def _process_is_gone(owner: dict[str, Any]) -> bool:
    """Whether the owner is known to be dead: a process of this host that does not exist any more."""
    if owner.get("host") != socket.gethostname():
        return False
    try:
        start = _process_start(int(owner["pid"]))
    except ProcessLookupError:
        return True
    except PermissionError:  # another user's, so it exists
        return False
    return bool(start) and start != owner.get("start", start)


def _owner(beat: int, released: bool) -> bytes:
    pid = os.getpid()
    facts = {"host": socket.gethostname(), "pid": pid, "start": _process_start(pid), "beat": beat, "released": released}
    return json.dumps(facts | {"token": secrets.token_hex(8)}).encode()


def _win(store: Store, name: str, mine: bytes) -> bool:
    """Whether `name` is created as `mine`, which nobody else would write.

    Raises RunFailed where it can be created a second time, so that two could win.
    """
    won = store.create(name, mine)
    if won and store.create(name, mine):
        raise RunFailed(
            f"{store.url} lets a file be created that is there already (it ignores If-None-Match), so two runs could "
            "own the lake at once: use a store with conditional writes"
        )
    return won or _is(store, name, mine)


def _is(store: Store, name: str, data: bytes) -> bool:
    """Whether `name` holds `data`: a create whose answer was lost was sent again, and found what it wrote."""
    try:
        return store.read(name) == data
    except FileNotFoundError:
        return False


@contextmanager
def hold_lease(store: Store, patience_s: float = 0.0, on_wait: Callable[[str], None] | None = None) -> Iterator[Lease]:
    """Own the lake for the length of the block; raises LakeBusy while another live run does.

    Waits up to `patience_s` for the other run to end, and tells `on_wait` once that it does. An owner that
    cannot be known to be dead is watched for EXPIRY_S at most.
    """
    lease = _take(store, patience_s, on_wait)
    stop = threading.Event()
    beating = threading.Thread(target=_beat, args=(store, lease, stop), daemon=True)
    beating.start()
    try:
        yield lease
    finally:
        stop.set()
        beating.join()
        # Where this cannot be written the next run finds out by itself, and no error of the block is hidden.
        with suppress(RunFailed, OSError):
            store.write(_record(lease.number), _owner(0, released=True))


def _beat(store: Store, lease: Lease, stop: threading.Event) -> None:
    """Show signs of life until `stop`. One that cannot be written is skipped: should others take this
    owner for dead meanwhile, the number they take keeps it from writing."""
    beat = 0
    while not stop.wait(HEARTBEAT_S):
        beat += 1
        with suppress(RunFailed, OSError):
            store.write(_record(lease.number), _owner(beat, released=False))


def _take(store: Store, patience_s: float, on_wait: Callable[[str], None] | None) -> Lease:
    """Take the next number once the last one's owner released it or is dead; raises LakeBusy."""
    began = seen_at = time.monotonic()
    seen: tuple[int, Any] | None = None
    is_live = False
    while True:
        last = _latest(store)
        owner = json.loads(store.read(_record(last))) if last else {"released": True}
        sign = (last, owner.get("beat"))
        if seen is not None and sign != seen:
            is_live = True
        if sign != seen:
            seen, seen_at = sign, time.monotonic()
        is_silent = time.monotonic() - seen_at >= EXPIRY_S
        is_free = owner.get("released") or _process_is_gone(owner) or is_silent
        if is_free and _win(store, _record(last + 1), _owner(0, released=False)):
            return Lease(last + 1)
        if is_live and time.monotonic() - began >= patience_s:
            raise LakeBusy(f"{_busy(owner)}; wait for it to end and try again")
        if is_live and on_wait is not None:
            on_wait(f"{_busy(owner)}; waiting up to {patience_s:.0f} s for it to end")
            on_wait = None
        time.sleep(LOOK_S)


def _busy(owner: dict[str, Any]) -> str:
    return f"the lake is in use by process {owner.get('pid')} on {owner.get('host')}"
