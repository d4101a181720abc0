"""How the command line prints: JSON, tables, the funnel."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from eval.promotion import points
from eval.verdict import Verdict
from flows.decontamination import in_words
from infra import lake as lakes
from infra.counts import Counts
from infra.store import Store
from shards import manifest as manifests
from shards.diff import Difference

LISTED = 20  # source videos that are named


def print_json(document: Any) -> None:
    """One JSON document on standard output."""
    print(json.dumps(document, indent=2, ensure_ascii=False, default=str))


def print_funnel(counts: Iterable[Counts]) -> None:
    """Where the rows of every stage went, as a table with bars."""
    table = Table(title="funnel", title_justify="left", box=None)
    table.add_column("stage")
    for name in ("in", "out", "dropped", "quarantined", "pending", "seconds", "tokens"):
        table.add_column(name, justify="right")
    table.add_column("kept", justify="left")
    for stage in counts:
        share = stage.parents / stage.in_ if stage.in_ else 1.0
        numbers = (stage.in_, stage.out, stage.dropped, stage.quarantined, stage.pending)
        cost = (f"{stage.seconds:.1f}", str(stage.tokens))
        table.add_row(stage.name, *map(str, numbers), *cost, f"{'█' * round(20 * share)} {share:.0%}")
    console().print(table)


def print_release(lake: str, manifest: str) -> None:
    """The funnel that led to a release, what went wrong, what it lacks, and last where it is."""
    run = lakes.load_record(Store(lake))
    print_funnel(run.funnel)
    if run.quarantined:
        listed = ", ".join(f"{count} {reason}" for reason, count in run.quarantined.items())
        print(f"quarantined: {listed} (see `uvr quarantine --lake {lake}`)")
    facts = manifests.load_manifest(manifest).facts
    for line in in_words(facts.get("decontamination", [])):
        print(f"evaluation set {line}")
    if missing := facts["shortage"]:
        tasks = ", ".join(f"{task} {count}" for task, count in missing.items())
        print(f"shortage: the clips could not fill the quotas by {tasks} pairs")
    from shards.contact_sheet import ensure_contact_sheet  # decoders take a while to load

    if sheet := ensure_contact_sheet(manifests.load_manifest(manifest)):
        print(f"contact sheet: {sheet}")
    print(manifest)


def describe_verdict(verdict: Verdict | None) -> str:
    """Promoted or rejected, the score and the difference, in one line."""
    if verdict is None:
        return "not judged yet"
    score, rival = verdict.score, f"champion {verdict.champion.release_id}" if verdict.champion else "chance"
    return (
        f"{'promoted' if verdict.promoted else 'rejected'}: R@1 {score.mean:.1%} "
        f"({score.low:.1%} to {score.high:.1%}), "
        f"{points(verdict.difference, verdict.rule.level)} against {rival}"
    )


def print_difference(found: Difference) -> None:
    """What came and went between two releases: a table of pairs, source videos by name, shards."""
    table = Table(title=f"{found.before} → {found.after}", title_justify="left", box=None)
    table.add_column("task")
    table.add_column("split")
    for name in ("came", "went", "moved", "stayed"):
        table.add_column(name, justify="right")
    for row in found.pairs:
        table.add_row(row["task"], row["split"], *(f"{row[name]:,}" for name in ("came", "went", "moved", "stayed")))
    console().print(table)
    for word, videos in (("came", found.videos_came), ("went", found.videos_went)):
        print(f"{len(videos):,} source videos {word}" + (":" if videos else ""))
        for video in videos[:LISTED]:
            print(f"    {video['source']}  {video['pairs']:,} pairs  {video['video_id']}")
        if len(videos) > LISTED:
            print(f"    and {len(videos) - LISTED:,} more (all of them with --json)")
    print(
        f"shards: {len(found.shards_came):,} came ({found.bytes_came:,} bytes to fetch), "
        f"{len(found.shards_went):,} went, {found.shards_stayed:,} stayed as they are"
    )


def say(words: str) -> None:
    """Tell whoever watches the terminal, apart from what the command prints as its answer."""
    print(words, file=sys.stderr, flush=True)


def print_rows(rows: Sequence[dict[str, Any]], columns: Sequence[str], as_json: bool) -> None:
    """Rows as JSON or as a table."""
    if as_json:
        print_json(rows)
        return
    table = Table(box=None)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(short(row[column]) for column in columns))
    console().print(table)
    print(f"{len(rows)} rows")


def console(wide: bool = False) -> Console:
    """Standard output for tables; `wide` ones are not folded to the terminal's width."""
    # A pipe has no width of its own; tables must not be folded to 80 columns there.
    width = 400 if wide else None if sys.stdout.isatty() else 200
    return Console(highlight=False, width=width)


def short(value: Any) -> str:
    """The last line of a value as text, cut to what a table cell can show."""
    text = "" if value is None else str(value).strip().splitlines()[-1] if str(value).strip() else ""
    return text if len(text) <= 300 else text[:297] + "..."
