"""The commands `uvr release ...`."""

from __future__ import annotations

from typing import Annotated, Optional

import typer

from flows.options import AsJson, Lake

release_app = typer.Typer(
    no_args_is_help=True, help="Published releases: list, check every byte, look at, compare, remove videos from them."
)


@release_app.command("list")
def release_list(lake: Lake, json: AsJson = False) -> None:
    """Releases of a lake, with their pairs and the verdict on the model trained on each."""
    from flows import commands

    commands.release_list(lake, json)


@release_app.command("verify")
def release_verify(manifest: Annotated[str, typer.Argument(help="The release's manifest.json.")]) -> None:
    """Read every byte of a release again and compare it with its manifest."""
    from flows import commands

    commands.release_verify(manifest)


@release_app.command("preview")
def release_preview(
    manifest: Annotated[str, typer.Argument(help="The release's manifest.json.")],
    out: Annotated[Optional[str], typer.Option(help="HTML file; preview.html beside the manifest if none.")] = None,
    samples: Annotated[int, typer.Option(help="Most pairs of each task to show with their media.", min=1)] = 4,
) -> None:
    """One HTML file to look at a release: clips, samples of every task, funnel, distributions, search over texts."""
    from flows import commands

    commands.release_preview(manifest, out, samples)


@release_app.command("diff")
def release_diff(
    before: Annotated[str, typer.Argument(help="The earlier release's manifest.json.")],
    after: Annotated[str, typer.Argument(help="The later release's.")],
    json: AsJson = False,
) -> None:
    """What came and what went between two releases: pairs, source videos, and shards to fetch."""
    from flows import commands

    commands.release_diff(before, after, json)


@release_app.command("remove")
def release_remove(
    manifest: Annotated[str, typer.Argument(help="The manifest.json of the lake's latest release.")],
    reason: Annotated[str, typer.Option(help="Why; it stands in the next releases.")],
    video: Annotated[Optional[list[str]], typer.Option(help="Id of a source video; may be repeated.")] = None,
    source: Annotated[Optional[list[str]], typer.Option(help="File name of a source video; may be repeated.")] = None,
) -> None:
    """Remove source videos for good: a release without them, and no other that holds them."""
    from flows import commands

    commands.release_remove(manifest, video or [], source or [], reason)
