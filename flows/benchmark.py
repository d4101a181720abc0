"""The commands `uvr benchmark ...`."""

from __future__ import annotations

import typer

from flows.benchmark_sample import sample

benchmark_app = typer.Typer(no_args_is_help=True, help="Benchmarks on disk.")
benchmark_app.command()(sample)
