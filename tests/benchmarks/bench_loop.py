"""Whether the loop closes: measure, diagnose, synthesise anew by the changed recipe, train anew, measure again.

    python tests/benchmarks/bench_loop.py FOLDER [--videos 600] [--pairs 1200] [--steps 300] [--queries 128]
        [--seeds 42 43 44]

By commands of `uvr` alone, on the sample world and a sample UVRB. Of every seed the first model is trained on the
release of the first recipe; `uvr diagnose` turns its report into a second recipe of as many pairs; the second model
is trained on the release of that one, from the same seed, for as many steps. The table has for every ability its
score before and after, the mean difference over the seeds with Student's interval, and how many seeds found it weak
and changed something for it. The videos must have clips to spare, since a quota of text to video that rises takes a
clip for every pair. What is there is not made again, so a run that was cut off goes on.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import numpy as np

from eval.ablation import over_seeds
from eval.sample_uvrb.analogue import Dial
from eval.sample_uvrb.write import write_benchmark
from eval.uvrb.files import read_report
from eval.uvrb.records import UVRBReport
from infra.sample_world.write import write_world
from shards.manifest import load_manifest

WORLD_SEED = 7
RECIPE = """[pairs]
target_pairs = {pairs}
[train]
epochs = 1000
max_steps = {steps}
"""


def uvr(*arguments: str) -> str:
    """What a command prints; it must succeed."""
    done = subprocess.run(
        [sys.executable, "-m", "flows.cli", *arguments], stdout=subprocess.PIPE, text=True, check=True
    )
    return done.stdout


def measured(folder: Path, recipe: Path, seed: int, name: str) -> tuple[UVRBReport, float]:
    """The report of the model trained by a recipe from a seed, and the TFLOP that its training took."""
    model, out = folder / f"{name}-{seed}", folder / f"{name}-{seed}-uvrb"
    if not (out / "uvrb.json").exists():
        lake = ("--videos", str(folder / "videos" / "manifest.csv"), "--lake", str(folder / "lake"))
        manifest = uvr("run", *lake, "--recipe", str(recipe)).splitlines()[-1]
        if short := load_manifest(manifest).facts["shortage"]:
            raise SystemExit(f"{recipe.name}: the clips are too few by {short}, so the releases do not compare")
        settings = ("--recipe", str(recipe), "--set", f"train.seed={seed}")
        uvr("train", "--release", manifest, "--out", str(model), *settings)
        places = ("--data", str(folder / "uvrb"), "--out", str(out), "--cache", str(folder / "vectors"))
        uvr("eval", "--model", str(model), *places)
    log = (model / "steps.jsonl").read_text().splitlines()
    return read_report(str(out / "uvrb.json")), sum(json.loads(line)["tflop"] for line in log)


def loop(folder: Path, seed: int) -> dict[str, Any]:
    """One turn of the loop."""
    first = folder / "first.toml"
    before, flop_before = measured(folder, first, seed, "first")
    second = folder / f"second-{seed}.toml"
    report = str(folder / f"first-{seed}-uvrb" / "uvrb.json")
    told = json.loads(uvr("diagnose", report, "--recipe", str(first), "--out", str(second), "--json"))
    after, flop_after = measured(folder, second, seed, "second")
    return {
        "seed": seed,
        "before": before.abilities.abilities | {"average": before.abilities.average},
        "after": after.abilities.abilities | {"average": after.abilities.average},
        "weak": sorted(row["name"] for row in told["measured"] if row["weak"]),
        "changed_for": sorted({change["looks_at"] for change in told["changes"]}),
        "recipe": tomllib.loads(second.read_text()),
        "tflop": [round(flop_before, 3), round(flop_after, 3)],
    }


def table(turns: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A row for every ability and the average."""
    rows = []
    for name in turns[0]["before"]:
        before, after = (np.array([turn[when][name] for turn in turns]) for when in ("before", "after"))
        gain = over_seeds(after - before)
        rows.append(
            {
                "ability": name,
                "before": round(float(before.mean()), 3),
                "after": round(float(after.mean()), 3),
                "difference": [round(value, 3) for value in (gain.mean, gain.low, gain.high)],
                "weak_in": sum(name in turn["weak"] for turn in turns),
                "changed_in": sum(name in turn["changed_for"] for turn in turns),
            }
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--videos", type=int, default=600)
    parser.add_argument("--pairs", type=int, default=1200)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--queries", type=int, default=128, help="of a dataset of the sample UVRB")
    parser.add_argument("--seeds", type=int, nargs="+", default=[42, 43, 44])
    options = parser.parse_args()
    folder = options.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    write_world(str(folder / "videos"), options.videos, WORLD_SEED, workers=2)
    write_benchmark(str(folder / "uvrb"), Dial(options.queries, 0.5, 42), workers=2)
    (folder / "first.toml").write_text(RECIPE.format(pairs=options.pairs, steps=options.steps))
    turns = [loop(folder, seed) for seed in options.seeds]
    found = {"turns": turns, "table": table(turns)}
    (folder / "loop.json").write_text(json.dumps(found, indent=1) + "\n")
    for row in found["table"]:
        print(json.dumps(row))


if __name__ == "__main__":
    main()
