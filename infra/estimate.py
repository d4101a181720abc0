"""Totals of a whole collection from a random sample of it, with error bars.

Ratio and expansion estimators for simple random samples (Cochran, Sampling Techniques, 3rd ed., 1977,
sections 2.9 and 6.3) with bootstrap intervals (Efron 1979, percentile method), whose deviations are
scaled for sampling without replacement (Rao and Wu 1988): a sample that is everything has no error.
What no sampled item shows (a fault that one in a hundred has) cannot show in an interval either.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Figures = NDArray[np.float64]
Scale = Literal["size", "items"]

CONFIDENCE = 0.9
REPLICATES = 1000


@dataclass(frozen=True)
class Estimate:
    """A best guess, and the guesses that resamples of the same sample lead to: float64 [replicates].

    Estimates of one `Extrapolation` share their resamples, so sums and ratios of them keep what they
    have in common.
    """

    point: float
    replicates: Figures

    @property
    def low(self) -> float:
        """Lower end of the interval that holds the middle `CONFIDENCE` of the replicates."""
        return float(np.quantile(self.replicates, (1 - CONFIDENCE) / 2))

    @property
    def high(self) -> float:
        """Upper end of that interval."""
        return float(np.quantile(self.replicates, (1 + CONFIDENCE) / 2))

    def map(self, function: Callable[[Figures], Figures]) -> Estimate:
        """The estimate of an elementwise function of this one."""
        return Estimate(float(function(np.array([self.point]))[0]), function(self.replicates))

    def __add__(self, other: Estimate) -> Estimate:
        return Estimate(self.point + other.point, self.replicates + other.replicates)

    def __mul__(self, other: Estimate) -> Estimate:
        return Estimate(self.point * other.point, self.replicates * other.replicates)

    def scaled(self, factor: float) -> Estimate:
        """The estimate times a number that is known."""
        return Estimate(self.point * factor, self.replicates * factor)

    def over(self, other: Estimate) -> Estimate:
        """The ratio of two estimates that are never negative; 0 where `other` is 0."""
        replicates = np.divide(
            self.replicates, other.replicates, out=np.zeros_like(self.replicates), where=other.replicates > 0
        )
        return Estimate(self.point / other.point if other.point > 0 else 0.0, replicates)


def exactly(value: float) -> Estimate:
    """A number that is known."""
    return Estimate(value, np.full(REPLICATES, float(value)))


def total(estimates: Iterable[Estimate]) -> Estimate:
    """Their sum."""
    return sum(estimates, exactly(0.0))


class Extrapolation:
    """From a simple random sample to all `count` items, whose sizes sum to `size`.

    `sizes` are those of the n sampled items in any unit, 0 where unknown. The same seed gives the same resamples.
    Raises ValueError when the sample is one item of several, or larger than the whole.
    """

    def __init__(self, sizes: Sequence[float], count: int, size: float, seed: int) -> None:
        n = len(sizes)
        if not 0 < n <= count or n == 1 < count:
            raise ValueError(f"cannot tell the error of a sample of {n} out of {count}")
        self.sizes = np.asarray(sizes, np.float64)
        self.count = count
        self.size = size
        drawn = np.random.default_rng(seed).integers(n, size=(REPLICATES, n))
        self._times = np.stack([np.bincount(row, minlength=n) for row in drawn]).astype(np.float64)
        self._spread = float(np.sqrt((1 - n / count) * n / (n - 1))) if n > 1 else 0.0
        self.is_whole = n == count
        self.has_sizes = bool(np.all(self._times @ self.sizes > 0))  # a ratio to 0 is none

    def total(self, values: Figures, scale: Scale) -> Estimate:
        """The total over all items of what the sampled ones show: `values` >= 0, float64 [n].

        By "size" it is in proportion to the items' sizes, by "items" to their number. No total is less than
        what the sample itself holds.
        """
        base = self.sizes if scale == "size" else np.ones_like(self.sizes)
        whole = self.size if scale == "size" else float(self.count)
        point = whole / float(base.sum()) * float(values.sum())
        resampled = whole * (self._times @ values) / (self._times @ base)
        replicates = np.maximum(point + self._spread * (resampled - point), values.sum())
        return Estimate(point, replicates)

    def better_scale(self, values: Figures) -> Scale:
        """The scale whose replicates vary less; "size" when there is nothing to choose."""
        if not self.has_sizes:
            return "items"
        by_size, by_items = (float(np.std(self.total(values, scale).replicates)) for scale in ("size", "items"))
        return "size" if by_size <= by_items else "items"
