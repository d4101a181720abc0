"""The Modality Pyramid: which task each step of an epoch serves (arXiv 2510.27571, section 3.3), as pure functions.

At the start of epoch t a prober scores positive pairs of every task k; their mean cosine is the task's relevance
R_k(t). A step's task is k with a share P_t(k) ∝ exp(R_k(t) / sigma(t)), where sigma grows from 0.1 to 1.0: first
come the tasks whose pairs the prober finds close, at last nearly all alike. Baselines weigh tasks otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from train.settings import CurriculumSettings

HALVINGS = 100  # of the interval in which the common factor is searched; floats have no more digits
LEAST_SHARE = 1e-300  # that is wanted: exp underflows at a difference of 75 sigma, and such a task can still grow


@dataclass(frozen=True)
class EpochPlan:
    """What one epoch serves."""

    sigma: float
    relevance: dict[str, float]  # R_k by task
    shares: dict[str, float]  # P(k) by task, as far as its pairs allow
    steps: dict[str, int]  # by task; the sum is that of the epoch

    def order(self, seed: int, epoch: int) -> list[str]:
        """The task of every step, in an order by seed and epoch."""
        tasks = [task for task, steps in self.steps.items() for _ in range(steps)]
        return [tasks[i] for i in np.random.default_rng([seed, epoch]).permutation(len(tasks))]


def sigma_of(epoch: int, epochs: int, first: float, last: float) -> float:
    """sigma of epoch 0 <= `epoch` < `epochs`: from `first` to `last` in equal steps; of a single epoch `first`."""
    return first + (last - first) * epoch / max(1, epochs - 1)


def wanted_shares(
    settings: CurriculumSettings, relevance: Mapping[str, float], batches: Mapping[str, int], sigma: float
) -> dict[str, float]:
    """The share of steps each task should get, summing to 1, whether or not it has as many pairs.

    `pyramid` is the paper's; `reversed` is ∝ exp(-R / sigma), `proportional` goes by the tasks' whole batches of
    pairs, `uniform` by nothing. Tasks are those of `batches`.
    """
    if settings.schedule == "pyramid":
        best = max(relevance.values())  # less which nothing overflows
        raw = {task: float(np.exp((relevance[task] - best) / sigma)) for task in sorted(batches)}
    elif settings.schedule == "reversed":
        worst = min(relevance.values())
        raw = {task: float(np.exp((worst - relevance[task]) / sigma)) for task in sorted(batches)}
    else:
        raw = {task: float(batches[task] if settings.schedule == "proportional" else 1) for task in sorted(batches)}
    total = sum(raw.values())
    return {task: weight / total for task, weight in raw.items()}


def plan_epoch(
    settings: CurriculumSettings, relevance: Mapping[str, float], batches: Mapping[str, int], epoch: int, epochs: int
) -> EpochPlan:
    """The plan of one epoch, of as many steps as all tasks together have whole `batches` of pairs.

    Every task gets at least one step, and its pairs come up at most `max_passes` times; what that takes from or
    gives to a task, the others share by their weights.
    """
    sigma = sigma_of(epoch, epochs, settings.first_sigma, settings.last_sigma)
    steps = sum(batches.values())
    highest = {task: settings.max_passes * count / steps for task, count in batches.items()}
    lowest = {task: min(1 / steps, highest[task]) for task in batches}
    shares = bounded_shares(wanted_shares(settings, relevance, batches, sigma), lowest, highest)
    return EpochPlan(sigma, dict(sorted(relevance.items())), shares, whole_steps(shares, steps))


def bounded_shares(
    wanted: Mapping[str, float], lowest: Mapping[str, float], highest: Mapping[str, float]
) -> dict[str, float]:
    """Shares that sum to 1 within bounds, as proportional to the `wanted` ones as these allow.

    They are clip(c * wanted, lowest, highest) for the one factor c with that sum, whose logarithm is found by
    bisection. The lower bounds are above 0 and sum to at most 1, the upper ones to at least 1.
    """
    tasks = sorted(wanted)
    want, low, high = (np.array([values[task] for task in tasks]) for values in (wanted, lowest, highest))
    want = np.log(np.maximum(want, LEAST_SHARE))
    below, above = float((np.log(low) - want).min()), float((np.log(high) - want).max())
    for _ in range(HALVINGS):
        middle = (below + above) / 2
        if np.clip(np.exp(middle + want), low, high).sum() < 1:
            below = middle
        else:
            above = middle
    found = np.clip(np.exp(above + want), low, high)
    return dict(zip(tasks, (found / found.sum()).tolist(), strict=True))


def whole_steps(shares: Mapping[str, float], steps: int) -> dict[str, int]:
    """Whole steps of each task by its share, `steps` in all: largest remainders, of equal ones the first by name."""
    exact = {task: share * steps for task, share in sorted(shares.items())}
    counts = {task: int(value + 1e-9) for task, value in exact.items()}
    by_remainder = sorted(exact, key=lambda task: (counts[task] - exact[task], task))
    for task in by_remainder[: steps - sum(counts.values())]:
        counts[task] += 1
    return counts
