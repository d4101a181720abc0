"""The `uvr` command line. Heavy imports wait until a command runs, so that `--help` is instant."""

from __future__ import annotations

import sys
import traceback
from pathlib import Path
from typing import Annotated, Optional

import typer

from flows.abilities import abilities
from flows.benchmark import benchmark_app
from flows.diagnose import diagnose
from flows.evaluation import evaluate
from flows.models import model_app
from flows.options import (
    AsJson,
    Cron,
    HeldOut,
    Lake,
    NightlyLake,
    NightlyVideos,
    RecipeFile,
    Sets,
    StageName,
    Timezone,
    Videos,
)
from flows.releases import release_app
from flows.service.nightly import Nightly
from infra.errors import UsageError, UvrError

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
app.add_typer(release_app, name="release")
app.add_typer(model_app, name="model")
app.add_typer(benchmark_app, name="benchmark")
app.command()(abilities)
app.command("eval")(evaluate)
app.command()(diagnose)

LOOPBACK = "127.0.0.1"
INTERRUPTED = 130  # exit code after Ctrl-C


@app.command()
def run(videos: Videos, lake: Lake, recipe: RecipeFile = None, set_: Sets = None) -> None:
    """Make a release from videos: every stage, resuming what the lake already holds."""
    from flows import commands

    commands.run(videos, lake, recipe, set_ or [])


@app.command()
def plan(
    videos: Videos,
    recipe: RecipeFile = None,
    set_: Sets = None,
    sample: Annotated[int, typer.Option(help="How many videos, drawn at random, are tried.", min=2)] = 16,
    lake: Annotated[Optional[str], typer.Option(help="Where the run would write; only its free disk is read.")] = None,
    json: AsJson = False,
) -> None:
    """Dry run: expected rows, pairs, time, disk and cost of a run, with error bars, from a few videos."""
    from flows import commands

    commands.plan(videos, recipe, set_ or [], sample, lake, json)


@app.command()
def status(lake: Lake, json: AsJson = False) -> None:
    """Where the rows of the last run are, stage by stage."""
    from flows import commands

    commands.status(lake, json)


@app.command()
def quarantine(lake: Lake, stage: StageName = None, json: AsJson = False) -> None:
    """Rows that could not be done, each with its reason and error."""
    from flows import commands

    commands.quarantine(lake, stage, json)


@app.command()
def answers(lake: Lake, json: AsJson = False) -> None:
    """What models were asked and what it took, by model and kind of question."""
    from flows import commands

    commands.answers(lake, json)


@app.command()
def requeue(
    lake: Lake,
    stage: StageName = None,
    reason: Annotated[Optional[str], typer.Option(help="Only rows quarantined for this reason.")] = None,
) -> None:
    """Make quarantined rows pending again, for the next run."""
    from flows import commands

    commands.requeue(lake, stage, reason)


@app.command()
def dropped(lake: Lake, stage: StageName = None, json: AsJson = False) -> None:
    """Rows that a filter turned away, each with its reason and scores."""
    from flows import commands

    commands.dropped(lake, stage, json)


@app.command()
def explain(
    id_: Annotated[str, typer.Argument(metavar="ID", help="Video, clip or pair id, or an input file.")],
    lake: Lake,
    json: AsJson = False,
) -> None:
    """Everything known about a video, clip or pair, from source to shard."""
    from flows import commands

    commands.explain(id_, lake, json)


@app.command()
def examples(lake: Lake, out: Annotated[str, typer.Option(help="Folder for the pictures and examples.html.")]) -> None:
    """Pictures of what every filter dropped, beside what it kept: to set thresholds by looking."""
    from flows import commands

    commands.examples(lake, out)


@app.command()
def index(
    name: Annotated[str, typer.Option(help="What the evaluation set is called.")],
    lake: Annotated[str, typer.Option(help="Folder in which its videos are scanned; not the lake of a run.")],
    out: Annotated[str, typer.Option(help="Parquet file for evaluation.sets in recipes.")],
    videos: Annotated[Optional[str], typer.Option(help="Its videos, with captions if a manifest has them.")] = None,
    texts: Annotated[Optional[list[str]], typer.Option(help="CSV / JSONL / Parquet with more of its texts.")] = None,
    recipe: RecipeFile = None,
    set_: Sets = None,
    json: AsJson = False,
) -> None:
    """Index an evaluation set, so that runs release nothing that it shows or says."""
    from flows import commands

    commands.index(name, videos, texts or [], lake, out, recipe, set_ or [], json)


@app.command()
def train(
    release: Annotated[str, typer.Option(help="The release's manifest.json.")],
    out: Annotated[str, typer.Option(help="Folder for checkpoints, log and curves.")],
    recipe: RecipeFile = None,
    set_: Sets = None,
    workers: Annotated[int, typer.Option(help="Ray workers that train together; 0: this process.", min=0)] = 0,
) -> None:
    """Train GVE on a release: in this process, in those that torchrun started, or in Ray workers."""
    from flows import commands

    commands.train(release, out, recipe, set_ or [], workers)


@app.command()
def ablate(
    release: Annotated[str, typer.Option(help="The release's manifest.json.")],
    out: Annotated[str, typer.Option(help="Folder for the models and the table.")],
    seed: Annotated[Optional[list[int]], typer.Option(help="May be repeated; 42, 43 and 44 if none.")] = None,
    variant: Annotated[Optional[list[str]], typer.Option(help="May be repeated; all if none.")] = None,
    split: Annotated[HeldOut, typer.Option(help="What is scored.")] = "val",
    recipe: RecipeFile = None,
    set_: Sets = None,
) -> None:
    """What composed tasks and the pyramid gain: each variant trained from several seeds, as a table with intervals."""
    from flows.ablation import ablate as run

    path = run(release, out, recipe, set_ or [], seed or [42, 43, 44], variant or [], split)
    print(Path(path).read_text())
    print(path)


@app.command()
def serve(
    videos: NightlyVideos = None,
    lake: NightlyLake = None,
    recipe: RecipeFile = None,
    set_: Sets = None,
    cron: Cron = None,
    timezone: Timezone = None,
    host: Annotated[str, typer.Option(help="Address to listen on; others than loopback need a password.")] = LOOPBACK,
    port: Annotated[int, typer.Option(help="Port of dashboard and API; 0: any free one.")] = 4200,
    limit: Annotated[int, typer.Option(help="How many runs may go on at a time.", min=1)] = 1,
) -> None:
    """Server, dashboard and runner of this project: nightly synthesis, and training on every release it makes."""
    from flows import commands

    commands.serve(Nightly(videos, lake, recipe, tuple(set_ or ()), cron, timezone), host, port, limit)


@app.command()
def deploy(
    pool: Annotated[str, typer.Option(help="Work pool whose workers shall run the flows.")],
    videos: NightlyVideos = None,
    lake: NightlyLake = None,
    recipe: RecipeFile = None,
    set_: Sets = None,
    cron: Cron = None,
    timezone: Timezone = None,
) -> None:
    """Register the same deployments with the Prefect server at PREFECT_API_URL."""
    from flows import commands

    commands.deploy(Nightly(videos, lake, recipe, tuple(set_ or ()), cron, timezone), pool)


@app.command()
def demo(
    out: Annotated[str, typer.Option(help="Folder for everything the demo makes.")] = "demo",
    videos: Annotated[int, typer.Option(help="How many sample videos to render.", min=20)] = 600,
    set_: Sets = None,
) -> None:
    """The whole way on rendered sample videos: release, trained GVE, scores."""
    from flows import commands

    commands.demo(out, videos, set_ or [])


def main() -> None:
    """Entry point. Exit code 0: done, 1: the run failed (reason on the last line), 2: wrong usage or recipe."""
    try:
        app()
    except UvrError as error:
        _let_go(error)
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2 if isinstance(error, UsageError) else 1)
    except SystemExit as end:
        if end.code == INTERRUPTED:
            _let_go(end)
            print("stopped; what is committed stays, and the same command goes on from there", file=sys.stderr)
        raise


def _let_go(error: BaseException | None) -> None:
    """Release what the frames of an error hold: a database left in one complains at exit, after the reason."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__


if __name__ == "__main__":
    main()
