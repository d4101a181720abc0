"""What each part of training gains: variants trained from several seeds on one release, and their table.

The variants are those of the paper's table 3 (arXiv 2510.27571): without the composed tasks, with them, with the
pyramid; and two other schedules beside. All take the same number of steps; without the composed tasks, of which an
epoch has fewer, they go on into further epochs. The table tells what each cost.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from eval.ablation import VariantScores, markdown, tabulate, with_average
from eval.heldout import evaluate_heldout
from eval.report import SCORES_FILE, write_report
from flows.recipe import read_recipe
from infra.errors import UsageError
from infra.store import Store
from shards.manifest import Manifest, load_manifest
from train.batches import steps_of_pass
from train.gve import Gve
from train.log import STEPS_FILE, read_log
from train.loop import train
from train.settings import TrainSettings

TABLE = "ablation.md"
SIMPLE = 'train.batches.tasks=["T2T", "T2I", "T2V", "I2V", "V2V"]'


@dataclass(frozen=True)
class Variant:
    """One way to train: settings over the recipe's."""

    name: str
    about: str
    overrides: tuple[str, ...]
    is_partial: bool = False  # an epoch of it has fewer steps: it goes on until it has as many as the others


REFERENCE = "proportional"
VARIANTS = (
    Variant("simple", "without composed tasks, by pairs", (SIMPLE, "train.curriculum.schedule=proportional"), True),
    Variant(REFERENCE, "all tasks, by pairs", ("train.curriculum.schedule=proportional",)),
    Variant("uniform", "all tasks alike", ("train.curriculum.schedule=uniform",)),
    Variant("reversed", "the pyramid upside down", ("train.curriculum.schedule=reversed",)),
    Variant("pyramid", "the Modality Pyramid", ("train.curriculum.schedule=pyramid",)),
)


def ablate(
    manifest: str,
    out: str,
    recipe: str | None,
    overrides: Sequence[str],
    seeds: Sequence[int],
    names: Sequence[str] = (),
    split: str = "val",
    tell: Callable[[str], None] = print,
) -> str:
    """Train and score every variant from every seed under `out`; returns the path of the table.

    A run that is there is not made again, one that was cut off goes on. `names` chooses among VARIANTS; empty means
    all. Raises UsageError for an unknown one and for less than two seeds, and as training and scoring do.
    """
    if len(set(seeds)) < 2:
        raise UsageError("an ablation needs two different seeds at least: one says nothing of how sure its scores are")
    chosen = [variant for variant in VARIANTS if variant.name in names or not names]
    if unknown := set(names) - {variant.name for variant in VARIANTS}:
        raise UsageError(f"no variant {sorted(unknown)}; there are {', '.join(v.name for v in VARIANTS)}")
    release, scores = load_manifest(manifest), []
    for variant in chosen:
        settings = settings_of(variant, release, recipe, overrides)
        runs = []
        for seed in seeds:
            tell(f"{variant.name}, seed {seed}")
            runs.append(_run(manifest, f"{out}/{variant.name}-{seed}", replace(settings, seed=seed), split))
        scores.append(_together(variant, runs))
    reference = REFERENCE if any(variant.name == REFERENCE for variant in chosen) else chosen[0].name
    rows = tabulate(scores, reference)
    text = markdown(rows, reference, seeds, release.release_id, split)
    store = Store(out)
    store.write("ablation.json", json.dumps([asdict(row) for row in rows], indent=1).encode() + b"\n")
    store.write(TABLE, text.encode())
    return str(Path(out) / TABLE)


def settings_of(variant: Variant, release: Manifest, recipe: str | None, overrides: Sequence[str]) -> TrainSettings:
    """How a variant trains, whatever the seed; for as many steps as all tasks of the release take."""
    settings = read_recipe(recipe, [*overrides, *variant.overrides]).train
    if not variant.is_partial:
        return settings
    whole = read_recipe(recipe, overrides).train
    planned = whole.epochs * sum(steps_of_pass(release, whole.batches).values())
    steps = min(planned, whole.max_steps or planned)
    return replace(settings, epochs=steps, max_steps=steps)  # an epoch has a step at least


@dataclass(frozen=True)
class _Scored:
    recall_1: dict[str, float]
    cost: dict[str, float]


def _run(manifest: str, folder: str, settings: TrainSettings, split: str) -> _Scored:
    """Train and score one variant from one seed; what is there already is read."""
    report = train(manifest, folder, settings)
    scored = Path(folder, f"eval-{split}", SCORES_FILE)
    if not scored.exists():
        write_report(evaluate_heldout(manifest, Gve.load(folder), split), str(scored.parent))
    recall = {task["task"]: task["R@1"] for task in json.loads(scored.read_text())["tasks"]}
    log = read_log(Path(folder, STEPS_FILE))
    cost = {
        "steps": report.steps,
        "pairs": sum(report.seen_by_task.values()),
        "TFLOP": sum(entry["tflop"] for entry in log),
        "seconds": sum(entry["seconds"] for entry in log),
    }
    return _Scored(recall, cost)


def _together(variant: Variant, runs: Sequence[_Scored]) -> VariantScores:
    recall = {task: np.array([run.recall_1[task] for run in runs]) for task in runs[0].recall_1}
    cost = {name: float(np.mean([run.cost[name] for run in runs])) for name in runs[0].cost}
    return VariantScores(variant.name, variant.about, with_average(recall), cost)
