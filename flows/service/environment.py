"""Where Prefect runs: its settings, and an API for the length of one command."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from flows.service.server import start_server

EVENTS_S = 10.0  # for the last events to reach the server
HEALTH_S = 5.0  # for a server to say that it is there
SERVED_NAME = "serve.json"  # in Prefect's home while `uvr serve` runs


def prepare(logging_level: str = "CRITICAL") -> Path:
    """Set Prefect's environment for this project, leaving alone what the user has set; returns Prefect's home.

    Call it before anything imports `prefect`. The home is `.prefect` below the current folder, so
    that runs are kept with the project they belong to and nothing is shared with other projects.
    """
    defaults = {
        "PREFECT_HOME": str(Path(".prefect").resolve()),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "false",  # one that Prefect starts by itself would outlive a kill
        "DO_NOT_TRACK": "1",
        # What went wrong is said once, by the command line; the server keeps the full log.
        "PREFECT_LOGGING_LEVEL": logging_level,
        # A server that is started again needs some 10 s; runs wait for it longer than that.
        "PREFECT_CLIENT_MAX_RETRIES": "6",
    }
    for name, value in defaults.items():
        os.environ.setdefault(name, value)
    home = Path(os.environ["PREFECT_HOME"])
    home.mkdir(parents=True, exist_ok=True)
    return home


@contextmanager
def prefect_server() -> Iterator[None]:
    """A Prefect API for the length of the block: the one at PREFECT_API_URL, else that of a running
    `uvr serve` of this project, else one of our own.

    Raises RunFailed when the server does not start.
    """
    home = prepare()
    if os.environ.get("PREFECT_API_URL"):
        yield
        return
    server = None
    url = served_url(home)
    if url is None:
        server, url = start_server(home)
    try:
        from prefect.events.worker import EventsWorker
        from prefect.settings import PREFECT_API_URL, temporary_settings

        if server is not None:
            server.wait_until_ready()  # the imports above took as long
        with temporary_settings({PREFECT_API_URL: url}):
            yield
            EventsWorker.drain_all(timeout=EVENTS_S)
    finally:
        if server is not None:
            server.stop()


def served_url(home: Path) -> str | None:
    """The API of the `uvr serve` that uses this home now, if any."""
    try:
        url = str(json.loads((home / SERVED_NAME).read_text())["url"])
        answer = httpx.get(f"{url}/health", timeout=HEALTH_S, trust_env=False)  # never by way of a proxy
        return url if answer.text == "true" else None
    except (FileNotFoundError, httpx.TransportError):  # none was started, or it is gone
        return None
