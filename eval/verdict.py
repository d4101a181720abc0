"""Verdicts beside releases, and the champion among the models of a lake.

`releases/ID/verdict.json` says what the model trained on a release scored and whether it was promoted.
`releases/champion.json` is a copy of the verdict by which the champion came to its place. It is
written first: of a promotion cut off between the two, the verdict is restored from it (`repair`), so
there is never a promotion without its champion.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from eval.heldout import HeldOutReport
from eval.metrics import Estimate
from eval.promotion import Comparison, PromotionRule, TaskComparison, compare, explain
from infra.errors import UsageError
from infra.store import Store, is_external
from shards.manifest import Manifest
from shards.split import Split

CHAMPION_FILE = "releases/champion.json"


@dataclass(frozen=True)
class Trial:
    """One model and how it came about: what a verdict is about."""

    release_id: str
    model: str  # folder relative to the lake, or absolute outside it
    train: dict[str, Any]  # the training settings that decide its weights
    split: Split


@dataclass(frozen=True)
class Opponent:
    """The champion that a model was compared with, scored on that model's held-out split."""

    release_id: str
    model: str
    score: Estimate
    videos_maybe_trained_on: int  # held-out source videos that the champion's own release may have trained it on


@dataclass(frozen=True)
class Verdict:
    """What a model scored on its release's held-out split, against whom, and what follows from it."""

    release_id: str
    model: str
    promoted: bool
    why: str
    notes: tuple[str, ...]
    score: Estimate  # R@1, averaged over the counted tasks
    chance: float
    champion: Opponent | None
    difference: Estimate  # to the champion on the same queries, or to chance without one
    tasks: tuple[TaskComparison, ...]
    videos: int  # held-out source videos
    rule: PromotionRule
    train: dict[str, Any]
    split: Split

    @property
    def trial(self) -> Trial:
        """What was judged."""
        return Trial(self.release_id, self.model, self.train, self.split)

    def beats(self, rival: Verdict | None) -> bool:
        """Whether this is a promotion over exactly `rival`."""
        before = self.champion and (self.champion.release_id, self.champion.model)
        return self.promoted and before == (rival and (rival.release_id, rival.model))


def open_trial(lake: Store, manifest: Manifest, model: str, train: Mapping[str, Any]) -> Trial:
    """The trial of the model in the folder `model`, trained with the settings `train` on a release of `lake`."""
    folder = str(Path(model).resolve())
    inside = lake.is_local and Path(folder).is_relative_to(lake.root)
    layout = manifest.facts["recipe"]["layout"]
    split = Split(**{field.name: layout[field.name] for field in fields(Split) if field.name in layout})
    return Trial(
        manifest.release_id,
        Path(folder).relative_to(lake.root).as_posix() if inside else folder,
        json.loads(json.dumps(train)),  # as it is read back
        split,
    )


def model_folder(lake: Store, model: str) -> str:
    """Where the model of a trial or verdict is on this machine."""
    return model if is_external(model) else lake.full(model)


def judge(
    trial: Trial, scores: HeldOutReport, champion: tuple[Verdict, HeldOutReport] | None, rule: PromotionRule
) -> Verdict:
    """The verdict on `trial` from its `scores`, and those of the `champion` on the same split."""
    found = compare(scores, champion[1] if champion else None, rule)
    videos = frozenset[str]().union(*(task.video_ids for task in scores.tasks))
    opponent = _opponent(champion[0], found.champion_score, videos) if champion and found.champion_score else None
    return Verdict(
        release_id=trial.release_id,
        model=trial.model,
        promoted=found.promoted,
        why=explain(found, rule),
        notes=tuple(_notes(found, opponent, len(videos), rule)),
        score=found.score,
        chance=found.chance,
        champion=opponent,
        difference=found.difference,
        tasks=found.tasks,
        videos=len(videos),
        rule=rule,
        train=trial.train,
        split=trial.split,
    )


def _opponent(champion: Verdict, score: Estimate, videos: Collection[str]) -> Opponent:
    maybe_trained_on = sum(champion.split.of(video) == "train" for video in videos)
    return Opponent(champion.release_id, champion.model, score, maybe_trained_on)


def _notes(found: Comparison, opponent: Opponent | None, videos: int, rule: PromotionRule) -> Iterator[str]:
    if not found.enough_queries:
        yield f"No task has {rule.min_queries} held-out queries, so all tasks are counted."
    if opponent and opponent.videos_maybe_trained_on:
        yield (
            f"The champion may have been trained on {opponent.videos_maybe_trained_on} of the {videos} held-out "
            "videos, because its release was split in another way; that can only help the champion."
        )


def read_champion(lake: Store) -> Verdict | None:
    """The verdict that made the present champion, if there is one; raises UsageError when the file is damaged."""
    return _read(lake, CHAMPION_FILE)


def read_verdict(lake: Store, release_id: str) -> Verdict | None:
    """The verdict on a release, if there is one; raises UsageError when the file is damaged."""
    return _read(lake, _verdict_file(release_id))


def save_verdict(lake: Store, verdict: Verdict) -> None:
    """Write a verdict beside its release and, of a promotion, before that the champion."""
    if verdict.promoted:
        lake.write(CHAMPION_FILE, _to_bytes(verdict))
    lake.write(_verdict_file(verdict.release_id), _to_bytes(verdict))


def repair(lake: Store) -> None:
    """Finish a promotion that was cut off before its verdict was written beside the release."""
    champion = read_champion(lake)
    if champion is None or not lake.exists(f"releases/{champion.release_id}/manifest.json"):
        return
    verdict = read_verdict(lake, champion.release_id)
    later = verdict and verdict.champion and verdict.champion.model == champion.model
    if verdict != champion and not later:  # a later verdict on the release names the champion as its opponent
        lake.write(_verdict_file(champion.release_id), lake.read(CHAMPION_FILE))


def standing_verdict(lake: Store, trial: Trial, rule: PromotionRule) -> Verdict | None:
    """The verdict that was given on this very trial and still holds.

    A champion is not judged again, by whatever rule. Any other verdict holds under its own rule as long
    as `champion.json` agrees with it: without one, only the rejection of a model no better than chance.
    """
    champion, verdict = read_champion(lake), read_verdict(lake, trial.release_id)
    if champion and champion.trial == trial:
        return champion
    if verdict is None or (verdict.trial, verdict.rule) != (trial, rule):
        return None
    if champion is None:
        return None if verdict.promoted or verdict.champion else verdict
    return None if verdict.beats(champion) else verdict


def _verdict_file(release_id: str) -> str:
    return f"releases/{release_id}/verdict.json"


def _to_bytes(verdict: Verdict) -> bytes:
    return json.dumps(asdict(verdict), indent=1, ensure_ascii=False).encode() + b"\n"


def _read(lake: Store, name: str) -> Verdict | None:
    try:
        return TypeAdapter(Verdict).validate_json(lake.read(name))
    except FileNotFoundError:
        return None
    except ValidationError as error:
        raise UsageError(f"{lake.url}/{name} is not a verdict; remove it to judge anew") from error
