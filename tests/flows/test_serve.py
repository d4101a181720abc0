"""The service a data engineer leaves running: schedule, resume, events, verdict, dashboard."""

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from service import Service, marked, wait_for

from infra.sample_world.write import write_world
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
        plan = ("--videos", str(self.videos), "--lake", str(self.lake), "--cron", "0 3 * * *")
        self.service = Service(folder, *plan, "--port", "0", *SETTINGS)

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
    story.service.start()
    yield story
    story.service.stop()


def test_the_nightly_run_is_on_the_calendar(story: Story) -> None:
    [first, *_] = wait_for("scheduled runs", lambda: story.service.runs("nightly", "SCHEDULED"))
    start = datetime.fromisoformat(first["expected_start_time"])
    assert (start.hour, start.minute) == (3, 0)
    assert start - datetime.now(UTC) < timedelta(days=1)
    assert first["parameters"] | {"recipe": None} == first["parameters"]
    assert first["parameters"]["lake"] == str(story.lake)


def test_a_run_survives_its_runner_and_its_release_is_trained_on_once(story: Story) -> None:
    service = story.service
    run = service.run(NIGHTLY)
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
    service.api.post("/events", json=[again]).raise_for_status()
    wait_for("the second event", lambda: len(service.events("uvr.shards.landed")) == 2)
    time.sleep(5)  # the first one started its run in less
    assert len(service.runs("on-release")) == 1


def test_new_videos_are_all_that_the_next_run_does(story: Story) -> None:
    """Meanwhile the server is killed, then the whole service with its runs."""
    service = story.service
    story.more_videos(7)
    before = parts(story.lake)
    run = service.run(NIGHTLY)
    story.wait_for_parts(2)
    service.kill("flows.service.server")
    story.wait_for_parts(2)
    service.kill("flows.cli")
    wait_for("all to end", lambda: not list(marked(service.mark)), 30)
    committed = parts(story.lake)
    service.start()
    service.wait_until(run, "COMPLETED")
    assert before.items() <= committed.items() <= parts(story.lake).items()
    assert len(story.releases()) == 2
