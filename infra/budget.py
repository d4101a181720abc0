"""What one run may cost, what it has cost, and whether it may go on."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Annotated

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from infra.counts import Counts
from infra.errors import BudgetSpent, UsageError
from infra.recipe import Settings

Amount = Annotated[float, Field(ge=0)]


@dataclass(frozen=True)
class Budget(Settings):
    """Limits of one run; 0 means no limit. Work that was handed out is finished, so a run ends a little above."""

    hours: Amount = 0.0  # by the clock on the wall
    money: Amount = 0.0  # worker time and model tokens at the recipe's prices
    model_tokens: Annotated[int, Field(ge=0)] = 0  # read and written by models


@dataclass(frozen=True)
class Prices(Settings):
    """What the two things that cost are worth."""

    worker_hour: Amount = 0.0  # one Ray worker at work for an hour
    million_tokens: Amount = 0.0  # a million model tokens
    currency: str = "USD"

    def of(self, seconds: float, tokens: int) -> float:
        """The money that so many worker seconds and tokens cost."""
        return seconds / 3600 * self.worker_hour + tokens / 1e6 * self.million_tokens


class Spending:
    """Counts what one run takes: time since it began, worker seconds and tokens of the rows it committed."""

    def __init__(self, budget: Budget, prices: Prices) -> None:
        """Raises UsageError when a limit of money has no price to go with it."""
        if budget.money and not (prices.worker_hour or prices.million_tokens):
            raise UsageError("recipe: budget.money needs prices.worker_hour or prices.million_tokens")
        self.budget = budget
        self.prices = prices
        self.began = time.monotonic()
        self.seconds = 0.0
        self.tokens = 0

    def add(self, part: pa.Table) -> None:
        """Count a committed part."""
        self.seconds += pc.sum(part["seconds"]).as_py() or 0.0
        self.tokens += pc.sum(part["tokens"]).as_py() or 0

    @property
    def hours(self) -> float:
        """Hours since the run began."""
        return (time.monotonic() - self.began) / 3600

    @property
    def money(self) -> float:
        """What the run has cost so far."""
        return self.prices.of(self.seconds, self.tokens)

    def limit(self) -> str:
        """The limit that is used up, with its value and its key in the recipe; empty while there is none."""
        if self.budget.hours and self.hours >= self.budget.hours:
            return f"{self.budget.hours:g} hours (budget.hours)"
        if self.budget.money and self.money >= self.budget.money:
            return f"{self.budget.money:g} {self.prices.currency} (budget.money)"
        if self.budget.model_tokens and self.tokens >= self.budget.model_tokens:
            return f"{self.budget.model_tokens:,} model tokens (budget.model_tokens)"
        return ""

    def check(self, counts: Counts, workers: int) -> None:
        """Raise BudgetSpent when a limit is used up; `counts` are of the stage that has to stop.

        `workers` may be 0 where it is not known yet.
        """
        if not (limit := self.limit()):
            return
        raise BudgetSpent(
            f"the run's limit of {limit} is used up after {self.hours:.2f} hours and "
            f"{self._cost(self.seconds, self.tokens)}. Stage {counts.name} has {counts.pending:,} of {counts.in_:,} "
            f"rows pending: {self._estimate(counts, workers)}. What is done is kept: running again goes on from here."
        )

    def _estimate(self, counts: Counts, workers: int) -> str:
        settled = counts.in_ - counts.pending
        if not settled or not counts.seconds:
            return "none of them was timed yet, so what they need is not known"
        seconds = counts.seconds / settled * counts.pending
        tokens = round(counts.tokens / settled * counts.pending)
        clock = f"{seconds / 3600 / workers:.2f} hours with {workers} workers, " if workers else ""
        return f"by what its rows took so far they need about {clock}{self._cost(seconds, tokens)}"

    def _cost(self, seconds: float, tokens: int) -> str:
        parts = [f"{seconds / 3600:.2f} worker hours", f"{tokens:,} model tokens"]
        if self.prices.worker_hour or self.prices.million_tokens:
            parts.append(f"{self.prices.of(seconds, tokens):.2f} {self.prices.currency}")
        return ", ".join(parts)
