"""What a change of training gains: variants trained from several seeds, as a table with intervals.

The table has the shape of the paper's ablation (arXiv 2510.27571, table 3). Seeds are the sample: an interval is
Student's t over them, and a variant is compared with another one seed by seed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student

from eval.metrics import Estimate, Values

AVERAGE = "average"  # over the tasks


@dataclass(frozen=True)
class VariantScores:
    """The scores of one variant. By task, and by AVERAGE, float64 [seeds] in the order of the seeds."""

    name: str
    about: str
    recall_1: dict[str, Values]
    cost: dict[str, float]  # what one run took, mean over the seeds


@dataclass(frozen=True)
class Row:
    """One variant's line of the table; shares between 0 and 1."""

    name: str
    about: str
    recall_1: dict[str, Estimate]  # mean over seeds, by task and AVERAGE
    gain: dict[str, Estimate]  # mean over seeds of the difference to the reference on the same seed
    cost: dict[str, float]


def with_average(by_task: Mapping[str, Values]) -> dict[str, Values]:
    """Scores by task [seeds] and their mean over the tasks."""
    return {**by_task, AVERAGE: np.mean(list(by_task.values()), axis=0)}


def over_seeds(values: Values, level: float = 0.95) -> Estimate:
    """Mean of two or more [seeds] values and its Student's t interval."""
    n, mean = len(values), float(values.mean())
    half = float(student.ppf((1 + level) / 2, n - 1) * values.std(ddof=1) / np.sqrt(n))
    return Estimate(mean, mean - half, mean + half)


def tabulate(variants: Sequence[VariantScores], reference: str) -> list[Row]:
    """The table's rows in the order of `variants`, each compared with the one named `reference`."""
    base = next(variant for variant in variants if variant.name == reference)
    return [
        Row(
            name=variant.name,
            about=variant.about,
            recall_1={task: over_seeds(values) for task, values in variant.recall_1.items()},
            gain={task: over_seeds(values - base.recall_1[task]) for task, values in variant.recall_1.items()},
            cost=variant.cost,
        )
        for variant in variants
    ]


def markdown(rows: Sequence[Row], reference: str, seeds: Sequence[int], release_id: str, split: str) -> str:
    """The table in words: R@1 by task, then the gains over the reference, then what a run cost."""
    tasks = list(rows[0].recall_1)
    lines = [
        f"# Ablation on release {release_id}, {split} split",
        "",
        f"R@1 in percent: mean over {len(seeds)} seeds ({', '.join(map(str, seeds))}) ± half of its 95% interval "
        "(Student's t).",
        "",
        _line("variant", *tasks),
        _line(*["---"] * (len(tasks) + 1)),
        *(_line(row.name, *(_plain(row.recall_1[task]) for task in tasks)) for row in rows),
        "",
        f"Gain over `{reference}` on the same seeds, in points; bold where the interval leaves out 0.",
        "",
        _line("variant", *tasks),
        _line(*["---"] * (len(tasks) + 1)),
        *(_line(row.name, *(_gain(row.gain[task]) for task in tasks)) for row in rows if row.name != reference),
        "",
        _line("variant", "what it is", *rows[0].cost),
        _line(*["---"] * (len(rows[0].cost) + 2)),
        *(_line(row.name, row.about, *(f"{value:,.4g}" for value in row.cost.values())) for row in rows),
    ]
    return "\n".join(lines) + "\n"


def _line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _plain(found: Estimate) -> str:
    return f"{100 * found.mean:.1f} ± {100 * (found.high - found.mean):.1f}"


def _gain(found: Estimate) -> str:
    mean = round(100 * found.mean, 1) + 0.0  # no minus before a nought
    text = f"{mean:+.1f} ± {100 * (found.high - found.mean):.1f}"
    return f"**{text}**" if found.low > 0 or found.high < 0 else text
