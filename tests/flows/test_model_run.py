"""Whole runs whose texts come from a model behind an endpoint that misbehaves."""

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from bad_server import BadServer, Body
from fake_model import asked, describe
from service import wait_for

from infra.sample_world.write import write_world
from shards.manifest import verify
from shards.reader import read_pairs

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("shared_prefect")]

VIDEOS = 4
# Of a stretch of requests: most are answered, a few are not, and all of these may be asked again.
TROUBLE = ["ok"] * 5 + [
    "500",
    "ok",
    "429:0.1",
    "ok",
    "drop",
    "ok",
    "not-json",
    "503",
    "ok",
    "drop-late",
    "wrong-schema",
]


class Runs:
    """`uvr run` on one lake with a model at one endpoint."""

    def __init__(self, folder: Path, server: BadServer) -> None:
        self.lake, self.log = folder / "lake", folder / "run.log"
        videos = write_world(str(folder / "videos"), VIDEOS, seed=3)
        command = [sys.executable, "-m", "flows.cli", "run", "--videos", videos, "--lake", str(self.lake)]
        settings = {
            "generator.kind": "openai",
            "generator.model": "tiny",
            "generator.frames": 4,
            "serving.endpoints": json.dumps([server.url]),
            "serving.deadline_s": 20,
            "serving.patience_s": 5,
            "run.retry_delays_s": "[1, 1]",
            "layout.val_share": 0.3,
        }
        self.command = [*command, *(word for key, value in settings.items() for word in ("--set", f"{key}={value}"))]
        self.environment = {**os.environ, "PREFECT_HOME": str(folder / "prefect")}

    def start(self, *extra: str) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [*self.command, *extra], env=self.environment, stdout=log, stderr=log, start_new_session=True
            )

    def finish(self, *extra: str) -> str:
        """Run to the end; returns the manifest's path."""
        assert self.start(*extra).wait() == 0, self.log.read_text()
        return self.log.read_text().splitlines()[-1]


def questions(bodies: list[Body]) -> set[tuple[str, str]]:
    """Kind and clip of requests that are not about canaries."""
    return {asked(body) for body in bodies if not asked(body)[1].startswith("canary")}


def ledger(lake: Path) -> list[dict[str, str]]:
    return [json.loads(path.read_text()) for path in lake.glob("kept/answers/*/*/*.json")]


def test_a_run_in_trouble_makes_a_release_of_the_models_captions_and_pays_once(tmp_path: Path) -> None:
    with BadServer(describe, script=TROUBLE * 1000, delay_s=0.05) as server:
        runs = Runs(tmp_path, server)
        run = runs.start()
        wait_for("some answers", lambda: len(ledger(runs.lake)) > 3, 180)
        os.killpg(run.pid, signal.SIGKILL)
        run.wait()
        paid = {(entry["kind"], entry["clip_id"]) for entry in ledger(runs.lake)}
        before = len(server.bodies)
        manifest = runs.finish()
        verify(manifest)
        assert paid.isdisjoint(questions(server.bodies[before:]))
        assert {(entry["kind"], entry["clip_id"]) for entry in ledger(runs.lake)} == questions(server.bodies)
        before = len(server.bodies)
        assert runs.finish("--set", "pairs.target_pairs=10") != manifest
        assert len(server.bodies) == before
    listed = subprocess.run(
        [sys.executable, "-m", "flows.cli", "answers", "--lake", str(runs.lake), "--json"], capture_output=True
    )
    asked_for = Counter(entry["kind"] for entry in ledger(runs.lake))
    assert {row["kind"]: row["answers"] for row in json.loads(listed.stdout)} == asked_for
    told = [json.loads(entry["text"]) for entry in ledger(runs.lake) if "captions" in entry["kind"]]
    captions = {text for answer in told for text in answer.values()}
    tars = [str(path) for path in sorted(Path(manifest).parent.glob("*-T2[VI]-*.tar"))]
    texts = {pair.query.text for pair in read_pairs(tars)}
    assert texts
    assert texts <= captions


def test_a_model_that_stays_away_stops_the_run_and_loses_nothing(tmp_path: Path) -> None:
    with BadServer(describe) as server:
        runs = Runs(tmp_path, server)
    assert runs.start().wait() == 1
    *_, last = runs.log.read_text().splitlines()
    assert "no endpoint" in last or "cannot be reached" in last, last
    with BadServer(describe, port=server.port):
        verify(runs.finish())


def test_answers_that_are_no_good_stop_the_run_by_its_floor(tmp_path: Path) -> None:
    def short(body: dict[str, object]) -> str:
        right = json.loads(describe(body))
        return json.dumps(right if right["clip_id"].startswith("canary") else {**right, "summary": "Too short."})

    with BadServer(short) as server:
        runs = Runs(tmp_path, server)
        assert runs.start().wait() == 1
    *_, last = runs.log.read_text().splitlines()
    assert "under the floor" in last
    assert "invalid_answer" in last
