"""Training learns, gives the same weights for the same seed, and survives a kill."""

import json
import shutil
import signal
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from small_training import OFTEN, SHORT, SMALL, decisive, start, wait_for_steps

from eval.heldout import evaluate_heldout
from infra.errors import UsageError
from shards.index import INDEX
from train.curves import draw_curves, running_mean
from train.gve import Gve
from train.log import read_log
from train.loop import TrainReport, read_report, train

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def short_run(toy_release: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("short")
    train(toy_release, str(out), SHORT)
    return out


def weights(out: Path) -> bytes:
    return (out / "model.safetensors").read_bytes()


def test_the_loss_falls_and_retrieval_rises_far_above_chance(toy_release: str, tmp_path: Path) -> None:
    report = train(toy_release, str(tmp_path), SMALL)
    for task in ("T2V", "I2V", "T2T"):
        assert report.last_loss[task] < report.first_loss[task] / 2
    scores = {s.task: s for s in evaluate_heldout(toy_release, Gve.load(tmp_path), split="train").tasks}
    assert scores["T2V"].ratio_to_chance > 8
    assert scores["I2V"].ratio_to_chance > 8
    assert (tmp_path / "curves.png").stat().st_size > 10_000
    assert sum(report.seen_by_task.values()) == 25 * 6 * 16
    assert read_report(str(tmp_path)) == report
    assert event_files(tmp_path)


def event_files(out: Path) -> list[Path]:
    return [file for file in (out / "tensorboard").iterdir() if file.stat().st_size > 10_000]


def test_every_epoch_is_planned_by_what_the_model_of_the_epoch_before_finds_close(short_run: Path) -> None:
    epochs = read_log(short_run / "epochs.jsonl")
    steps = read_log(short_run / "steps.jsonl")
    assert [entry["sigma"] for entry in epochs] == pytest.approx([0.1, 0.55, 1.0])
    for entry in epochs:
        relevance = np.array([entry["relevance"][task] for task in entry["shares"]])
        assert (np.abs(relevance) <= 1).all()
        assert entry["mean_relevance"] == pytest.approx(relevance.mean())
        assert Counter(e["task"] for e in steps if e["epoch"] == entry["epoch"]) == entry["steps"]
        weights = np.exp(relevance / entry["sigma"])
        shares = np.clip(weights / weights.sum(), 1 / 6, None)  # of six steps, each task has one at least
        if shares.sum() == pytest.approx(1):
            assert list(entry["shares"].values()) == pytest.approx(shares.tolist())
    assert epochs[0]["relevance"] != epochs[1]["relevance"]
    assert epochs[0]["passes"] == {"I2V": 0.0, "T2T": 0.0, "T2V": 0.0}
    assert epochs[1]["passes"] == {task: count / 2 for task, count in epochs[0]["steps"].items()}


def test_the_same_seed_gives_the_same_weights_bit_for_bit(toy_release: str, short_run: Path, tmp_path: Path) -> None:
    train(toy_release, str(tmp_path / "same"), SHORT)
    train(toy_release, str(tmp_path / "other"), replace(SHORT, seed=43))
    assert weights(tmp_path / "same") == weights(short_run)
    assert (tmp_path / "same/training.json").read_bytes() == (short_run / "training.json").read_bytes()
    assert weights(tmp_path / "other") != weights(short_run)


@pytest.mark.parametrize("steps", [1, 4, 11])
def test_killed_in_mid_epoch_it_goes_on_to_the_same_weights(
    steps: int, toy_release: str, short_run: Path, tmp_path: Path
) -> None:
    """SIGKILL after some of the 18 steps, with a checkpoint after every second one."""
    process = start(toy_release, tmp_path)
    wait_for_steps(process, tmp_path, steps)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "it ended before it could be killed"
    assert not (tmp_path / "model.safetensors").exists()
    train(toy_release, str(tmp_path), OFTEN)
    for name in ("model.safetensors", "config.json", "tokenizer.json", "training.json", "epochs.jsonl"):
        assert (tmp_path / name).read_bytes() == (short_run / name).read_bytes(), name
    assert decisive(tmp_path) == decisive(short_run)


def test_a_finished_run_called_again_trains_nothing_and_another_one_is_refused(
    toy_release: str, short_run: Path
) -> None:
    before, log = weights(short_run), (short_run / "steps.jsonl").read_bytes()
    report: TrainReport = train(toy_release, str(short_run), SHORT)
    assert report.steps == 18
    assert (weights(short_run), (short_run / "steps.jsonl").read_bytes()) == (before, log)
    with pytest.raises(UsageError, match="other settings"):
        train(toy_release, str(short_run), replace(SHORT, seed=7))


def test_it_starts_from_a_given_checkpoint_and_stops_at_max_steps(
    toy_release: str, short_run: Path, tmp_path: Path
) -> None:
    report = train(toy_release, str(tmp_path), replace(SHORT, checkpoint=str(short_run), max_steps=2))
    assert report.steps == 2
    assert (tmp_path / "tokenizer.json").read_bytes() == (short_run / "tokenizer.json").read_bytes()
    assert weights(tmp_path) != weights(short_run)


def test_a_release_that_cannot_be_trained_on_is_refused(toy_release: str, tmp_path: Path) -> None:
    body = json.loads(Path(toy_release).read_text())
    body["shards"] = [shard | {"split": "val"} for shard in body["shards"]]
    (tmp_path / "manifest.json").write_text(json.dumps(body))
    shutil.copy(Path(toy_release).parent / INDEX, tmp_path)
    with pytest.raises(UsageError, match="nothing to train on"):
        train(str(tmp_path / "manifest.json"), str(tmp_path / "out"), SHORT)


def test_the_running_mean_starts_at_the_first_value_and_is_unbiased() -> None:
    assert running_mean([4.0] * 5, 0.9) == pytest.approx([4.0] * 5)
    assert running_mean([1.0, 3.0], 0.5) == pytest.approx([1.0, (0.5 * 1 + 1 * 3) / 1.5])
    assert running_mean([1.0, 3.0], 0.0) == [1.0, 3.0]


def test_a_batch_that_knows_no_negatives_has_no_point_in_the_curves(tmp_path: Path) -> None:
    scores = {"task": "T2T", "loss": 1.0, "positive_score": 0.5}
    steps = [{"step": 1, "negative_gap": None, **scores}, {"step": 2, "negative_gap": 0.1, **scores}]
    draw_curves(steps[:1], [], tmp_path / "none.png")
    draw_curves(steps, [], tmp_path / "one.png")
    assert (tmp_path / "none.png").read_bytes() != (tmp_path / "one.png").read_bytes()
