"""What a plan says against what the same videos take.

    python tests/benchmarks/bench_plan.py --videos PATH [--sample 16] [--set key=value ...] [--json]

`uvr plan` from a sample, then `uvr run` on every video into a temporary lake, one after the other on the
same machine. Prints, for each stage, rows out and worker seconds, then pairs, bytes and seconds: the truth, the
plan and its interval. The plan's bytes count each stage's table as one file; the lake's are those on disk
(shards and their hard links once). The run's seconds include Python's and Prefect's start, and reading the
release back, which the plan's do not.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any


def uvr(*arguments: str, home: str) -> str:
    """Standard output of one command; what it shows on the way goes to the terminal."""
    environment = {**os.environ, "PREFECT_HOME": home}
    command = [sys.executable, "-m", "flows.cli", *arguments]
    return subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True).stdout


def disk_bytes(lake: Path) -> int:
    """Bytes of all files below a folder, each inode once."""
    facts = [path.stat() for path in lake.rglob("*") if path.is_file()]
    return sum({fact.st_ino: fact.st_size for fact in facts}.values())


def measure(videos: str, sample: int, settings: list[str]) -> list[dict[str, Any]]:
    """One line for each quantity: its name, the truth, the plan's point and interval."""
    with tempfile.TemporaryDirectory() as folder:
        lake, home = Path(folder) / "lake", str(Path(folder) / "prefect")
        plan = json.loads(uvr("plan", "--videos", videos, "--sample", str(sample), *settings, "--json", home=home))
        began = time.perf_counter()
        uvr("run", "--videos", videos, "--lake", str(lake), *settings, home=home)
        wall_s = time.perf_counter() - began
        status = json.loads(uvr("status", "--lake", str(lake), "--json", home=home))
        size = disk_bytes(lake)
    truth = {stage["name"]: stage for stage in status["stages"]}
    lines = [_line(f"{s['name']} rows", truth[s["name"]]["out"], s["out"]) for s in plan["stages"]]
    lines += [_line(f"{s['name']} seconds", truth[s["name"]]["seconds"], s["seconds"]) for s in plan["stages"]]
    lines += [
        _line("pairs", truth["pairs"]["out"], plan["pairs"]["total"]),
        _line("bytes", size, plan["disk"]["bytes"]),
        _line("worker seconds", sum(stage["seconds"] for stage in truth.values()), plan["worker_seconds"]),
        _line("wall seconds", wall_s, plan["wall_seconds"]),
    ]
    return lines


def _line(name: str, truth: float, planned: dict[str, float]) -> dict[str, Any]:
    return {"what": name, "truth": truth, **planned, "held": planned["low"] <= truth <= planned["high"]}


def main() -> None:
    parser = argparse.ArgumentParser(description="A plan against the truth.")
    parser.add_argument("--videos", required=True)
    parser.add_argument("--sample", type=int, default=16)
    parser.add_argument("--set", action="append", default=[], dest="settings")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    settings = [word for setting in options.settings for word in ("--set", setting)]
    lines = measure(options.videos, options.sample, settings)
    if options.json:
        print(json.dumps(lines))
        return
    for line in lines:
        numbers = " ".join(f"{line[name]:>14,.1f}" for name in ("truth", "point", "low", "high"))
        print(f"{line['what']:20} {numbers}  {'held' if line['held'] else 'missed'}")


if __name__ == "__main__":
    main()
