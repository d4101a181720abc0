"""Verdicts on disk: what stands, what is judged again, and what a crash leaves to repair."""

from dataclasses import replace
from pathlib import Path

import pytest
from made_scores import hits, report

from eval.promotion import PromotionRule
from eval.verdict import (
    CHAMPION_FILE,
    Trial,
    Verdict,
    judge,
    read_champion,
    read_verdict,
    repair,
    save_verdict,
    standing_verdict,
)
from infra.errors import UsageError
from infra.store import Store
from shards.split import Split

RULE = PromotionRule()
SPLIT = Split(seed=1, val_share=0.3)
WEAK, STRONG = report(T2V=hits(30, 100)), report(T2V=hits(60, 100))


def trial(release_id: str, model: str) -> Trial:
    return Trial(release_id, model, {"seed": 1}, SPLIT)


@pytest.fixture
def lake(tmp_path: Path) -> Store:
    store = Store(str(tmp_path))
    for release_id in ("r1", "r2"):
        store.write(f"releases/{release_id}/manifest.json", b"{}")
    return store


@pytest.fixture
def first(lake: Store) -> Verdict:
    """The first champion: a weak model of r1."""
    verdict = judge(trial("r1", "m1"), WEAK, None, RULE)
    save_verdict(lake, verdict)
    return verdict


def test_a_champion_that_may_have_seen_the_held_out_videos_is_noted(first: Verdict) -> None:
    again = judge(trial("r2", "m2"), WEAK, (first, WEAK), RULE)
    assert again.champion
    seen = sum(SPLIT.of(f"v{number}") != "val" for number in range(100))
    assert again.champion.videos_maybe_trained_on == seen
    assert 0 < seen < 100
    assert f"{seen} of the 100 held-out videos" in again.notes[0]
    careful = replace(first, split=Split(seed=1, val_share=1.0))
    assert judge(again.trial, WEAK, (careful, WEAK), RULE).notes == ()


def test_only_a_promotion_makes_a_champion(lake: Store, first: Verdict) -> None:
    rejected = judge(trial("r2", "m2"), WEAK, (first, WEAK), RULE)
    save_verdict(lake, rejected)
    assert (read_champion(lake), read_verdict(lake, "r2")) == (first, rejected)
    promoted = judge(trial("r2", "m3"), STRONG, (first, WEAK), RULE)
    save_verdict(lake, promoted)
    assert read_champion(lake) == read_verdict(lake, "r2") == promoted


def test_a_crash_between_champion_and_verdict_is_repaired(lake: Store, first: Verdict) -> None:
    """Whether the release had no verdict before or an older one."""
    lake.remove("releases/r1/verdict.json")
    repair(lake)
    assert read_verdict(lake, "r1") == first
    promoted = judge(trial("r1", "m2"), STRONG, (first, WEAK), RULE)
    save_verdict(lake, promoted)
    save_verdict(lake, replace(first, promoted=False))
    repair(lake)
    assert lake.read("releases/r1/verdict.json") == lake.read(CHAMPION_FILE)
    assert read_verdict(lake, "r1") == promoted


def test_repair_keeps_a_later_verdict_on_the_champions_release(lake: Store, first: Verdict) -> None:
    later = judge(trial("r1", "m2"), WEAK, (first, WEAK), RULE)
    save_verdict(lake, later)
    repair(lake)
    assert read_verdict(lake, "r1") == later
    assert read_champion(lake) == first


def test_what_stands_and_what_is_judged_again(lake: Store, first: Verdict) -> None:
    rejected = judge(trial("r2", "m2"), WEAK, (first, WEAK), RULE)
    save_verdict(lake, rejected)
    strict = replace(RULE, min_gain=0.5)
    assert standing_verdict(lake, first.trial, strict) == first  # the champion, by whatever rule
    assert standing_verdict(lake, rejected.trial, RULE) == rejected
    assert standing_verdict(lake, rejected.trial, strict) is None
    assert standing_verdict(lake, replace(rejected.trial, train={"seed": 2}), RULE) is None
    assert standing_verdict(lake, trial("r2", "m3"), RULE) is None
    promoted = judge(trial("r2", "m3"), STRONG, (first, WEAK), RULE)
    save_verdict(lake, promoted)
    assert standing_verdict(lake, first.trial, RULE) == first  # history
    save_verdict(lake, first)  # the old champion put back by hand
    assert standing_verdict(lake, promoted.trial, RULE) is None
    lake.remove(CHAMPION_FILE)
    assert standing_verdict(lake, first.trial, RULE) is None


def test_no_better_than_chance_stands_without_a_champion(lake: Store) -> None:
    hopeless = judge(trial("r1", "m1"), report(T2V=hits(1, 100)), None, RULE)
    assert not hopeless.promoted
    save_verdict(lake, hopeless)
    assert read_champion(lake) is None
    assert standing_verdict(lake, hopeless.trial, RULE) == hopeless


def test_a_damaged_file_is_named(lake: Store, first: Verdict) -> None:
    lake.write(CHAMPION_FILE, lake.read(CHAMPION_FILE)[:-20])
    with pytest.raises(UsageError, match=r"champion\.json is not a verdict"):
        read_champion(lake)
