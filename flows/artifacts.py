"""What a run shows of itself in Prefect's dashboard: live progress, pictures, tables and links.

Showing is a courtesy: a server that does not answer must not stop a run.
"""

from __future__ import annotations

import base64
import json
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextvars import copy_context
from dataclasses import dataclass
from types import TracebackType
from typing import Any
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import ArtifactCreate, ArtifactUpdate
from prefect.context import FlowRunContext, TaskRunContext
from prefect.exceptions import PrefectException

from flows.printing import short
from infra import lake as lakes
from infra.counts import Counts
from infra.funnel import draw_funnel
from infra.redact import redact
from infra.tables import Tables
from shards.contact_sheet import draw_contact_sheet, first_clips
from shards.manifest import Manifest

POST_EVERY_S = 2.0
TABLE_ROWS = 200


@dataclass(frozen=True)
class Owner:
    """Which flow run and task run an artifact belongs to."""

    flow_run_id: UUID | None
    task_run_id: UUID | None

    @classmethod
    def here(cls) -> Owner:
        """The runs that the calling code is part of."""
        flow, task = FlowRunContext.get(), TaskRunContext.get()
        flow_run = flow.flow_run if flow else None
        return cls(flow_run.id if flow_run else None, task.task_run.id if task else None)

    def artifact(self, key: str, kind: str, data: Any, description: str) -> ArtifactCreate:
        """An artifact of these runs; Prefect's keys have dashes where ours have underscores."""
        return ArtifactCreate(
            key=key.replace("_", "-"),
            type=kind,
            data=data,
            description=description,
            flow_run_id=self.flow_run_id,
            task_run_id=self.task_run_id,
        )


class LiveProgress:
    """One progress bar for every stage of a run, kept up to date by a thread of its own."""

    def __init__(self) -> None:
        self._owners: dict[str, Owner] = {}
        self._shares: dict[str, tuple[float, str]] = {}
        self._posted: dict[str, tuple[float, str]] = {}
        self._ids: dict[str, UUID] = {}
        self._stopping = threading.Event()
        context = copy_context()  # which server to talk to is part of it
        self._thread = threading.Thread(target=context.run, args=(self._post_often,), name="live-progress", daemon=True)

    def __enter__(self) -> LiveProgress:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._stopping.set()
        self._thread.join(timeout=2 * POST_EVERY_S)

    def show(self, name: str, done: float, total: float, note: str = "") -> None:
        """`done` of `total` are done of what is called `name`; called within its task run."""
        if name not in self._owners:
            self._owners[name] = Owner.here()
        self._shares[name] = (100 * done / total if total else 100.0, note)

    def _post_often(self) -> None:
        with get_client(sync_client=True) as client:
            while True:
                last = self._stopping.wait(POST_EVERY_S)
                _courteously(lambda: self._post(client))
                if last:
                    return

    def _post(self, client: SyncPrefectClient) -> None:
        for name, share in list(self._shares.items()):
            if self._posted.get(name) == share:
                continue
            percent, note = share
            if name in self._ids:
                client.update_artifact(self._ids[name], ArtifactUpdate(data=percent, description=f"{name}: {note}"))
            else:
                artifact = self._owners[name].artifact(f"progress-{name}", "progress", percent, f"{name}: {note}")
                self._ids[name] = client.create_artifact(artifact).id
            self._posted[name] = share


def _courteously(post: Callable[[], object]) -> None:
    """Do `post`; a dashboard that cannot be reached is no reason to fail."""
    try:
        post()
    except (httpx.HTTPError, PrefectException):
        return


def _create(key: str, kind: str, data: str, description: str) -> None:
    artifact = Owner.here().artifact(key, kind, data, description)

    def post() -> None:
        with get_client(sync_client=True) as client:
            client.create_artifact(artifact)

    _courteously(post)


def show_markdown(key: str, markdown: str, description: str) -> None:
    """Show a page of Markdown."""
    _create(key, "markdown", redact(markdown), description)


def show_table(key: str, rows: Sequence[Mapping[str, Any]], description: str) -> None:
    """Show rows as a table."""
    _create(key, "table", redact(json.dumps(rows, default=str)), description)


def show_links(links: Mapping[str, str]) -> None:
    """Show where things are; a browser does not follow a link to a local file, so the path itself stands there."""
    lines = [
        f"- {name}: {f'[{path}]({path})' if path.startswith('http') else f'`{path}`'}" for name, path in links.items()
    ]
    show_markdown("links", "\n".join(lines), "Where to look")


def picture(name: str, data: bytes, kind: str) -> str:
    """Markdown of a picture that is part of the page itself; `kind` is png or jpeg."""
    return f"![{name}](data:image/{kind};base64,{base64.b64encode(data).decode()})"


def show_lake(tables: Tables, counts: Sequence[Counts]) -> dict[str, int]:
    """Show where the rows of a lake are: the funnel, and what was quarantined and why; returns rows by reason."""
    numbers = "\n".join(
        f"| {c.name} | {c.in_} | {c.out} | {c.dropped} | {c.quarantined} | {c.pending} | {c.seconds:.1f} |"
        for c in counts
    )
    table = (
        f"| stage | in | out | dropped | quarantined | pending | seconds |\n|---|--:|--:|--:|--:|--:|--:|\n{numbers}"
    )
    show_markdown(
        "funnel", f"# Funnel\n\n{picture('funnel', draw_funnel(counts), 'png')}\n\n{table}", "Where every row went"
    )
    bad = [row for stage in counts if stage.quarantined for row in lakes.quarantined(tables, stage.name)]
    rows = [{name: short(row[name]) for name in ("stage", "source", "key", "reason", "error")} for row in bad]
    show_table("quarantined", rows[:TABLE_ROWS], f"{len(bad)} rows could not be done; `uvr quarantine` lists them all")
    return dict(Counter(row["reason"] for row in bad).most_common())


def show_release(release: Manifest) -> None:
    """Show some clips of a release with their captions."""
    pairs = first_clips(release)
    if not pairs:
        return
    captions = "\n".join(f"1. {_plain(pair.query.text or '')} (`{pair.pair_id}`)" for pair in pairs)
    sheet = picture("contact sheet", draw_contact_sheet(pairs), "jpeg")
    show_markdown(
        "contact-sheet",
        f"# Contact sheet\n\n{sheet}\n\n{captions}",
        f"The first {len(pairs)} clips of release {release.release_id}",
    )


def _plain(text: str) -> str:
    """Text that cannot be taken for Markdown or HTML: captions are written by others."""
    return "".join(f"\\{c}" if c in "\\|`*_{}[]<>()#!~" else c for c in " ".join(text.split()))
