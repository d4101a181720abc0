"""Shares that grow at the cost of others: the sum stays, bounds hold, and the order of the wishes does not matter."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil, floor, log10

Bounds = Mapping[str, tuple[float, float]]  # lowest and highest share of the whole, by entry


def rebalanced(weights: Mapping[str, float], growth: Mapping[str, float], bounds: Bounds) -> dict[str, float]:
    """`weights` in which each entry of `growth` counts (1 + growth) times as much, scaled back to the same sum.

    So no entry changes by more than the largest growth. What `bounds` does not name keeps its weight. A
    weight that is out of its bounds may stay where it is, but goes no further. The result is rounded to the
    first decimal that a thousandth of the sum reaches, so that it reads well.
    """
    whole = sum(weights.values())
    free = [name for name in weights if name in bounds]
    room = sum(weights[name] for name in free)
    wished = {name: weights[name] * (1 + growth.get(name, 0.0)) for name in free}
    low = {name: min(weights[name], bounds[name][0] * whole) for name in free}
    high = {name: max(weights[name], bounds[name][1] * whole) for name in free}
    if wished == {name: weights[name] for name in free}:
        return dict(weights)
    return _rounded({**weights, **_scaled(wished, low, high, room)}, free)


def _scaled(
    wished: Mapping[str, float], low: Mapping[str, float], high: Mapping[str, float], room: float
) -> dict[str, float]:
    """`wished` times one factor, each then put within its bounds, so that they sum to `room`; found by bisection."""

    def at(factor: float) -> dict[str, float]:
        return {name: min(max(weight * factor, low[name]), high[name]) for name, weight in wished.items()}

    below, above = 0.0, 1.0  # at which all are at the least, and all at least as they were
    for _ in range(60):
        middle = (below + above) / 2
        below, above = (middle, above) if sum(at(middle).values()) < room else (below, middle)
    return at(above)


def _rounded(weights: Mapping[str, float], free: list[str]) -> dict[str, float]:
    """Weights in whole steps, those of `free` summing to what is left by the others (Hamilton's method)."""
    whole = sum(weights.values())
    step = 10.0 ** max(0, ceil(3 - log10(whole) - 1e-6))  # steps in one
    exact = {name: weights[name] * step for name in free}
    steps = {name: floor(value) for name, value in exact.items()}
    missing = round(sum(exact.values())) - sum(steps.values())
    for name in sorted(free, key=lambda name: (steps[name] - exact[name], name))[:missing]:
        steps[name] += 1
    return {name: steps[name] / step if name in steps else weight for name, weight in weights.items()}
