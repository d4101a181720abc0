"""The command `uvr abilities`: scores of abilities, and how they go together, from a table of dataset scores."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.options import AsJson

if TYPE_CHECKING:
    from eval.uvrb.abilities import AbilityScores


def abilities(
    table: Annotated[str, typer.Argument(help="CSV: a column `model`, then one for each dataset of UVRB.")],
    correlated: Annotated[
        bool, typer.Option("--correlations", help="Instead: Pearson's r over the models, of datasets and abilities.")
    ] = False,
    json: AsJson = False,
) -> None:
    """Ability scores and averages of every model in a table of UVRB scores; says which printed figures do not fit."""
    from eval.uvrb.abilities import correlations
    from eval.uvrb.tables import PRINTED_AVERAGE, misprints, read_table, scored
    from flows.printing import print_json

    rows = read_table(table)
    found = {model: scored(scores) for model, scores in rows.items()}
    if correlated:
        all_columns = [
            {**{name: value for name, value in rows[model].items() if name != PRINTED_AVERAGE}, **_columns(scores)}
            for model, scores in found.items()
        ]
        matrix = correlations(all_columns)
        print_json(matrix) if json else _print_correlations(matrix)
        return
    wrong = {model: [asdict(cell) for cell in misprints(model, rows[model], found[model])] for model in rows}
    if json:
        print_json(
            {
                model: {
                    **scores.abilities,
                    "average": scores.average,
                    "dataset_average": scores.dataset_average,
                    "missing": scores.missing,
                    "misprints": wrong[model],
                }
                for model, scores in found.items()
            }
        )
        return
    _print_scores(found, wrong)


def _columns(scores: AbilityScores) -> dict[str, float]:
    averages = {"average": scores.average, "dataset average": scores.dataset_average}
    return scores.abilities | {name: value for name, value in averages.items() if value is not None}


def _print_scores(found: dict[str, AbilityScores], wrong: dict[str, list[dict[str, Any]]]) -> None:
    """A row a model; an ability that lacks datasets has a star."""
    from rich.table import Table

    from eval.uvrb.abilities import ABILITIES, ABOUT
    from flows.printing import console

    table = Table(box=None)
    table.add_column("model")
    for name in (*ABILITIES, "average", "dataset average"):
        table.add_column(name, justify="right")
    for model, scores in found.items():
        marks = ("*" if name in scores.missing else "" for name in ABILITIES)
        cells = (_cell(scores.abilities.get(name)) + mark for name, mark in zip(ABILITIES, marks, strict=True))
        table.add_row(model, *cells, _cell(scores.average), _cell(scores.dataset_average))
    console().print(table)
    print("; ".join(f"{name}: {about}" for name, about in ABOUT.items()))
    for model, scores in found.items():
        if lacking := sorted({name for names in scores.missing.values() for name in names}):
            print(f"* {model} has no score of {', '.join(lacking)}")
        for cell in wrong[model]:
            print(f"misprint? {model}, {cell['cell']}: printed {cell['printed']}, its row gives {cell['computed']:.3f}")


def _print_correlations(matrix: dict[str, dict[str, float | None]]) -> None:
    from rich.table import Table

    from flows.printing import console

    table = Table(title="Pearson's r over the models", title_justify="left", box=None)
    table.add_column("")
    for name in matrix:
        table.add_column(name, justify="right")
    for name, row in matrix.items():
        table.add_row(name, *("" if value is None else f"{value:+.2f}" for value in row.values()))
    console(wide=True).print(table)


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
