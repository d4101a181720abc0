"""Settles what Prefect must know before it is imported: where it keeps its database, and that it stays at home."""

from __future__ import annotations

import os
from pathlib import Path


def prepare() -> None:
    """Set Prefect's environment for this project, leaving alone what the user has set.

    Call it before anything imports `prefect`. The home is `.prefect` below the current folder, so
    that runs are kept with the project they belong to and nothing is shared with other projects.
    """
    defaults = {
        "PREFECT_HOME": str(Path(".prefect").resolve()),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "60",
        # What went wrong is said once, by the command line; the dashboard keeps the full log.
        "PREFECT_LOGGING_LEVEL": "CRITICAL",
    }
    for name, value in defaults.items():
        os.environ.setdefault(name, value)
