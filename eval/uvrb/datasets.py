"""UVRB's sixteen datasets as data: what each asks, which ability it isolates and how it is scored.

They stand in `datasets.toml` beside this file (arXiv 2510.27571, appendix A.2, tables 4 and 5).
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Final

from infra.errors import UsageError


@dataclass(frozen=True)
class Dataset:
    """One dataset of UVRB. Its targets are videos."""

    name: str
    about: str
    query: str  # T text, I image, V video, or two of them
    ability: str  # the one it isolates
    metric: str  # R@k over the corpus, or P@1 among a query's own candidates
    instruction: str  # given with the query, never with a target
    queries: int  # of the published benchmark, as are those below
    corpus: int | None = None  # videos that every query is searched in
    candidates: int | None = None  # videos that each query brings along, where it does

    @property
    def k(self) -> int:
        """The number of results that the metric looks at."""
        return int(self.metric.split("@")[1])


def _read() -> tuple[Dataset, ...]:
    table = tomllib.loads(Path(__file__).with_suffix(".toml").read_text())
    return tuple(Dataset(**row) for row in table["dataset"])


DATASETS: Final = _read()


def named(names: Iterable[str]) -> tuple[Dataset, ...]:
    """The datasets of some names, in the order of the benchmark.

    Raises UsageError for a name that is none, and says which it may have been.
    """
    wanted, known = set(names), {dataset.name: dataset for dataset in DATASETS}
    for name in sorted(wanted - known.keys()):
        near = get_close_matches(name, known, n=1, cutoff=0.5)
        hint = f", did you mean {near[0]}?" if near else "."
        raise UsageError(f"UVRB has no dataset {name!r}{hint} It has {', '.join(known)}.")
    return tuple(dataset for dataset in DATASETS if dataset.name in wanted)
