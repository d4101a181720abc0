"""The demo with texts by a captioner that vLLM serves: real weights, a real server, real clips."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import uuid
from dataclasses import dataclass
from pathlib import Path

import pytest
from served_captioner import served_captioner
from service import marked, wait_for

from infra.lake import open_tables
from infra.sample_world.spec import THING_COLOURS
from infra.stage import Row
from shards.manifest import load_manifest, verify
from shards.reader import read_pairs
from train.captioner.lessons import WAYS
from train.captioner.marks import told_way

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(2400)]

VIDEOS = 120
DEMO = ("--videos", str(VIDEOS), "--set", "generator.kind=vllm", "--set", "train.epochs=1")
COLOUR_CHANCE = 1 / len(THING_COLOURS)
WAY_CHANCE = 1 / len(WAYS)


@dataclass
class Demo:
    """What the demo left, and its servers' processes that were killed meanwhile."""

    lake: Path
    printed: str
    killed: int
    left: list[str]

    @property
    def manifest(self) -> str:
        return next(line.split()[-1] for line in self.printed.splitlines() if line.strip().startswith("release "))


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Demo:
    """The demo, its server killed while captions are written. It finds its captioner there, and trains none."""
    folder, mark = tmp_path_factory.mktemp("demo"), uuid.uuid4().hex
    shutil.copytree(served_captioner(pytestconfig), folder / "out" / "tiny-captioner")
    environment = {**os.environ, "PREFECT_HOME": str(folder / "prefect"), "UVR_TEST_MARK": mark}
    log, lake = folder / "demo.log", folder / "out" / "lake"
    with log.open("wb") as out:
        command = [sys.executable, "-m", "flows.cli", "demo", "--out", str(folder / "out"), *DEMO]
        run = subprocess.Popen(command, env=environment, stdout=out, stderr=out)
    wait_for("answers", lambda: list(lake.glob("kept/answers/*/*/*.json")) or run.poll() is not None, 1500)
    servers = [p for p in marked(mark) if "vllm.entrypoints.openai.api_server" in p.cmdline()]
    for server in servers:
        server.send_signal(signal.SIGKILL)
    assert run.wait(1500) == 0, log.read_text()
    return Demo(lake, log.read_text(), len(servers), [" ".join(p.cmdline())[:100] for p in marked(mark)])


def test_a_killed_server_costs_nothing(demo: Demo) -> None:
    assert demo.killed
    verify(demo.manifest)
    assert not demo.left
    stages = {stage["name"]: stage for stage in load_manifest(demo.manifest).facts["funnel"]}
    for name in ("captions", "queries"):
        assert stages[name]["in"] == stages[name]["out"] + stages[name]["dropped"] + stages[name]["quarantined"]
        assert stages[name]["out"] >= 0.9 * stages[name]["in"]


def test_the_releases_captions_are_the_models(demo: Demo) -> None:
    told = [json.loads(json.loads(path.read_text())["text"]) for path in demo.lake.glob("kept/answers/*/*/*.json")]
    written = {text for answer in told for text in answer.values()}
    tars = [str(path) for path in sorted(Path(demo.manifest).parent.glob("*-T*V-*.tar"))]
    texts = [pair.query.text for pair in read_pairs(tars)]
    assert texts
    assert set(texts) <= written
    with open_tables(str(demo.lake)) as tables:
        [row] = tables.query("SELECT DISTINCT caption_model, caption_prompt_version FROM out_captions")
    assert re.fullmatch(r"tiny-captioner@[0-9a-f]{16}", row["caption_model"])


def single_things(demo: Demo) -> list[tuple[str, Row]]:
    """Summaries of clips of videos that show one thing in one shot, each with that thing."""
    truth = map(json.loads, (demo.lake.parent / "videos" / "truth.jsonl").read_text().splitlines())
    things = {t["path"]: t["shots"][0]["things"] for t in truth if len(t["shots"]) == 1}
    with open_tables(str(demo.lake)) as tables:
        rows = tables.query("SELECT source, captions FROM out_captions ORDER BY key")
    found = [(row["captions"][0], things.get(Path(row["source"]).name, [])) for row in rows]
    return [(summary, shown[0]) for summary, shown in found if len(shown) == 1]


def test_captions_name_colour_and_motion_of_clips_never_seen(demo: Demo) -> None:
    pairs = single_things(demo)
    assert len(pairs) >= 40
    colours = [thing["colour"] in summary.split() for summary, thing in pairs]
    assert sum(colours) / len(pairs) >= 6 * COLOUR_CHANCE
    going = [(summary, legs[0]["motion"]) for summary, thing in pairs if len(legs := thing["legs"]) == 1]
    straight = [(summary, WAYS[motion]) for summary, motion in going if motion in WAYS]
    named = [told_way(summary) == way for summary, way in straight]
    assert len(named) >= 15
    assert sum(named) / len(named) >= 2 * WAY_CHANCE, straight
