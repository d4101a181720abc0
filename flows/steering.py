"""The loop: what the evaluation of one release changes about the synthesis of the next (`diagnosis.apply`)."""

from __future__ import annotations

from dataclasses import asdict, replace

from eval.diagnosis.steering import FACT, Steered, has_steering, last_steering, save_steering, steer
from eval.heldout import HeldOutReport
from flows.printing import say
from flows.recipe import Recipe
from infra.store import Store
from shards.manifest import Manifest, published
from synth.tasks import Pairs


def steered(lake: Store, recipe: Recipe) -> tuple[Recipe, Steered | None]:
    """The recipe with the quotas of the lake's last diagnosis, and by which one that is; says so.

    Without `diagnosis.apply`, or a diagnosis, it is the recipe itself. So it is when somebody has changed its quotas
    since the diagnosis: what is written by hand counts for more.
    """
    found = last_steering(lake, published(lake)) if recipe.diagnosis.apply else None
    if found is None:
        return recipe, None
    own = recipe.pairs.all_weights
    if found.recipe_weights != own:
        say(f"diagnosis of release {found.release_id} is set aside: pairs.weights of the recipe changed since")
        return recipe, None
    if found.weights == own:
        say(f"diagnosis of release {found.release_id}: the quotas of the recipe stay")
        return recipe, None
    say(f"diagnosis of release {found.weights_by} changes the recipe's quotas: {in_words(own, found.weights)}")
    pairs = replace(recipe.pairs, weights=found.weights)
    return replace(recipe, pairs=pairs), Steered(found.weights_by, own, found.weights)


def in_words(before: dict[str, float], after: dict[str, float]) -> str:
    """How weights differ, as "TI2V 89 → 110"."""
    changed = [task for task in before if before[task] != after[task]]
    return ", ".join(f"{task} {before[task]:g} → {after[task]:g}" for task in changed)


def steering_facts(by: Steered | None) -> dict[str, object]:
    """What a manifest says about the diagnosis it was made by; nothing without one."""
    return {} if by is None else {FACT: asdict(by)}


def is_diagnosed(lake: Store, release: Manifest, recipe: Recipe) -> bool:
    """Whether there is nothing left to diagnose of a release."""
    return not recipe.diagnosis.apply or has_steering(lake, release.release_id)


def write_diagnosis(lake: Store, release: Manifest, scores: HeldOutReport, recipe: Recipe) -> None:
    """Write beside a release what its model's held-out scores say about the next one's quotas; says so."""
    made_by = release.facts["recipe"].get("pairs", {})
    weights = Pairs(weights=made_by.get("weights", {})).all_weights
    found = steer(release.release_id, release.facts, weights, scores, recipe.diagnosis.max_change)
    save_steering(lake, found)
    for text in found.diagnosis.notes:
        say(f"diagnosis of release {found.release_id}: {text}")
    if found.weights != weights:
        say(f"diagnosis of release {found.release_id}, for the next run: {in_words(weights, found.weights)}")
