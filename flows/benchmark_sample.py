"""The command `uvr benchmark sample`: a little UVRB made from the sample world."""

from __future__ import annotations

from typing import Annotated

import typer

QUERIES, DIFFICULTY, SEED = 32, 0.5, 42


def sample(
    out: Annotated[str, typer.Option(help="Folder for the sixteen datasets.")],
    queries: Annotated[int, typer.Option(help="Queries of a dataset; some have fewer.", min=8, max=128)] = QUERIES,
    difficulty: Annotated[
        float, typer.Option(help="How many and how near the distractors are.", min=0.0, max=1.0)
    ] = DIFFICULTY,
    seed: Annotated[int, typer.Option(help="Of everything that is drawn.")] = SEED,
) -> None:
    """Render a sample UVRB: sixteen small datasets in the public layout, each isolating its ability."""
    from eval.sample_uvrb.analogue import Dial
    from eval.sample_uvrb.write import write_benchmark

    write_benchmark(out, Dial(queries, difficulty, seed), workers=2)
    print(out)
