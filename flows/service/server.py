"""The Prefect API server of this project, as a process of its own.

`python -m flows.service.server PARENT HOST PORT whole|runs`. Prefect would start a temporary server by
itself, but one that outlives a killed command. Ours ends with the process that started it, however
that went.
"""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

from flows.service.processes import KeptAlive, end_with_parent, say_ready
from infra.errors import UsageError

LOG_NAME = "server.log"


def start_server(home: Path, host: str = "127.0.0.1", port: int = 0, whole: bool = False) -> tuple[KeptAlive, str]:
    """Start a server with its log in `home`, which PREFECT_HOME must name; returns it and its API's URL.

    `port` 0 takes any free one, and keeps it when the server has to be started again. A `whole` server
    has the dashboard, the scheduler and the automations; else it only keeps track of runs. Raises
    UsageError when the port is taken. It takes some seconds until `wait_until_ready`.
    """
    try:
        with socket.create_server((host, port)) as probe:
            port = probe.getsockname()[1]
    except OSError as error:
        raise UsageError(f"cannot listen on {host}:{port} ({error.strerror}); choose another with --port") from error
    server = KeptAlive(__name__, [host, str(port), "whole" if whole else "runs"], home / LOG_NAME)
    return server, f"http://{host}:{port}/api"


def main(parent: str, host: str, port: str, extent: str) -> None:
    """Serve until the parent ends."""
    end_with_parent(int(parent))
    listener = socket.create_server((host, int(port)))
    if extent == "whole":
        # The dashboard asks the address it came from, so that a tunnel or another name for this machine works.
        os.environ |= {"PREFECT_UI_API_URL": "/api", "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false"}
    else:
        os.environ |= {"PREFECT_UI_ENABLED": "0", "PREFECT__SERVER_EPHEMERAL": "1"}
    os.environ["PREFECT__SERVER_FINAL"] = "1"
    os.environ.pop("PREFECT_API_URL", None)
    import uvicorn

    class Announcing(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            if self.started:
                say_ready("ready")

    config = uvicorn.Config("prefect.server.api.server:create_app", factory=True, log_level="error", lifespan="on")
    Announcing(config).run(sockets=[listener])


if __name__ == "__main__":
    main(*sys.argv[1:])
