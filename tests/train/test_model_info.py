"""`uvr model info`: published numbers from configurations alone, and what is refused."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from gve_sides import INPUTS, TEXTS

from infra.errors import UsageError
from train.gve import Gve
from train.model_info import model_info
from train.settings import InputSettings, TinySettings


def uvr(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "flows.cli", "model", "info", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        # GVE-3B has 3,754,622,976 parameters as published, its head tied
        (
            "qwen2.5-vl-3b",
            {"trainable": 27_574_272, "embedding_dim": 2048, "parameters": 3_754_622_976, "generation_head": 0},
        ),
        # and GVE-7B 8,292,166,656 with its head
        (
            "qwen2.5-vl-7b",
            {
                "trainable": 37_158_912,
                "embedding_dim": 3584,
                "parameters": 8_292_166_656 - 152_064 * 3584,
                "generation_head": 152_064 * 3584,
            },
        ),
    ],
)
def test_the_published_numbers(name: str, expected: dict[str, int]) -> None:
    done = uvr(name, "--json")
    assert done.returncode == 0, done.stderr
    facts: dict[str, Any] = json.loads(done.stdout)
    assert {key: facts[key] for key in expected} == expected
    assert facts["trainable_in_visual"] == 0
    assert sum(facts["parameters_by_part"].values()) == facts["parameters"]
    assert facts["inputs"]["frames"] == 8
    assert facts["lora"] == {"rank": 16, "alpha": 32, "dropout": 0.1}


def test_for_people_numbers_have_commas() -> None:
    done = uvr("qwen2.5-vl-3b")
    assert done.returncode == 0, done.stderr
    assert "27,574,272" in done.stdout
    assert "3,754,622,976" in done.stdout


def test_an_unknown_name_is_wrong_usage_and_lists_the_known_ones() -> None:
    done = uvr("qwen9")
    assert done.returncode == 2
    assert "qwen2.5-vl-3b, qwen2.5-vl-7b" in done.stderr


def test_a_folder_s_configuration_is_enough(tmp_path: Path) -> None:
    gve = Gve.tiny(TEXTS, TinySettings(layers=2, vocab_size=400), INPUTS, seed=0)
    gve.save(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    facts = model_info(str(tmp_path))
    assert facts.parameters == sum(weight.numel() for weight in gve.model.parameters())
    assert facts.inputs == INPUTS != InputSettings()
    assert facts.embedding_dim == gve.dim


def test_a_folder_of_another_kind_of_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"config\.json is missing"):
        model_info(str(tmp_path))
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(UsageError, match="bert"):
        model_info(str(tmp_path))
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(UsageError, match="JSON"):
        model_info(str(tmp_path))
