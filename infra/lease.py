"""One writer per lake, and a fence against writers that came before it.

Every owner takes the next number by creating `lease/<number>.json`, which only one process can do.
A number is stale as soon as a higher one exists, so a worker orphaned by a killed driver cannot
write once a new run has begun (fencing tokens: Kleppmann, "How to do distributed locking", 2016).
The files are never deleted: they are a few bytes a run.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from infra.errors import LakeBusy, StaleLease
from infra.store import Store

HEARTBEAT_S = 3.0
EXPIRY_S = 20.0


def _record(number: int) -> str:
    return f"lease/{number:08d}.json"


@dataclass(frozen=True)
class Lease:
    """The right of one run to write to a lake."""

    number: int

    def check(self, store: Store) -> None:
        """Raise StaleLease if a later run has taken the lake over."""
        if store.exists(_record(self.number + 1)):
            raise StaleLease(f"lease {self.number} is no longer the lake's; a later run took it over")


def _latest(store: Store) -> int:
    names = store.list("lease", ".json")
    return int(names[-1].rsplit("/", 1)[-1][: -len(".json")]) if names else 0


def _process_is_gone(owner: dict[str, object]) -> bool:
    """Whether the owner is known to be dead: a process of this host that does not exist any more."""
    if owner["host"] != socket.gethostname():
        return False
    try:
        os.kill(int(str(owner["pid"])), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def _is_live(owner: dict[str, object]) -> bool:
    beat = float(str(owner["beat"]))
    return not owner["released"] and time.time() - beat < EXPIRY_S and not _process_is_gone(owner)


def _owner(released: bool) -> bytes:
    facts = {"host": socket.gethostname(), "pid": os.getpid(), "beat": time.time(), "released": released}
    return json.dumps(facts).encode()


@contextmanager
def hold_lease(store: Store) -> Iterator[Lease]:
    """Own the lake for the length of the block; raises LakeBusy while another live run does."""
    last = _latest(store)
    if last:
        owner = json.loads(store.read(_record(last)))
        if _is_live(owner):
            raise LakeBusy(
                f"the lake is in use by process {owner['pid']} on {owner['host']}; wait for it to end "
                f"(a dead owner's lease expires {EXPIRY_S:.0f} s after its last sign of life)"
            )
    lease = Lease(last + 1)
    if not store.create(_record(lease.number), _owner(released=False)):
        raise LakeBusy("another run took the lake at this very moment; try again")
    stop = threading.Event()
    beating = threading.Thread(target=_beat, args=(store, lease, stop), daemon=True)
    beating.start()
    try:
        yield lease
    finally:
        stop.set()
        beating.join()
        store.write(_record(lease.number), _owner(released=True))


def _beat(store: Store, lease: Lease, stop: threading.Event) -> None:
    while not stop.wait(HEARTBEAT_S):
        store.write(_record(lease.number), _owner(released=False))
