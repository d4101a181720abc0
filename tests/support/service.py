"""`uvr serve` as a test sees it: started, watched over its REST API, killed in its parts, started again."""

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
from prefect.client.base import PrefectHttpxSyncClient


def marked(mark: str) -> Iterator[psutil.Process]:
    """The living processes that carry this mark in their environment."""
    for process in psutil.process_iter():
        try:
            if process.environ().get("UVR_TEST_MARK") == mark and process.status() != psutil.STATUS_ZOMBIE:
                yield process
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue


def wait_for(what: str, check: Callable[[], Any], seconds: float = 240.0) -> Any:
    """What `check` returns as soon as it is true; fails when that takes too long."""
    limit = time.monotonic() + seconds
    while time.monotonic() < limit:
        if found := check():
            return found
        time.sleep(0.3)
    raise AssertionError(f"waited {seconds:.0f} s in vain for {what}")


def wait_until_gone(mark: str) -> None:
    """Wait for every process with this mark to end.

    Ray's own agents, if they were still starting when their cluster was killed, look for it for a minute.
    """
    limit = time.monotonic() + 120
    while left := list(marked(mark)):
        if time.monotonic() > limit:
            raise AssertionError(
                f"still there: {[process.as_dict(['pid', 'ppid', 'status', 'cmdline']) for process in left]}"
            )
        time.sleep(0.3)


class Service:
    """One `uvr serve` and its API."""

    def __init__(self, home: Path, *arguments: str) -> None:
        self.home = home
        self.command = [sys.executable, "-m", "flows.cli", "serve", *arguments]
        self.mark = uuid.uuid4().hex
        self.environment = {**os.environ, "PREFECT_HOME": str(home / "prefect"), "UVR_TEST_MARK": self.mark}
        self.environment.pop("PREFECT_API_URL", None)
        self.log = home / "serve.log"

    def start(self) -> None:
        """Start and wait until it serves."""
        self.log.unlink(missing_ok=True)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command, env=self.environment, stdout=log, stderr=log, start_new_session=True
            )
        wait_for("the service", self._is_ready)
        said = self.log.read_text()
        self.dashboard = next(line.split()[-1] for line in said.splitlines() if line.startswith("dashboard:"))
        # Prefect's own: a busy server says 503 and means "again in a moment"
        self.api = PrefectHttpxSyncClient(base_url=f"{self.dashboard}/api", timeout=30)

    def _is_ready(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        return "stop with" in self.log.read_text()

    def stop(self) -> None:
        """Stop as Ctrl-C does; nothing must stay behind."""
        self.process.send_signal(signal.SIGINT)
        assert self.process.wait(30) == 0
        wait_until_gone(self.mark)

    def kill(self, module: str) -> None:
        """SIGKILL the part of the service that runs `module`, or all of `uvr serve` itself with flows.cli."""
        found = [p for p in marked(self.mark) if module in p.cmdline()]
        assert found, f"no process runs {module}"
        for process in found:
            process.kill()
        psutil.wait_procs(found, 10)

    def post(self, path: str, **body: Any) -> Any:
        """The JSON answer of a POST."""
        answer = self.api.post(path, json=body)
        return answer.json() if answer.content else None

    def runs(self, deployment: str, *types: str) -> list[dict[str, Any]]:
        """The flow runs of a deployment, oldest first; of some state types only, if named."""
        wanted: dict[str, Any] = {"deployments": {"name": {"any_": [deployment]}}, "sort": "START_TIME_ASC"}
        if types:
            wanted["flow_runs"] = {"state": {"type": {"any_": list(types)}}}
        found: list[dict[str, Any]] = self.post("/flow_runs/filter", **wanted)
        return found

    def run(self, name: str, **parameters: Any) -> str:
        """Start a run of the deployment `flow/deployment` now; returns its id."""
        deployment = self.api.get(f"/deployments/name/{name}").json()
        made = self.post(f"/deployments/{deployment['id']}/create_flow_run", parameters=parameters)
        return str(made["id"])

    def state(self, run: str) -> dict[str, Any]:
        """The state of a flow run."""
        return dict(self.api.get(f"/flow_runs/{run}").json()["state"])

    def wait_until(self, run: str, state: str, seconds: float = 240.0) -> None:
        """Wait for a flow run to reach a state type; fails at once when it ends in another."""

        def reached() -> bool:
            now = self.state(run)
            ended = now["type"] in {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}
            assert now["type"] == state or not ended, (now, self.log.read_text()[-3000:])
            return bool(now["type"] == state)

        wait_for(f"{run} to be {state}", reached, seconds)

    def events(self, name: str) -> list[dict[str, Any]]:
        """The events of one name that the server has stored."""
        found = self.post("/events/filter", filter={"event": {"name": [name]}})
        return list(found["events"])
