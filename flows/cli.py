"""The `uvr` command line. Heavy imports wait until a command runs, so that `--help` is instant."""

from __future__ import annotations

import sys
import traceback
from typing import Annotated, Optional

import typer

from infra.errors import UsageError, UvrError

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
release_app = typer.Typer(no_args_is_help=True, help="Published releases: list them, check every byte.")
app.add_typer(release_app, name="release")

Lake = Annotated[str, typer.Option(help="Folder or URL where everything is kept.")]
Videos = Annotated[str, typer.Option(help="Folder, glob, video, or CSV / JSONL / Parquet manifest.")]
RecipeFile = Annotated[Optional[str], typer.Option(help="TOML file with settings; silent keys keep defaults.")]
Sets = Annotated[Optional[list[str]], typer.Option("--set", help="One setting, as section.key=value; may be repeated.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
StageName = Annotated[Optional[str], typer.Option(help="Only this stage.")]


@app.command()
def run(videos: Videos, lake: Lake, recipe: RecipeFile = None, set_: Sets = None) -> None:
    """Make a release from videos: every stage, resuming what the lake already holds."""
    from flows import commands

    commands.run(videos, lake, recipe, set_ or [])


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
def train(
    release: Annotated[str, typer.Option(help="The release's manifest.json.")],
    out: Annotated[str, typer.Option(help="Folder for checkpoints, log and curves.")],
    recipe: RecipeFile = None,
    set_: Sets = None,
) -> None:
    """Train GVE on a release."""
    from flows import commands

    commands.train(release, out, recipe, set_ or [])


@app.command("eval")
def evaluate(
    model: Annotated[str, typer.Option(help="Checkpoint folder.")],
    data: Annotated[str, typer.Option(help="A release's folder or manifest; its held-out split is scored.")],
    out: Annotated[str, typer.Option(help="Folder for the report.")],
) -> None:
    """Score a model on the sources a release holds out."""
    from flows import commands

    commands.evaluate(model, data, out)


@app.command()
def demo(
    out: Annotated[str, typer.Option(help="Folder for everything the demo makes.")] = "demo",
    videos: Annotated[int, typer.Option(help="How many sample videos to render.", min=20)] = 600,
    set_: Sets = None,
) -> None:
    """The whole way on rendered sample videos: release, trained GVE, scores."""
    from flows import commands

    commands.demo(out, videos, set_ or [])


@release_app.command("list")
def release_list(lake: Lake, json: AsJson = False) -> None:
    """Releases of a lake, with their pairs by task."""
    from flows import commands

    commands.release_list(lake, json)


@release_app.command("verify")
def release_verify(manifest: Annotated[str, typer.Argument(help="The release's manifest.json.")]) -> None:
    """Read every byte of a release again and compare it with its manifest."""
    from flows import commands

    commands.release_verify(manifest)


def main() -> None:
    """Entry point: exit code 0 done, 1 the run failed (reason on the last line), 2 wrong usage or recipe."""
    try:
        app()
    except UvrError as error:
        traceback.clear_frames(error.__traceback__)  # a database left in one complains at exit, after the reason
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2 if isinstance(error, UsageError) else 1)


if __name__ == "__main__":
    main()
