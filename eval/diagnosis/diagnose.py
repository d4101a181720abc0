"""From the scores of a model to changes of the recipe its training data was made by.

A weakness is a shortfall (`eval.diagnosis.reach`) whose 95% interval is above zero, and which is at least LEAST of
the mean: with many queries every difference is sure, and one very strong ability leaves all others below the mean.
All rules that find one are applied at once, so their order does not matter:

- the growth they wish for is the shortfall as a share of the mean that was reached, at most `max_change`;
- entries of a table grow by it at the cost of the others, whose sum with them stays (`eval.diagnosis.rebalance`);
- a number goes that share of the way to its bound; a switch is turned on.

What is expected of it is a guess by a stated rule, for a later measurement to be held against: GUESS of the shortfall
times the growth that came of it. Guesses for one ability are each for a change by itself, and do not add up.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from eval.diagnosis.reach import Reached, Scored, by_ability, mean_reached, near_misses, reached, shortfalls, telling
from eval.diagnosis.rebalance import rebalanced
from eval.diagnosis.rules import HELDOUT_RULES, NEAR, NEGATIVES, NUMBER_BOUNDS, TABLE_BOUNDS, UVRB_RULES, Rule
from eval.metrics import Estimate

LEAST: Final = 0.05
GUESS: Final = 0.5  # of a shortfall goes where the pairs that teach the ability are doubled

Setting = float | bool | dict[str, float]
Settings = Mapping[str, Setting]  # by the recipe's keys, as "pairs.weights"


@dataclass(frozen=True)
class Evidence:
    """What was measured, as rules read it, and the rules it is for."""

    reached: Mapping[str, Reached]  # by ability, or by task
    shortfall: Mapping[str, Estimate]
    near: Mapping[str, float]  # by ability: the share of misses that come within the first ten
    rules: tuple[Rule, ...]

    @property
    def mean(self) -> float:
        """The mean reached, of what is reachable; 0 where the model is not surely better than chance."""
        if not self.reached:
            return 0.0
        found = mean_reached(list(self.reached.values()))
        return found.share if found.share > 2 * found.error else 0.0

    def is_weak(self, name: str) -> bool:
        """Whether it is surely below the mean, and by enough to matter."""
        gap = self.shortfall.get(name)
        return gap is not None and gap.low > 0 and gap.mean >= LEAST * self.mean > 0

    def fires(self, rule: Rule) -> bool:
        """Whether a rule finds what it looks for."""
        if not self.is_weak(rule.looks_at):
            return False
        if rule.reads in ("near misses", "far misses"):
            return (self.near.get(rule.looks_at, 0.0) >= NEAR) == (rule.reads == "near misses")
        return rule.reads != "weakest" or rule.looks_at == self._weakest()

    def _weakest(self) -> str:
        return max(self.shortfall, key=lambda name: (self.shortfall[name].mean, name))


@dataclass(frozen=True)
class Measured:
    """One ability or task: shares of what is reachable above chance."""

    name: str
    reached: float
    error: float  # standard error
    shortfall: Estimate  # below the model's own mean, or beyond the reference's shortfall; with its 95% interval
    weak: bool


@dataclass(frozen=True)
class Change:
    """What one rule changes of one setting; of a table the entries that it raises."""

    rule: str
    looks_at: str
    setting: str
    before: Setting
    after: Setting
    growth: float | None  # of what it raises, as a share; None of a switch
    expected_gain: float | None  # a guess, as a share of what is reachable; None where no rule says
    why: str


@dataclass(frozen=True)
class Advice:
    """What a rule would change but cannot."""

    rule: str
    looks_at: str
    needs: str
    why: str


@dataclass(frozen=True)
class Diagnosis:
    """What was measured and what follows; without changes, nothing is surely weak or nothing can be done."""

    measured: tuple[Measured, ...]
    changes: tuple[Change, ...]
    advice: tuple[Advice, ...]
    notes: tuple[str, ...]
    settings: dict[str, Setting]  # those that change, as they are to be


def uvrb_evidence(scores: Sequence[Scored], reference: Sequence[Scored] | None = None) -> Evidence:
    """Evidence of UVRB's datasets, or what a reference that was scored on the same ones does not explain of it."""
    known = scores if reference is None else _common(scores, reference)
    own = by_ability(known)
    other = None if reference is None else by_ability(_common(reference, known))
    return Evidence(own, shortfalls(own, other), near_misses(telling(known)), UVRB_RULES)


def heldout_evidence(scores: Sequence[Scored]) -> Evidence:
    """Evidence of the tasks of a held-out split."""
    own = {scored.name: reached(scored) for scored in telling(scores)}
    return Evidence(own, shortfalls(own), {}, HELDOUT_RULES)


def _common(scores: Iterable[Scored], others: Iterable[Scored]) -> list[Scored]:
    names = {scored.name for scored in telling(others)}
    return [scored for scored in telling(scores) if scored.name in names]


def diagnose(evidence: Evidence, settings: Settings, max_change: float = 0.25) -> Diagnosis:
    """What to change of `settings`, none of which changes by more than `max_change` of itself.

    `settings` has every setting and switch that the rules of the evidence name.
    """
    fired = [rule for rule in evidence.rules if evidence.fires(rule)]
    usable = [rule for rule in fired if all(settings[name] for name in rule.requires)]
    growth = {rule: min(max_change, evidence.shortfall[rule.looks_at].mean / evidence.mean) for rule in usable}
    after = {name: _changed(name, settings[name], growth) for name in {rule.setting for rule in usable}}
    changes = {rule: _change(rule, settings[rule.setting], after[rule.setting], evidence) for rule in usable}
    told = {rule: change for rule, change in changes.items() if change.before != change.after}
    advice = [_advice(rule, rule in usable) for rule in fired if rule not in told]
    return Diagnosis(
        measured=tuple(_measured(evidence, name) for name in evidence.reached),
        changes=tuple(told.values()),
        advice=tuple(advice for advice in advice if advice.needs),
        notes=tuple(_notes(evidence, bool(fired))),
        settings={rule.setting: after[rule.setting] for rule in told},
    )


def _changed(name: str, value: Setting, growth: Mapping[Rule, float]) -> Setting:
    """One setting after all rules that change it; of those that wish for the same, the greatest wish counts."""
    wishes = [(rule, wish) for rule, wish in growth.items() if rule.setting == name]
    if isinstance(value, dict):
        by_entry: dict[str, float] = {}
        for rule, wish in wishes:
            by_entry |= {entry: max(wish, by_entry.get(entry, 0.0)) for entry in rule.raises}
        return rebalanced(value, by_entry, TABLE_BOUNDS[name])
    if isinstance(value, bool):
        return True
    way = max(wish for _, wish in wishes) * max(0.0, NUMBER_BOUNDS[name] - value)
    return round(value + way, 4)


def _change(rule: Rule, before: Setting, after: Setting, evidence: Evidence) -> Change:
    growth: float | None = None
    if isinstance(before, dict) and isinstance(after, dict):
        before, after = ({entry: table[entry] for entry in rule.raises} for table in (before, after))
        whole = sum(before.values())
        growth = sum(after.values()) / whole - 1 if whole else 0.0  # what is turned off stays so
    elif not isinstance(before, dict | bool) and not isinstance(after, dict | bool):
        growth = after / before - 1
    is_quota = isinstance(before, dict) and growth is not None
    gain = GUESS * evidence.shortfall[rule.looks_at].mean * max(0.0, growth or 0.0) if is_quota else None
    return Change(rule.name, rule.looks_at, rule.setting, before, after, growth, gain, rule.why)


def _advice(rule: Rule, usable: bool) -> Advice:
    stays = f"more than {rule.setting}, which is at its bound or at 0, or which another rule wants to go the other way"
    needs = rule.needs if not usable else "" if rule.setting == NEGATIVES else stays
    return Advice(rule.name, rule.looks_at, needs, rule.why)


def _measured(evidence: Evidence, name: str) -> Measured:
    found = evidence.reached[name]
    return Measured(name, found.share, found.error, evidence.shortfall[name], evidence.is_weak(name))


def _notes(evidence: Evidence, any_fired: bool) -> Iterable[str]:
    if len(evidence.reached) < 2:
        yield "Fewer than two abilities or tasks were scored, so none can be weaker than another."
    elif evidence.mean <= 0:
        yield "The model is not surely better than chance, so that its profile says nothing: no change."
    elif not any_fired:
        yield "Nothing is surely weak: no change."
