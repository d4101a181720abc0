"""The same deployments on an existing Prefect server, run by the worker of a work pool."""

import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from guide import README, Guide
from prefect.client.base import PrefectHttpxSyncClient
from service import wait_for, wait_until_gone

from flows.service.server import start_server
from infra.sample_world.write import write_world

pytestmark = pytest.mark.slow


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "prefect"))
    monkeypatch.setenv("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
    server, url = start_server(tmp_path / "prefect", whole=True)
    server.wait_until_ready()
    yield url
    server.stop()


def test_a_worker_of_a_pool_runs_what_was_deployed(server: str, tmp_path: Path) -> None:
    write_world(str(tmp_path / "videos"), 3, seed=3)
    mark = uuid.uuid4().hex
    places = {"VIDEOS": str(tmp_path / "videos"), "LAKE": str(tmp_path / "lake"), "HOME": str(tmp_path)}
    guide = Guide(**places, PREFECT_API_URL=server, UVR_TEST_MARK=mark, PREFECT_WORKER_QUERY_SECONDS="2")
    guide.run("prefect work-pool create")
    prefects_own = ["prefect", "--no-prompt", "deploy", "--all", "--prefect-file", "infra/prefect.yaml"]
    variables = {**guide.environment, "UVR_WORK_POOL": "videos"}
    subprocess.run(prefects_own, env=variables, cwd=README.parent, capture_output=True, check=True)
    assert "synthesize-pairs/nightly is registered" in guide.run("uvr deploy")  # over what is there
    worker = subprocess.Popen(
        guide.words("prefect worker start"), env=guide.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        guide.run("prefect deployment run synthesize-pairs")
        api = PrefectHttpxSyncClient(base_url=server, timeout=30)

        def ended() -> list[str]:
            runs = api.post("/flow_runs/filter", json={"deployments": {"name": {"any_": ["nightly"]}}}).json()
            return [run["state_type"] for run in runs if run["state_type"] in ("COMPLETED", "FAILED", "CRASHED")]

        assert wait_for("the run", ended) == ["COMPLETED"]
        assert list((tmp_path / "lake").glob("releases/*/manifest.json"))
        automations = api.post("/automations/filter", json={}).json()
        assert {a["name"] for a in automations} == {
            "train and evaluate when shards have landed",
            "mark runs that died as crashed",
        }
    finally:
        worker.kill()  # it may be at work on the release by now
        worker.wait()
    wait_until_gone(mark)
