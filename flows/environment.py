"""Where Prefect runs: its settings, and a local API server that lives and dies with the command.

Prefect would start a temporary server by itself, but one that outlives a killed command. Ours reads
the pipe that ties it to its parent and ends when the pipe does, however the parent went.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from infra.errors import RunFailed

LOG_NAME = "server.log"


def prepare() -> None:
    """Set Prefect's environment for this project, leaving alone what the user has set.

    Call it before anything imports `prefect`. The home is `.prefect` below the current folder, so
    that runs are kept with the project they belong to and nothing is shared with other projects.
    """
    defaults = {
        "PREFECT_HOME": str(Path(".prefect").resolve()),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        # What went wrong is said once, by the command line; the server keeps the full log.
        "PREFECT_LOGGING_LEVEL": "CRITICAL",
    }
    for name, value in defaults.items():
        os.environ.setdefault(name, value)


@contextmanager
def prefect_server() -> Iterator[None]:
    """A Prefect API for the length of the block: the one at PREFECT_API_URL if set, else one of our own.

    Raises RunFailed when the server does not start.
    """
    prepare()
    if os.environ.get("PREFECT_API_URL"):
        yield
        return
    home = Path(os.environ["PREFECT_HOME"])
    home.mkdir(parents=True, exist_ok=True)
    with (home / LOG_NAME).open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "flows.environment"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log
        )
    try:
        from prefect.settings import PREFECT_API_URL, temporary_settings  # takes seconds, like the server

        assert process.stdout is not None
        port = process.stdout.readline().strip()
        if not port:
            raise RunFailed(f"the local Prefect server did not start; see {home / LOG_NAME}")
        with temporary_settings({PREFECT_API_URL: f"http://127.0.0.1:{int(port)}/api"}):
            yield
    finally:
        process.terminate()
        process.wait()


def _serve() -> None:
    """The server process: serve Prefect's API on a free port of the loopback, say which, stop with the parent."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.environ |= {"PREFECT_UI_ENABLED": "0", "PREFECT__SERVER_EPHEMERAL": "1", "PREFECT__SERVER_FINAL": "1"}
    import uvicorn

    class Announcing(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            if self.started:
                print(listener.getsockname()[1], flush=True)

    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config("prefect.server.api.server:create_app", factory=True, log_level="error", lifespan="on")
    Announcing(config).run(sockets=[listener])


def _end_with_parent() -> None:
    sys.stdin.buffer.read()
    os._exit(0)


if __name__ == "__main__":
    _serve()
