"""What `uvr serve` and `uvr deploy` refuse before anything starts, and how deployments are filled in."""

import os
import socket
import subprocess
import sys
from pathlib import Path
from unittest.mock import patch

import pytest
from guide import guide_commands

from flows.service.environment import prepare


def refusal(tmp_path: Path, *arguments: str, **environment: str) -> str:
    """What a command that is used wrongly says."""
    known = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    environment = {**known, "PREFECT_HOME": str(tmp_path), **environment}
    command = [sys.executable, "-m", "flows.cli", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stdout + done.stderr
    return done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--videos", "v"), "--videos and --lake go together"),
        (("--cron", "61 2 * * *"), "--cron takes minute, hour"),
        (("--timezone", "Mars/Olympus"), "no time zone 'Mars/Olympus'"),
        (("--set", "scan.fsp=1"), "unknown key scan.fsp"),
        (("--videos", "https://a:b@h/v", "--lake", "l"), "carries credentials"),
        (("--host", "0.0.0.0", "--port", "0"), "PREFECT_SERVER_API_AUTH_STRING"),
    ],
)
def test_what_could_never_run_is_refused(arguments: tuple[str, ...], words: str, tmp_path: Path) -> None:
    assert words in refusal(tmp_path, "serve", *arguments)


def test_a_server_elsewhere_or_a_taken_port_is_named(tmp_path: Path) -> None:
    assert "uvr deploy --pool" in refusal(tmp_path, "serve", PREFECT_API_URL="http://127.0.0.1:1/api")
    assert "set PREFECT_API_URL" in refusal(tmp_path, "deploy", "--pool", "p")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert "choose another with --port" in refusal(tmp_path, "serve", "--port", str(taken.getsockname()[1]))


@patch.dict(os.environ)  # put back at the end
def test_deployments_are_filled_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path))
    prepare()
    from flows.service.deployments import build, read_deployments
    from flows.service.nightly import Nightly

    nightly, on_release = read_deployments()
    made = build(nightly, Nightly("/v", "/l", None, ("scan.samples_per_s=2",), "5 4 * * *", "Europe/Berlin"))
    assert made.full_name == "synthesize-pairs/nightly"
    assert made.parameters["videos"] == "/v"
    assert made.parameters["overrides"] == ["scan.samples_per_s=2"]
    [schedule] = made.schedules or []
    assert (schedule.schedule.cron, schedule.schedule.timezone) == ("5 4 * * *", "Europe/Berlin")
    assert not build(nightly, Nightly()).schedules, "without videos nothing can run by the clock"
    assert build(on_release, Nightly("/v", "/l")).full_name == "train-and-eval/on-release"


def test_the_guide_has_commands() -> None:
    assert len(guide_commands()) > 10
