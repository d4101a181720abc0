"""Trained, scored and judged: what is promoted, what a repeat does, and what a lost champion means."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import pytest
from toy_release import toy_pairs, write_release

from eval.verdict import Verdict, read_champion, read_verdict
from flows import commands
from flows.service.environment import prepare
from infra.errors import LakeBusy, RunFailed, UsageError
from infra.lease import hold_lease
from infra.store import Store

pytestmark = pytest.mark.slow

RECIPE = """
[train]
epochs = 14
learning_rate = 2e-3
batches = {size = 16}
tiny = {vocab_size = 320, hidden = 64, intermediate = 128, vision_hidden = 32}
tiny_inputs = {frames = 4, frame_max_pixels = 3136, image_max_pixels = 3136, max_tokens = 96}
"""


@pytest.fixture(scope="module", autouse=True)
def server(prefect_api: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The flow runs in this process, which may know no server or another one already."""
    with patch.dict(os.environ):
        os.environ["PREFECT_HOME"] = str(tmp_path_factory.mktemp("prefect"))
        prepare()
        from prefect.settings import PREFECT_API_URL, temporary_settings

        with temporary_settings({PREFECT_API_URL: prefect_api}):
            yield


def run(lake: Path, release_id: str, *overrides: str) -> Verdict:
    """The verdict of the flow on one release."""
    from flows.train_and_eval import train_and_eval

    report = train_and_eval(f"{lake}/releases/{release_id}/manifest.json", None, f"{lake}/recipe.toml", overrides)
    verdict = read_verdict(Store(str(lake)), release_id)
    assert verdict
    assert verdict.why in Path(report).read_text()
    return verdict


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake of two releases that hold the same pairs, both trained on and judged."""
    lake = tmp_path_factory.mktemp("judged")
    (lake / "recipe.toml").write_text(RECIPE)
    pairs = list(toy_pairs())
    for release_id in ("r1", "r2"):
        (lake / "releases" / release_id).mkdir(parents=True)
        write_release(lake / "releases" / release_id, pairs, release_id=release_id)
        run(lake, release_id)
    return lake


@pytest.fixture
def lake(judged: Path, tmp_path: Path) -> Path:
    """A copy to spoil."""
    return Path(shutil.copytree(judged, tmp_path / "lake"))


def files(lake: Path) -> dict[str, int]:
    """When each file of releases and models was written."""
    found = [path for folder in ("releases", "models") for path in (lake / folder).rglob("*")]
    return {str(path): path.stat().st_mtime_ns for path in found if path.is_file() and path.parent.name != "lease"}


def test_the_first_is_promoted_and_its_equal_is_not(judged: Path) -> None:
    store = Store(str(judged))
    first, second = read_verdict(store, "r1"), read_verdict(store, "r2")
    assert first
    assert first.promoted
    assert first.champion is None
    assert first.difference.low > 0
    assert (first.model, first.videos) == ("models/r1", 8)
    assert second
    assert second.champion
    assert not second.promoted
    assert (second.difference.mean, second.difference.low, second.difference.high) == (0, 0, 0)
    assert (second.champion.release_id, second.champion.score) == ("r1", second.score)
    assert read_champion(store) == first


def test_of_a_burst_only_the_latest_release_is_trained_on(lake: Path) -> None:
    from flows.train_and_eval import train_and_eval

    (lake / "published").mkdir()
    for name in ("00000004-r1", "00000009-r2"):
        (lake / "published" / f"{name}.json").write_text("{}")
    before = files(lake)
    manifest, recipe = f"{lake}/releases/r1/manifest.json", f"{lake}/recipe.toml"
    state = train_and_eval(manifest, str(lake / "models" / "new"), recipe, return_state=True)
    assert (state.name, "r2 landed after r1" in str(state.message)) == ("Superseded", True)
    assert files(lake) == before
    run(lake, "r2")
    run(lake, "r1", "run.burst=every")


def test_a_repeat_does_nothing(lake: Path) -> None:
    before = files(lake)
    run(lake, "r1")
    run(lake, "r2")
    assert files(lake) == before


def test_the_list_shows_verdicts_and_champion(judged: Path, capsys: pytest.CaptureFixture[str]) -> None:
    commands.release_list(str(judged), as_json=True)
    rows = json.loads(capsys.readouterr().out)
    assert [(row["release_id"], row["champion"], row["verdict"]["promoted"]) for row in rows] == [
        ("r1", True, True),
        ("r2", False, False),
    ]
    commands.release_list(str(judged), as_json=False)
    printed = capsys.readouterr().out
    assert "champion; promoted: R@1" in printed
    assert "rejected: R@1" in printed
    assert "+0.0 points (95% interval +0.0 to +0.0) against champion r1" in printed


def test_a_promotion_cut_off_is_finished_by_the_next_run(lake: Path) -> None:
    verdict = lake / "releases/r1/verdict.json"
    whole = verdict.read_bytes()
    assert (lake / "releases/champion.json").read_bytes() == whole
    verdict.unlink()
    run(lake, "r2")
    assert verdict.read_bytes() == whole


def test_without_its_champion_a_release_is_judged_again_to_the_same_bytes(lake: Path) -> None:
    verdict, champion = lake / "releases/r1/verdict.json", lake / "releases/champion.json"
    whole = verdict.read_bytes()
    champion.unlink()
    run(lake, "r1")
    assert verdict.read_bytes() == champion.read_bytes() == whole


def test_another_rule_judges_again_but_never_the_champion(lake: Path) -> None:
    before = (lake / "releases/champion.json").read_bytes()
    assert run(lake, "r2", "promotion.min_gain=-0.1").promoted
    assert json.loads((lake / "releases/champion.json").read_bytes())["model"] == "models/r2"
    (lake / "releases/champion.json").write_bytes(before)  # as a crash before the promotion would leave it
    (lake / "releases/r2/verdict.json").unlink()
    assert run(lake, "r1", "promotion.min_gain=0.9").promoted
    assert (lake / "releases/r1/verdict.json").read_bytes() == before


def test_a_champion_that_is_gone_stops_the_run_and_says_what_to_do(lake: Path) -> None:
    shutil.rmtree(lake / "models/r1")
    (lake / "releases/r2/verdict.json").unlink()
    with pytest.raises(RunFailed, match=r"Restore .*models/r1, or remove .*releases/champion\.json"):
        run(lake, "r2")
    (lake / "releases/champion.json").unlink()
    alone = run(lake, "r2")
    assert alone.promoted
    assert alone.champion is None


def test_a_damaged_champion_and_other_settings_in_its_folder_are_refused(lake: Path) -> None:
    with pytest.raises(UsageError, match="holds the champion, trained with other settings"):
        run(lake, "r1", "train.seed=1")
    weights = lake / "models/r1/model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    (lake / "releases/r2/verdict.json").unlink()
    with pytest.raises(RunFailed, match="cannot be read"):
        run(lake, "r2")


def test_a_lake_in_use_and_a_release_outside_a_lake_are_refused(lake: Path, tmp_path: Path) -> None:
    with hold_lease(Store(str(lake / "models"))), pytest.raises(LakeBusy):
        run(lake, "r1", "run.wait_s=0")
    shutil.copytree(lake / "releases/r1", tmp_path / "lone")
    from flows.train_and_eval import train_and_eval

    with pytest.raises(UsageError, match="is not LAKE/releases/r1"):
        train_and_eval(str(tmp_path / "lone/manifest.json"), str(tmp_path / "model"))
