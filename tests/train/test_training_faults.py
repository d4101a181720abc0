"""What goes wrong in training costs what it must and is told: bad samples, weights, disks and ranks."""

import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest
import torch
from small_disk import small_disk
from small_training import OFTEN, SHORT, decisive, process_of, start, wait_for_steps

from infra.errors import DiskFull, RunFailed
from train.gve import Gve
from train.log import read_log
from train.loop import read_report, train
from train.settings import CurriculumSettings, LoraSettings

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def short_model(toy_release: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("start")
    train(toy_release, str(out), replace(SHORT, max_steps=1))
    return out


@pytest.mark.parametrize(
    ("schedule", "told"),
    [
        ("pyramid", "before epoch 1 the prober scores .*nan"),
        ("uniform", r"step 1 \((T2V|T2T|I2V), pairs .*the loss is nan"),
    ],
)
def test_weights_that_are_not_finite_end_the_run_and_it_says_where(
    schedule: Literal["pyramid", "uniform"], told: str, toy_release: str, short_model: Path, tmp_path: Path
) -> None:
    gve = Gve.load(short_model)
    with torch.no_grad():
        next(gve.model.language_model.parameters()).fill_(float("nan"))
    gve.save(tmp_path / "broken")
    settings = replace(SHORT, checkpoint=str(tmp_path / "broken"), curriculum=CurriculumSettings(schedule=schedule))
    with pytest.raises(RunFailed, match=told):
        train(toy_release, str(tmp_path / "out"), settings)


def test_a_corrupt_shard_costs_its_samples_and_a_release_of_nothing_else_the_run(
    toy_release: str, tmp_path: Path
) -> None:
    shutil.copytree(Path(toy_release).parent, tmp_path / "toy")
    for number in range(3):
        shard = tmp_path / f"toy/train-I2V-{number:06d}.tar"
        shard.write_bytes(b"\0" * 512)
    report = train(str(tmp_path / "toy/manifest.json"), str(tmp_path / "out"), replace(SHORT, epochs=1))
    assert "I2V" not in report.seen_by_task
    assert sum(report.seen_by_task.values()) > 0
    for shard in (tmp_path / "toy").glob("train-*.tar"):
        shard.write_bytes(b"\0" * 512)
    with pytest.raises(RunFailed, match="all samples are bad"):
        train(str(tmp_path / "toy/manifest.json"), str(tmp_path / "none"), SHORT)


def test_a_full_disk_leaves_the_last_checkpoint_and_the_run_goes_on_when_there_is_room(
    toy_release: str, tmp_path: Path
) -> None:
    with small_disk(tmp_path / "disk", "2600k") as folder:
        with pytest.raises(DiskFull, match=r"no space left on .* free some and run again"):
            train(toy_release, str(folder), OFTEN)
        assert not list((folder / "checkpoints").glob(".partial-*"))
        shutil.copytree(folder, tmp_path / "roomy")
    report = train(toy_release, str(tmp_path / "roomy"), OFTEN)
    assert report.steps == 18


def test_adapters_are_trained_on_a_given_model_and_merged_into_what_is_published(
    toy_release: str, short_model: Path, tmp_path: Path
) -> None:
    settings = replace(SHORT, checkpoint=str(short_model), max_steps=3, lora=LoraSettings(rank=2), chunk_tokens=500)
    report = train(toy_release, str(tmp_path), settings)
    assert 0 < report.trainable < report.parameters / 10
    before, after = Gve.load(short_model).model.state_dict(), Gve.load(tmp_path).model.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed
    assert all("language_model.layers" in name and "_proj.weight" in name for name in changed)


def test_two_ranks_killed_in_mid_epoch_go_on_to_the_same_weights_and_a_vanished_one_ends_the_other(
    toy_release: str, tmp_path: Path
) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert start(toy_release, whole, ranks=2, run="everything").wait(300) == 0
    assert read_report(str(whole)).ranks == 2
    process = start(toy_release, killed, ranks=2, run="everything")
    wait_for_steps(process, killed, 7)
    os.kill(process_of(killed, rank=1), signal.SIGKILL)
    assert process.wait(300) != 0
    assert not (killed / "model.safetensors").exists()
    assert start(toy_release, killed, ranks=2, run="everything").wait(300) == 0
    assert (killed / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
    assert decisive(killed) == decisive(whole)
    assert read_report(str(killed)) == read_report(str(whole))
    assert [entry["pairs"] for entry in decisive(whole)] == [16] * 18
    mined = [entry["mined"]["negatives"] for entry in read_log(whole / "epochs.jsonl") if "mined" in entry]
    assert [count > 0 for count in mined] == [True, True]
