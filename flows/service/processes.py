"""Child processes that are started again when they die, and that never outlive their parent."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from infra.errors import RunFailed

POLL_S = 0.5
RESTART_AFTER_S = 1.0


def end_with_parent(parent: int) -> None:
    """From now on end this process at once, without clean-up, when the process `parent` is gone.

    Nothing here needs a clean end: what is committed stays, and Ray and the lake's lease notice a dead
    owner by themselves.
    """

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(POLL_S)
        os._exit(1)

    threading.Thread(target=watch, name="end-with-parent", daemon=True).start()


def end_with_runner() -> None:
    """End with the parent process if this is a run that a runner started, and not somebody's command."""
    from prefect.runtime import deployment

    if deployment.id is not None:
        end_with_parent(os.getppid())


def say_ready(line: str) -> None:
    """Tell the parent that this child is ready; from then on standard output goes to standard error."""
    print(line, flush=True)
    os.dup2(2, 1)


class KeptAlive:
    """A Python module run as a child process, started again whenever it dies.

    The child's first argument is its parent's pid, for `end_with_parent`; it calls `say_ready` once.
    """

    def __init__(self, module: str, arguments: Sequence[str], log: Path | None = None) -> None:
        """Starts the child; `log` gets what it writes to standard error, without one the parent's does."""
        self.module = module
        self.command = [sys.executable, "-m", module, str(os.getpid()), *arguments]
        self.log = log
        self._stopping = threading.Event()
        self._launch()

    def wait_until_ready(self) -> None:
        """Wait for the child and keep it alive from now on; raises RunFailed when it does not become ready."""
        self._hear()
        threading.Thread(target=self._keep, name=f"keep-{self.module}", daemon=True).start()

    def stop(self) -> None:
        """End the child for good."""
        self._stopping.set()
        self.process.kill()
        self.process.wait()

    def _launch(self) -> None:
        if self.log:
            self.log.parent.mkdir(parents=True, exist_ok=True)
        log = self.log.open("ab") if self.log else None
        # In a session of its own, so that Ctrl-C reaches the parent alone, which then ends its children in order.
        self.process = subprocess.Popen(
            self.command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, start_new_session=True
        )
        if log:
            log.close()

    def _hear(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as ready:
            said = ready.readline().decode().strip()
        if not said:
            where = f"; see {self.log}" if self.log else ""
            raise RunFailed(f"{self.module} did not start (exit code {self.process.wait()}){where}")

    def _keep(self) -> None:
        while True:
            self.process.wait()
            if self._stopping.wait(RESTART_AFTER_S):
                return
            print(f"{self.module} ended unexpectedly; starting it again", file=sys.stderr, flush=True)
            try:
                self._launch()
                self._hear()
            except RunFailed as error:
                print(error, file=sys.stderr, flush=True)
