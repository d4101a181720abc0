"""Diagnoses beside releases: what a model's held-out scores say about the quotas of the next release.

`releases/ID/diagnosis.json` is made of the held-out scores of the model that was trained on a release, of the
settings the release was made by, and of nothing else. The next run of the lake may take them over (`[diagnosis]` in
the recipe).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Final

from pydantic import Field, TypeAdapter, ValidationError

from eval.diagnosis.diagnose import Diagnosis, diagnose, heldout_evidence
from eval.diagnosis.rules import WEIGHTS
from eval.diagnosis.scored import of_heldout
from eval.heldout import HeldOutReport
from infra.errors import UsageError
from infra.recipe import Settings
from infra.store import Store

FACT: Final = "diagnosis"  # the key of a manifest under which it says by which diagnosis it was made

Quotas = dict[str, float]  # the weight of every task


@dataclass(frozen=True)
class DiagnosisSettings(Settings):
    """Whether a lake's next run heeds the last diagnosis."""

    apply: bool = False  # a diagnosis is written beside every verdict, and the next run takes over its quotas
    # The most by which one diagnosis changes a setting, as a share of it.
    max_change: Annotated[float, Field(gt=0, le=1)] = 0.25


@dataclass(frozen=True)
class Steering:
    """The diagnosis of one release, and what it means for the next one."""

    release_id: str
    of: str  # what was scored
    recipe_weights: Quotas  # by the recipe itself, without diagnoses: it is for runs by this recipe
    weights: Quotas  # for the next run
    weights_by: str  # the release whose diagnosis last changed them; "": none has
    diagnosis: Diagnosis


@dataclass(frozen=True)
class Steered:
    """By which diagnosis a release was made; in its manifest under FACT."""

    release_id: str  # whose diagnosis changed the weights: one that changes nothing makes no other release
    recipe_weights: Quotas
    weights: Quotas


def steer(
    release_id: str, facts: Mapping[str, Any], weights: Quotas, scores: HeldOutReport, max_change: float
) -> Steering:
    """What the scores of a release's model say; `weights` are those the release was made by, `facts` its manifest's."""
    scored = of_heldout(scores)
    found = diagnose(heldout_evidence(scored.scored), {WEIGHTS: weights}, max_change)
    before = TypeAdapter(Steered).validate_python(facts[FACT]) if FACT in facts else Steered("", weights, weights)
    changed = found.settings.get(WEIGHTS)
    return Steering(
        release_id=release_id,
        of=scored.of,
        recipe_weights=before.recipe_weights,
        weights=changed if isinstance(changed, dict) else weights,
        weights_by=release_id if changed else before.release_id,
        diagnosis=found,
    )


def save_steering(lake: Store, steering: Steering) -> None:
    """Write a diagnosis beside its release."""
    lake.write(_file(steering.release_id), json.dumps(asdict(steering), indent=1, ensure_ascii=False).encode() + b"\n")


def has_steering(lake: Store, release_id: str) -> bool:
    """Whether there is a diagnosis beside a release."""
    return lake.exists(_file(release_id))


def last_steering(lake: Store, release_ids: Iterable[str]) -> Steering | None:
    """The diagnosis of the last of some releases, in their order, that has one; raises UsageError for a damaged one."""
    name = next((_file(known) for known in reversed([*release_ids]) if has_steering(lake, known)), None)
    if name is None:
        return None
    try:
        return TypeAdapter(Steering).validate_json(lake.read(name))
    except ValidationError as error:
        raise UsageError(f"{lake.url}/{name} is not a diagnosis; remove it to run without") from error


def _file(release_id: str) -> str:
    return f"releases/{release_id}/diagnosis.json"
