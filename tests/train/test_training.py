"""Training learns, gives the same weights for the same seed, and survives a kill."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from eval.heldout import evaluate_heldout
from infra.errors import UsageError
from shards.index import INDEX
from train.curves import running_mean
from train.gve import Gve
from train.loop import TrainReport, read_log, train
from train.settings import BatchSettings, InputSettings, TinySettings, TrainSettings

SMALL = TrainSettings(
    epochs=25,
    learning_rate=2e-3,
    threads=1,
    batches=BatchSettings(size=16),
    tiny=TinySettings(vocab_size=320, hidden=64, intermediate=128, vision_hidden=32),
    tiny_inputs=InputSettings(frames=4, frame_max_pixels=56 * 56, image_max_pixels=56 * 56, max_tokens=96),
)
SHORT = replace(SMALL, epochs=3)


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
    assert json.loads((tmp_path / "training.json").read_text())["seen_by_task"]["T2V"] == 25 * 2 * 16


def test_the_same_seed_gives_the_same_weights_bit_for_bit(toy_release: str, short_run: Path, tmp_path: Path) -> None:
    train(toy_release, str(tmp_path / "same"), SHORT)
    train(toy_release, str(tmp_path / "other"), replace(SHORT, seed=43))
    assert weights(tmp_path / "same") == weights(short_run)
    assert (tmp_path / "same/training.json").read_bytes() == (short_run / "training.json").read_bytes()
    assert weights(tmp_path / "other") != weights(short_run)


def test_killed_after_an_epoch_it_goes_on_to_the_same_weights(
    toy_release: str, short_run: Path, tmp_path: Path
) -> None:
    code = (
        "from sys import argv; from train.loop import train; from test_training import SHORT; train(*argv[1:], SHORT)"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    process = subprocess.Popen([sys.executable, "-c", code, toy_release, str(tmp_path)], env=environment)
    while not list(tmp_path.glob("checkpoints/epoch-*")) and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "it ended before it could be killed"
    assert not (tmp_path / "model.safetensors").exists()
    train(toy_release, str(tmp_path), SHORT)
    for name in ("model.safetensors", "config.json", "tokenizer.json", "training.json"):
        assert (tmp_path / name).read_bytes() == (short_run / name).read_bytes(), name
    assert [entry["step"] for entry in read_log(tmp_path / "steps.jsonl")] == list(range(1, 19))


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
