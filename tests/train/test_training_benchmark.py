"""The benchmark of training runs where there is no GPU, and its ways to save memory change nothing but memory."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[1] / "benchmarks/bench_training.py"


def test_its_self_test_trains_alike_in_every_way_to_save_memory() -> None:
    done = subprocess.run([sys.executable, BENCHMARK, "--self-test"], capture_output=True, text=True, check=True)
    *ways, device = done.stdout.splitlines()
    first, *others = [json.loads(way) for way in ways]
    assert len(others) == 2
    assert all(other["loss"] == pytest.approx(first["loss"], abs=0.002) for other in others)
    assert all(way["pairs_per_s"] > 0 and way["tflop_per_pair"] > 0 for way in [first, *others])
    assert " pairs a step" in device
