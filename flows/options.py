"""Options that several commands of the command line have."""

from __future__ import annotations

from typing import Annotated, Literal, Optional

import typer

Lake = Annotated[str, typer.Option(help="Folder or URL where everything is kept.")]
Videos = Annotated[str, typer.Option(help="Folder, glob, video, or CSV / JSONL / Parquet manifest.")]
RecipeFile = Annotated[Optional[str], typer.Option(help="TOML file with settings; silent keys keep defaults.")]
Sets = Annotated[Optional[list[str]], typer.Option("--set", help="One setting, as section.key=value; may be repeated.")]
NightlyVideos = Annotated[Optional[str], typer.Option("--videos", help="Videos of the nightly run.")]
NightlyLake = Annotated[Optional[str], typer.Option("--lake", help="Lake of the nightly run.")]
Cron = Annotated[Optional[str], typer.Option(help='When the nightly run starts; "0 2 * * *" when not given.')]
Timezone = Annotated[Optional[str], typer.Option(help="Time zone of --cron, as Europe/Berlin; UTC when not given.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
HeldOut = Literal["val", "test"]
StageName = Annotated[Optional[str], typer.Option(help="Only this stage.")]


def split_names(datasets: str | None) -> list[str] | None:
    """Names with commas between them; None, for all, when there are none."""
    return [name.strip() for name in datasets.split(",") if name.strip()] if datasets else None
