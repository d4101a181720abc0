"""What a run may cost."""

from __future__ import annotations

from dataclasses import dataclass

from infra.recipe import Settings


@dataclass(frozen=True)
class Prices(Settings):
    """What work costs, for plans and budgets; 0 is free or unknown."""

    worker_hour: float = 0.0  # one worker for an hour
    million_tokens: float = 0.0  # a million model tokens
    currency: str = "USD"
