"""The commands `uvr model ...`, and what they do: read a configuration, then print."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer

from flows.options import AsJson

model_app = typer.Typer(no_args_is_help=True, help="Models: what one is, before any weights are read.")


@model_app.callback()
def model() -> None:
    """Keeps the name of a single command from being left out."""


@model_app.command("info")
def info(
    model: Annotated[str, typer.Argument(help="An architecture's name, as qwen2.5-vl-3b, or a model's folder.")],
    json: AsJson = False,
) -> None:
    """Shape, parameters, what LoRA would train of them, and inputs, from the configuration alone."""
    from rich.table import Table

    from flows.printing import console, print_json
    from train.model_info import model_info

    facts = asdict(model_info(model))
    if json:
        print_json(facts)
        return
    table = Table(title=facts.pop("model"), title_justify="left", box=None, show_header=False)
    table.add_column(style="bold")
    table.add_column()
    for name, value in facts.items():
        table.add_row(name.replace("_", " "), in_words(value))
    console().print(table)


def in_words(value: Any) -> str:
    """Numbers with commas; the entries of a section one a line, those of a section inside it on one."""
    if isinstance(value, dict):
        return "\n".join(f"{name} {in_words(inner).replace(chr(10), ', ')}" for name, inner in value.items())
    return f"{value:,}" if isinstance(value, int) else str(value)
