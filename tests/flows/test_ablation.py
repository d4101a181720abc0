"""The ablation trains and scores every variant from every seed, once, and its table is made of what they scored."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from toy_release import toy_pairs, toy_sample, write_release

from flows.ablation import ablate
from infra.errors import UsageError

FAST = (
    "train.epochs=1",
    "train.max_steps=2",
    "train.batches.size=16",
    "train.curriculum.probes=4",
    "train.tiny.vocab_size=320",
    "train.tiny.hidden=64",
)


def test_variants_are_trained_scored_and_compared(tmp_path: Path) -> None:
    release, out = write_release(tmp_path, toy_pairs()), tmp_path / "out"
    told: list[str] = []
    path = ablate(release, str(out), None, FAST, [1, 2], ["uniform", "pyramid"], tell=told.append)
    assert told == ["uniform, seed 1", "uniform, seed 2", "pyramid, seed 1", "pyramid, seed 2"]
    reports = [json.loads((out / f"pyramid-{seed}/eval-val/heldout.json").read_text()) for seed in (1, 2)]
    t2v = [task["R@1"] for report in reports for task in report["tasks"] if task["task"] == "T2V"]
    rows = {row["name"]: row for row in json.loads((out / "ablation.json").read_text())}
    assert rows["pyramid"]["recall_1"]["T2V"]["mean"] == pytest.approx(np.mean(t2v))
    assert rows["pyramid"]["cost"]["steps"] == 2
    assert rows["pyramid"]["cost"]["pairs"] == 32
    assert "Gain over `uniform`" in Path(path).read_text()
    table, log = Path(path).read_bytes(), (out / "pyramid-1/steps.jsonl").read_bytes()
    ablate(release, str(out), None, FAST, [1, 2], ["uniform", "pyramid"], tell=told.append)
    assert ((out / "pyramid-1/steps.jsonl").read_bytes(), Path(path).read_bytes()) == (log, table)  # times and all
    with pytest.raises(UsageError, match="there are simple, proportional"):
        ablate(release, str(out), None, FAST, [1, 2], ["nothing"])
    with pytest.raises(UsageError, match="two different seeds"):
        ablate(release, str(out), None, FAST, [1, 1])


def composed_pairs() -> Iterable[dict[str, Any]]:
    """A TI2V pair of every clip of the toy release."""
    for number, sample in enumerate(pair for pair in toy_pairs() if "query.jpg" in pair):
        sides = {"query_image": sample["query.jpg"], "target_video": sample["target.mp4"]}
        yield toy_sample("TI2V", sample["split"], number, query_text=f"Number {number}", **sides)


def test_without_composed_tasks_it_takes_as_many_steps(tmp_path: Path) -> None:
    release = write_release(tmp_path, [*toy_pairs(), *composed_pairs()])
    settings = [setting for setting in FAST if "max_steps" not in setting]
    for names in (["simple"], ["simple", "proportional"]):  # the second time there is one already
        ablate(release, str(tmp_path / "out"), None, settings, [1, 2], names, tell=lambda _: None)
    rows = {row["name"]: row for row in json.loads((tmp_path / "out/ablation.json").read_text())}
    assert list(rows) == ["simple", "proportional"]
    assert rows["simple"]["cost"]["steps"] == rows["proportional"]["cost"]["steps"] == 8
    seen = [json.loads((tmp_path / f"out/{name}-1/training.json").read_text())["seen_by_task"] for name in rows]
    assert [("TI2V" in tasks, sum(tasks.values())) for tasks in seen] == [(False, 128), (True, 128)]
