"""The service a data engineer leaves running: schedule, resume, events, verdict, dashboard."""

import json
import re
import shutil
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest
from guide import Guide
from service import Service, marked, wait_for, wait_until_gone
from toy_release import toy_pairs, write_release

from infra.sample_world.write import write_world
from infra.store import Store
from shards.manifest import verify

pytestmark = pytest.mark.slow

SETTINGS = ("--set", "layout.val_share=0.3", "--set", "train.epochs=1", "--set", "run.retry_delays_s=[1]")
NIGHTLY, ON_RELEASE = "synthesize-pairs/nightly", "train-and-eval/on-release"


def parts(lake: Path) -> dict[str, int]:
    return {str(p): p.stat().st_mtime_ns for p in lake.glob("stages/*-*/parts/unit-*.parquet")}


class Story:
    """A service with its videos and its lake."""

    def __init__(self, folder: Path) -> None:
        self.videos, self.lake = folder / "videos", folder / "lake"
        write_world(str(self.videos), 5, seed=3)
        self.guide = Guide(VIDEOS=str(self.videos), LAKE=str(self.lake), PREFECT_HOME=str(folder / "prefect"))
        self.service = Service(folder, *self.guide.words("uvr serve")[2:], "--port", "0", *SETTINGS)

    def start(self) -> None:
        self.service.start()
        self.guide.environment["PREFECT_API_URL"] = f"{self.service.dashboard}/api"

    def run_now(self) -> str:
        """Start a run as the guide says; returns its id."""
        return re.search(r"UUID: (\S+)", self.guide.run("prefect deployment run synthesize-pairs"))[1]

    def more_videos(self, count: int) -> None:
        write_world(str(self.videos), count, seed=3)

    def wait_for_parts(self, more: int) -> None:
        before = len(parts(self.lake))
        wait_for(f"{more} more committed parts", lambda: len(parts(self.lake)) >= before + more)

    def releases(self) -> list[Path]:
        return sorted(self.lake.glob("releases/*/manifest.json"))


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    story = Story(tmp_path_factory.mktemp("served"))
    story.start()
    yield story
    story.service.stop()


def test_the_nightly_run_is_on_the_calendar(story: Story) -> None:
    [first, *_] = wait_for("scheduled runs", lambda: story.service.runs("nightly", "SCHEDULED"))
    start = datetime.fromisoformat(first["expected_start_time"])
    local = start.astimezone(ZoneInfo("Europe/Berlin"))
    assert (local.hour, local.minute) == (2, 0)
    assert start - datetime.now(UTC) < timedelta(days=1)
    assert first["parameters"] | {"recipe": None} == first["parameters"]
    assert first["parameters"]["lake"] == str(story.lake)


def test_a_run_survives_its_runner_and_its_release_is_trained_on_once(story: Story) -> None:
    service = story.service
    run = story.run_now()
    story.wait_for_parts(4)
    committed = parts(story.lake)
    service.kill("flows.service.runner")
    service.wait_until(run, "COMPLETED")
    assert committed.items() <= parts(story.lake).items(), "a committed unit was done again"
    [manifest] = story.releases()
    verify(str(manifest))

    [event] = wait_for("the event", lambda: service.events("uvr.shards.landed"))
    assert event["payload"]["manifest"] == str(manifest)
    assert event["payload"]["pairs"] == sum(event["payload"]["pairs_by_task"].values()) > 0
    [training] = wait_for("train-and-eval to start", lambda: service.runs("on-release"))
    service.wait_until(training["id"], "COMPLETED")
    verdict = json.loads((manifest.parent / "verdict.json").read_text())
    assert verdict["promoted"] in (True, False)
    name = "uvr.model.promoted" if verdict["promoted"] else "uvr.model.rejected"
    wait_for(name, lambda: service.events(name))

    again = {"id": str(uuid4()), "occurred": datetime.now(UTC).isoformat()}
    again |= {key: event[key] for key in ("event", "resource", "payload")}
    service.api.post("/events", json=[again])
    wait_for("the second event", lambda: len(service.events("uvr.shards.landed")) == 2)
    time.sleep(5)  # the first one started its run in less
    assert len(service.runs("on-release")) == 1


def test_new_videos_are_all_that_the_next_run_does(story: Story) -> None:
    """Meanwhile the server is killed, then the whole service with its runs."""
    service = story.service
    story.more_videos(7)
    automations = [known["id"] for known in service.post("/automations/filter")]
    before = parts(story.lake)
    run = service.run(NIGHTLY)
    story.wait_for_parts(2)
    service.kill("flows.service.server")
    story.wait_for_parts(2)
    service.kill("flows.cli")
    wait_until_gone(service.mark)
    committed = parts(story.lake)
    story.start()
    assert [known["id"] for known in service.post("/automations/filter")] == automations, "they remember what they did"
    service.wait_until(run, "COMPLETED")
    assert before.items() <= committed.items() <= parts(story.lake).items()
    assert len(story.releases()) == 2


def test_a_cancelled_run_stops_its_workers_and_leaves_a_lake_that_goes_on(story: Story) -> None:
    service = story.service
    other = [
        *service.api.get(f"/deployments/name/{NIGHTLY}").json()["parameters"]["overrides"],
        "scan.samples_per_s=5.0",
    ]
    run = service.run(NIGHTLY, overrides=other)
    story.wait_for_parts(2)
    story.guide.run("prefect flow-run cancel", RUN=run)
    service.wait_until(run, "CANCELLED", 40)
    wait_for(
        "Ray to end", lambda: not [p for p in marked(service.mark) if "ray" in p.name() or "engine" in p.cmdline()]
    )
    committed = parts(story.lake)
    story.guide.run("prefect flow-run retry", RUN=run)
    service.wait_until(run, "COMPLETED")
    assert committed.items() <= parts(story.lake).items()


def test_a_failed_stage_says_why_and_its_retry_goes_on(story: Story) -> None:
    service = story.service
    overrides = service.api.get(f"/deployments/name/{NIGHTLY}").json()["parameters"]["overrides"]
    run = service.run(NIGHTLY, overrides=[*overrides, "quality.max_plain_share=-1"])
    service.wait_until(run, "FAILED")
    assert "stage quality kept 0 of" in service.state(run)["message"]
    tasks = service.post("/task_runs/filter", flow_runs={"id": {"any_": [run]}})
    states = {task["name"].rsplit("-", 1)[0]: task["state"] for task in tasks}
    assert states["spans"]["type"] == "COMPLETED"
    assert states["quality"]["type"] == "FAILED"
    assert "run.min_yield" in states["quality"]["message"]


def test_the_dashboard_shows_funnel_and_contact_sheet(story: Story) -> None:
    """In a real browser, which may ask nobody but the dashboard for anything."""
    playwright = pytest.importorskip("playwright.sync_api")
    browser_path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser_path is None:
        pytest.skip("no Chromium is installed")
    run = story.service.runs("nightly", "COMPLETED")[0]["id"]
    asked: list[str] = []
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=browser_path, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1400, "height": 1100})
        page.on("request", lambda request: asked.append(request.url))
        for name in ("funnel", "contact-sheet"):
            page.goto(f"{story.service.dashboard}/runs/flow-run/{run}")
            page.get_by_text("Artifacts", exact=True).last.click()
            page.get_by_text(name, exact=True).last.click()
            drawn = page.get_by_role("img", name=name.replace("-", " "))
            drawn.wait_for()
            assert drawn.evaluate("picture => picture.complete && picture.naturalWidth") > 500
        browser.close()
    assert [url for url in asked if not url.startswith((story.service.dashboard, "data:", "blob:"))] == []


def test_no_secret_reaches_the_dashboard(story: Story) -> None:
    run = story.service.run(NIGHTLY, videos="https://bob:hunter2@127.0.0.1:9/videos.csv")
    story.service.wait_until(run, "FAILED")
    assert "carries credentials" in story.service.state(run)["message"]
    assert "hunter2" not in story.service.state(run)["message"]
    logs = wait_for("its log", lambda: story.service.post("/logs/filter", logs={"flow_run_id": {"any_": [run]}}))
    assert any("carries credentials" in entry["message"] for entry in logs)
    assert not [entry for entry in logs if "hunter2" in entry["message"]]


def test_a_release_that_nobody_heard_of_is_trained_on_when_the_service_starts(tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    (lake / "releases" / "toy").mkdir(parents=True)
    write_release(lake / "releases" / "toy", toy_pairs())
    Store(str(lake)).write("published/00000001-toy.json", b"{}")
    service = Service(tmp_path, "--videos", str(tmp_path), "--lake", str(lake), "--port", "0", *SETTINGS)
    service.start()
    try:
        [training] = wait_for("train-and-eval to start", lambda: service.runs("on-release"))
        service.wait_until(training["id"], "COMPLETED")
        assert (lake / "releases" / "toy" / "verdict.json").exists()
    finally:
        service.stop()


def test_every_command_of_the_guide_works(story: Story) -> None:
    """Those that the story above had no use for."""
    guide, manifest = story.guide, story.releases()[0]
    assert "bottleneck" in guide.run("uvr plan")
    assert "synth" in guide.run("prefect flow-run ls")
    assert "quality" in guide.run("uvr status"), "as far as the last run came"
    guide.run("uvr quarantine")
    assert "R@1" in guide.run("uvr release list")
    again = guide.run("prefect deployment run train-and-eval", MANIFEST=str(manifest))
    story.service.wait_until(re.search(r"UUID: (\S+)", again)[1], "COMPLETED")
    elsewhere = ("prefect work-pool", "uvr deploy", "prefect worker")  # see test_deploy.py
    assert [line for line in guide.not_run() if not line.startswith(elsewhere)] == []
