"""Tables of models' dataset scores as CSV, and the published ones (arXiv 2510.27571, tables 1 and 2).

A row is a model, a column a dataset or ability; `average_printed` is what a paper printed as the average.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from eval.uvrb.abilities import ABILITIES, AbilityScores, ability_scores
from eval.uvrb.datasets import DATASETS
from infra.errors import UsageError

PRINTED_AVERAGE: Final = "average_printed"
PRINTED_WITHIN: Final = 0.0015  # what three rounded decimals may differ by from means of rounded decimals
_DATASETS_FILE, _ABILITIES_FILE = "published_datasets.csv", "published_abilities.csv"

Table = dict[str, dict[str, float]]  # by model, by column


def read_table(path: str) -> Table:
    """A table of dataset scores, shares between 0 and 1; an empty cell is a score that is not there.

    Raises UsageError, with the line, for what is no such table.
    """
    names = [dataset.name for dataset in DATASETS]
    return _read(Path(path), names)


def published() -> tuple[Table, Table]:
    """Table 1, by dataset, and table 2, by ability, both with their printed averages."""
    here = Path(__file__).parent
    datasets = [dataset.name for dataset in DATASETS]
    return _read(here / _DATASETS_FILE, datasets), _read(here / _ABILITIES_FILE, list(ABILITIES))


def _read(path: Path, columns: list[str]) -> Table:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file, skipinitialspace=True, strict=True)
            header = rows.fieldnames or []
            if header[:1] != ["model"]:
                raise UsageError(f"{path}: the first column of a table of scores is `model`, not {header[:1]}")
            if unknown := [name for name in header[1:] if name not in (*columns, PRINTED_AVERAGE)]:
                raise UsageError(f"{path}: no dataset of UVRB: {', '.join(map(str, unknown))}")
            if len(set(header)) < len(header):
                raise UsageError(f"{path}: a column stands twice")
            table: Table = {}
            for row in rows:
                if None in row or None in row.values():
                    raise UsageError(f"{path}, line {rows.line_num}: {len(header)} cells are wanted, as in the header")
                model = row.pop("model")
                if not model or model in table:
                    raise UsageError(f"{path}, line {rows.line_num}: the model has no name, or stands twice: {model!r}")
                where = f"{path}, line {rows.line_num}"
                table[model] = {name: _number(cell, name, where) for name, cell in row.items() if cell.strip()}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{path} cannot be read as a table: {error}") from error
    if not table:
        raise UsageError(f"{path} has no model")
    return table


def _number(cell: str, name: str, where: str) -> float:
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 1:
        raise UsageError(f"{where}: {name} is {cell!r}, not a share between 0 and 1")
    return value


@dataclass(frozen=True)
class Misprint:
    """A printed figure that the model's own dataset scores do not give."""

    cell: str
    printed: float
    computed: float


def misprints(model: str, scores: Mapping[str, float], found: AbilityScores) -> Iterator[Misprint]:
    """Where what was printed for a model differs from what its row gives: its own average, and table 2.

    Table 2 is held against the row of a published model only while its scores are the published ones.
    """
    table_1, table_2 = published()
    if PRINTED_AVERAGE in scores and found.dataset_average is not None:
        yield from _differ("dataset average", scores[PRINTED_AVERAGE], found.dataset_average)
    if model in table_2 and all(scores.get(name) == value for name, value in table_1[model].items()):
        printed = table_2[model]
        for name, value in found.abilities.items():
            yield from _differ(name, printed[name], value)
        if found.average is not None:
            yield from _differ("average", printed[PRINTED_AVERAGE], found.average)


def _differ(cell: str, printed: float, computed: float) -> Iterator[Misprint]:
    if abs(printed - computed) > PRINTED_WITHIN:
        yield Misprint(cell, printed, computed)


def scored(scores: Mapping[str, float]) -> AbilityScores:
    """The abilities of one row of a table."""
    return ability_scores({name: value for name, value in scores.items() if name != PRINTED_AVERAGE})
