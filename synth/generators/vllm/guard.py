"""Runs one server and ends all its processes when it ends or when whoever asked for it is gone.

`python -I guard.py COMMAND...`, in a session of its own: standard input is a pipe whose other end the asking
process holds, standard output one that closes when everything has ended, standard error the server's log.
A process that dies by SIGKILL closes its pipes too. vLLM by itself leaves its engine behind when its first
process is killed. Standard library only: it is run by its path, and imports nothing of ours.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import subprocess
import sys
import tempfile
import time

POLL_S = 0.2
GRACE_S = 10.0  # for a server to end by itself, which removes its shared memory
PR_SET_CHILD_SUBREAPER = 36


def main() -> None:
    """See the module's docstring; never returns."""
    if os.fork():
        os._exit(0)  # Ray kills the children of its workers, not those children's
    signal.signal(signal.SIGTERM, lambda *_: None)  # it is sent to the group, of which this is one
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)  # orphans of the server become this process's children
    with tempfile.TemporaryDirectory(prefix="vllm-") as sockets:
        variables = {**os.environ, "VLLM_RPC_BASE_PATH": sockets}
        server = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, stdout=2, env=variables)
        while server.poll() is None and not select.select([0], [], [], POLL_S)[0]:
            pass
        if server.returncode is not None:
            os.write(2, f"the server ended with exit code {server.returncode}\n".encode())
        os.killpg(0, signal.SIGTERM)
        limit = time.monotonic() + GRACE_S
        while _has_children() and time.monotonic() < limit:
            time.sleep(POLL_S)
    os.killpg(0, signal.SIGKILL)


def _has_children() -> bool:
    """Whether any child is left; those that have ended are taken off the process table."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return False
    return True


if __name__ == "__main__":
    main()
