"""Puts the preview together: counts, charts, samples and texts of a release as one HTML file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from infra.page import html_file, script, stylesheet, templates
from infra.store import Store
from shards.manifest import Manifest
from shards.preview.distributions import draw_distributions, list_sizes, list_tasks
from shards.preview.facts import read_facts
from shards.preview.funnel import draw_funnel
from shards.preview.samples import Gallery, make_gallery
from shards.preview.survey import Survey, searchable, survey
from shards.preview.texts import captions_of, find_texts, place, source
from shards.reader import SIDES
from shards.records import INSTRUCTIONS, SPLITS

NAME = "preview.html"  # beside the manifest, unless another place is given


@dataclass(frozen=True)
class Preview:
    """A page, and how many samples by task it had to leave out to stay small."""

    html: str
    left_out: Mapping[str, int]


def make_preview(release: Manifest, samples: int) -> Preview:
    """The page of a release with up to `samples` samples of every task; the same release gives the same page.

    Raises ReleaseCorrupt when a shard cannot be read or a sample's media are missing or broken.
    """
    seen = survey(read_facts(release))
    gallery = make_gallery(release, seen.drawn, samples)
    page = templates("shards.preview").get_template("page.html").render(**_contents(release, seen, gallery))
    return Preview(page, {task: count for task, count in gallery.left_out.items() if count})


def write_preview(release: Manifest, samples: int, out: str | None = None) -> tuple[str, Mapping[str, int]]:
    """Write the page to the file or URL `out`, or beside the manifest; returns where it is, and `Preview.left_out`.

    Raises what `make_preview` and `where_to_write` raise, the latter's before anything is read.
    """
    store, name = where_to_write(release, out)
    made = make_preview(release, samples)
    store.write(name, made.html.encode())
    return store.location(name), made.left_out


def where_to_write(release: Manifest, path: str | None = None) -> tuple[Store, str]:
    """The store and name of a page at the file or URL `path`, or beside the manifest.

    Raises UsageError when `path` is not that of an HTML file.
    """
    return html_file(f"{release.folder}/{NAME}" if path is None else path)


def _contents(release: Manifest, seen: Survey, gallery: Gallery) -> dict[str, Any]:
    tasks = list_tasks(release.pairs())
    texts = find_texts(searchable(seen.drawn))
    return {
        "release": release,
        "gallery": gallery,
        "totals": _totals(release, seen),
        "pairs": sum(task.count for task in tasks),
        "pairs_of": {task.name: task.count for task in tasks},
        "tasks": tasks,
        "splits": [split for split in SPLITS if split in {shard.split for shard in release.shards}],
        "quotas": release.facts.get("quotas"),
        "funnel": draw_funnel(release.facts.get("funnel", [])),
        "charts": draw_distributions(seen),
        "sizes": list_sizes(seen),
        "texts": texts,
        "sides": {task: " → ".join(" + ".join(parts) for parts in sides) for task, sides in SIDES.items()},
        "instructions": INSTRUCTIONS,
        "source": source,
        "place": place,
        "captions_of": captions_of,
        "style": stylesheet("shards.preview", "page.css"),
        "script": script("shards.preview", "page.js"),
    }


def _totals(release: Manifest, seen: Survey) -> list[tuple[str, str]]:
    size = sum(shard.bytes for shard in release.shards)
    numbers = {
        "pairs": sum(shard.samples for shard in release.shards),
        "source videos": len(seen.pairs_by_video),
        "shards": len(release.shards),
    }
    return [*((name, f"{number:,}") for name, number in numbers.items()), ("bytes", f"{size:,}")]
