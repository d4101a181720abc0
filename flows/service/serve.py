"""`uvr serve`: server, dashboard and runner of one project, kept alive until they are stopped."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
from pathlib import Path

from flows.service.environment import SERVED_NAME, prepare, served_url
from flows.service.nightly import Nightly
from flows.service.processes import KeptAlive
from flows.service.server import start_server
from infra.errors import UsageError


def serve(nightly: Nightly, host: str, port: int, limit: int) -> None:
    """Serve the deployments until SIGINT or SIGTERM; runs that are going on then are picked up by the next serve.

    Raises UsageError when a server is configured or running already, or an open address has no password.
    """
    home = prepare()
    _refuse(home, host)
    if password := os.environ.get("PREFECT_SERVER_API_AUTH_STRING"):
        os.environ.setdefault("PREFECT_API_AUTH_STRING", password)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    server, url = start_server(home, host, port, whole=True)
    try:
        server.wait_until_ready()
        os.environ["PREFECT_API_URL"] = url
        os.environ.setdefault("PREFECT_RUNNER_POLL_FREQUENCY", "2")
        from flows.service.runner import arguments

        runner = KeptAlive("flows.service.runner", arguments(nightly, limit))
        try:
            runner.wait_until_ready()
            served = home / SERVED_NAME
            served.write_text(json.dumps({"url": url}))
            _greet(nightly, url)
            stop.wait()
            served.unlink()
        finally:
            runner.stop()
    finally:
        server.stop()


def _refuse(home: Path, host: str) -> None:
    if os.environ.get("PREFECT_API_URL"):
        raise UsageError(
            "PREFECT_API_URL names a Prefect server already: register the deployments there with "
            "`uvr deploy --pool POOL`, or unset it to have a server of this project's own"
        )
    if url := served_url(home):
        raise UsageError(f"this project is being served already, at {url.removesuffix('/api')}")
    open_to_others = not socket.gethostbyname(host).startswith("127.")
    if open_to_others and not os.environ.get("PREFECT_SERVER_API_AUTH_STRING"):
        raise UsageError(
            f"whoever reaches {host} could start runs here: set PREFECT_SERVER_API_AUTH_STRING to a user:password "
            "first, or stay on 127.0.0.1"
        )


def _greet(nightly: Nightly, url: str) -> None:
    print(f"dashboard: {url.removesuffix('/api')}")
    print(f"in other terminals: export PREFECT_API_URL={url}")
    if nightly.is_scheduled:
        print(f"nightly: {nightly.videos} -> {nightly.lake}")
    else:
        print("nightly: no schedule, because --videos and --lake were not given; start runs from the dashboard")
    print("stop with Ctrl-C", flush=True)
