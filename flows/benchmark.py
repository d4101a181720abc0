"""The commands `uvr benchmark ...`: UVRB's data, before any model sees it."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from flows.benchmark_sample import sample
from flows.options import AsJson, split_names

if TYPE_CHECKING:
    from eval.uvrb.layout import Reading
    from eval.uvrb.records import Benchmark

benchmark_app = typer.Typer(no_args_is_help=True, help="UVRB's data: check it, or make a sample of it.")
benchmark_app.command()(sample)

Datasets = Annotated[Optional[str], typer.Option(help="Only these, by name with commas between; all if none.")]


@benchmark_app.command("check")
def benchmark_check(
    data: Annotated[str, typer.Argument(help="Folder that holds UVRB's datasets, each a folder, .zip or .tar.")],
    datasets: Datasets = None,
    json: AsJson = False,
) -> None:
    """Every dataset that is there, its size beside the published one, and every problem; exit code 2 with any."""
    from eval.uvrb.layout import read
    from flows.printing import print_json

    found = read(data, split_names(datasets))
    print_json(_document(found)) if json else _print(found)
    if found.problems:
        raise typer.Exit(2)


def _facts(benchmark: Benchmark) -> dict[str, Any]:
    from eval.uvrb.layout import sizes

    return {
        "name": benchmark.dataset.name,
        "queries": len(benchmark.queries),
        "corpus": len(benchmark.corpus),
        "positives": sum(map(len, benchmark.positives.values())),
        "differs": sizes(benchmark),
    }


def _document(found: Reading) -> dict[str, Any]:
    return {
        "datasets": [_facts(benchmark) for benchmark in found.benchmarks],
        "missing": found.missing,
        "problems": [asdict(problem) for problem in found.problems],
    }


def _print(found: Reading) -> None:
    for facts in map(_facts, found.benchmarks):
        counts = f"{facts['queries']} queries, {facts['corpus']} videos, {facts['positives']} positives"
        size = f"not the published size: {facts['differs']}" if facts["differs"] else "the published size"
        print(f"{facts['name']}: {counts}; {size}")
    if found.missing:
        print(f"not there: {', '.join(found.missing)}")
    for problem in found.problems:
        print(f"problem: {problem}")
