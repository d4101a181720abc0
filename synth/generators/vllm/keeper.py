"""One server as a child: started, waited for, started again when it dies or hangs, ended for good."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import httpx

from infra.errors import RunFailed
from synth.generators.vllm import guard

POLL_S = 0.5  # while it starts
HEALTH_EVERY_S = 2.0
HEALTH_TIMEOUT_S = 5.0
HANG_S = 60.0  # without an answer to a question for its health, after which a server is started anew
RESTARTS_IN_A_ROW = 5
STEADY_S = 300.0  # after which earlier restarts are forgotten
LOG_LINES = 12  # that an error quotes, and as many that name an exception
END_S = guard.GRACE_S + 5.0

_NOT_FOR_IT = ("PYTHONPATH", "PYTHONHOME")  # the server has an interpreter of its own
_EXCEPTION = re.compile(r"\w(Error|Exception)\b: ")


class KeptServer:
    """A server at one URL, kept alive by a thread from `start` to `stop`; it dies with this process."""

    def __init__(
        self,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        health: str,
        start_s: float,
        hang_s: float = HANG_S,
    ) -> None:
        """`health` is the URL that answers 2xx once the server is ready, within `start_s` of its start."""
        self.arguments = tuple(arguments)
        self.environment = {k: v for k, v in os.environ.items() if k not in _NOT_FOR_IT} | dict(environment)
        self.health = health
        self.start_s = start_s
        self.hang_s = hang_s
        self._client = httpx.Client(timeout=HEALTH_TIMEOUT_S, trust_env=False)  # no proxy is asked for it
        self._stopping = threading.Event()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the server unless it is kept already, and wait until it is ready.

        Raises RunFailed with the end of its log when it ends, or is not ready in time.
        """
        with self._starting:
            while self.is_kept():  # it may just be on its way back
                if self._is_healthy():
                    return
                time.sleep(POLL_S)
            self._launch()
            try:
                self._wait_until_ready()
            except BaseException:
                self._end()
                raise
            self._thread = threading.Thread(target=self._keep, name="keep-server", daemon=True)
            self._thread.start()

    def is_kept(self) -> bool:
        """Whether the server runs or is about to run again; False once it was given up."""
        return self._thread is not None and self._thread.is_alive()

    def stop(self) -> None:
        """End the server for good, also one that is just starting; returns when all its processes have ended."""
        self._stopping.set()
        with self._starting:
            if self._thread:
                self._thread.join()

    def _launch(self) -> None:
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - without a name, so that nobody has to remove it
        command = [sys.executable, "-I", str(Path(guard.__file__).resolve()), *self.arguments]
        self._process = subprocess.Popen(
            command,
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            start_new_session=True,
        )
        self._process.wait()  # the guard goes on as its child

    def _has_ended(self, wait_s: float) -> bool:
        """Whether the guard is gone, and with it the server; waits up to `wait_s` for that."""
        pipe = self._process.stdout
        assert pipe is not None
        return pipe.closed or bool(select.select([pipe], [], [], wait_s)[0])

    def _is_healthy(self) -> bool:
        try:
            return self._client.get(self.health).is_success
        except httpx.HTTPError:
            return False

    def _wait_until_ready(self) -> None:
        limit = time.monotonic() + self.start_s
        while not self._is_healthy():
            if self._has_ended(POLL_S):
                raise RunFailed(f"the vLLM server ended while it started; it said:\n{self._said()}")
            if self._stopping.is_set():
                raise RunFailed("the vLLM server was stopped while it started")
            if time.monotonic() > limit:
                raise RunFailed(f"the vLLM server is not ready after {self.start_s:.0f} s; it said:\n{self._said()}")

    def _keep(self) -> None:
        restarts = 0
        try:
            while restarts < RESTARTS_IN_A_ROW:
                if self._watch() > STEADY_S:
                    restarts = 0
                if self._stopping.is_set():
                    return
                restarts += 1
                print(f"vLLM server lost; restart {restarts}. It said:\n{self._said()}", file=sys.stderr, flush=True)
                self._restart()
        finally:
            self._end()

    def _watch(self) -> float:
        """Seconds for which the server was healthy, once it is not any more or is to be stopped."""
        began = answered = time.monotonic()
        while not self._stopping.is_set() and not self._has_ended(HEALTH_EVERY_S):
            if self._is_healthy():
                answered = time.monotonic()
            elif time.monotonic() - answered > self.hang_s:
                break
        return answered - began

    def _restart(self) -> None:
        self._end()
        self._launch()
        try:
            self._wait_until_ready()
        except RunFailed as error:  # it counts as lost again
            print(error, file=sys.stderr, flush=True)

    def _end(self) -> None:
        """End all processes of the server that is there, gently if it lets us."""
        if self._process.stdout is None or self._process.stdin is None or self._process.stdout.closed:
            return
        self._process.stdin.close()
        self._has_ended(END_S)
        with suppress(ProcessLookupError):  # all are gone, as they should be
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.stdout.close()
        self._log.close()

    def _said(self) -> str:
        """The exceptions that the log names and its last lines."""
        size = os.fstat(self._log.fileno()).st_size
        lines = os.pread(self._log.fileno(), size, 0).decode(errors="replace").splitlines()
        early = [line for line in lines[:-LOG_LINES] if _EXCEPTION.search(line)]
        return "\n".join([*early[-LOG_LINES:], *lines[-LOG_LINES:]])
