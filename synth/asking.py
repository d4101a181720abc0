"""How the caption and query stages go through their rows: many at once, each with an outcome of its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final

from infra.errors import RowError
from infra.stage import Drop, Fault, Outcome, Row, Work
from synth.generator import Generator
from synth.meaning import MEANINGLESS

# One answer on so many clips of a batch, at least, is a fault of who answers (a public set has one on 4,000).
REPEATS: Final = 5
REPEATED_SHARE: Final = 0.2  # and on such a share of them


def ask_rows(function: Callable[[Row], Row], generator: Generator, texts: Sequence[str]) -> Work:
    """The work of a stage whose `function` asks `generator` about one row; its answers are in the columns `texts`."""

    def work(rows: list[Row]) -> list[Outcome]:
        with generator.watched(), ThreadPoolExecutor(min(generator.at_once, len(rows))) as threads:
            outcomes = list(threads.map(partial(_outcome, function), rows))
        return without_repeats(outcomes, texts)

    return work


def _outcome(function: Callable[[Row], Row], row: Row) -> Outcome:
    """The row made, or why there is none: a text without sense is dropped, every other fault is quarantined."""
    try:
        return function(row)
    except RowError as error:
        if error.reason in MEANINGLESS:
            return Drop(row["key"], error.reason, {"answer": error.message})
        return Fault(row["key"], error.reason, error.message)


def without_repeats(outcomes: Sequence[Outcome], texts: Sequence[str]) -> list[Outcome]:
    """The outcomes of a batch, rows that share an answer with too many others quarantined as `repeated_answer`."""
    made = [outcome for outcome in outcomes if isinstance(outcome, dict)]
    counts = Counter((name, str(row[name])) for row in made for name in texts)
    most = max(REPEATS - 1, REPEATED_SHARE * len(made))

    def checked(outcome: Outcome) -> Outcome:
        if not isinstance(outcome, dict):
            return outcome
        times = max(counts[name, str(outcome[name])] for name in texts)
        if times <= most:
            return outcome
        return Fault(outcome["key"], "repeated_answer", f"one answer for {times} of {len(made)} clips")

    return [checked(outcome) for outcome in outcomes]
