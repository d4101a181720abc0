"""Puts the preview together: counts, charts, samples and texts of a release as one HTML file."""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from infra.errors import UsageError
from infra.redact import redact
from infra.store import Store
from shards.manifest import Manifest
from shards.preview.charts import draw_bar, draw_funnel, draw_histogram, histogram
from shards.preview.facts import Facts, read_facts
from shards.preview.samples import SAMPLES, Gallery, make_gallery
from shards.preview.survey import Survey, searchable, survey
from shards.reader import SIDES
from shards.records import CAPTION_KINDS, INSTRUCTIONS, TASKS

TEXT_BYTES = 4_000_000  # of all texts that the page's search finds
NAME = "preview.html"  # beside the manifest, unless another place is given
RESOLUTIONS = 8  # listed one by one

Chart = tuple[str, str, Markup]  # title, a note in words, the drawing


@dataclass(frozen=True)
class Preview:
    """A page, and how many samples by task it had to leave out to stay small."""

    html: str
    left_out: Mapping[str, int]


def make_preview(release: Manifest, samples: int = SAMPLES) -> Preview:
    """The page of a release with up to `samples` samples of every task; the same release gives the same page.

    Raises ReleaseCorrupt when a shard cannot be read or a sample's media are missing or broken.
    """
    seen = survey(read_facts(release))
    gallery = make_gallery(release, seen.drawn, samples)
    page = _templates().get_template("page.html").render(**_contents(release, seen, gallery))
    return Preview(page, {task: count for task, count in gallery.left_out.items() if count})


def write_preview(release: Manifest, preview: Preview, path: str | None = None) -> str:
    """Write the page as the file or URL `path`, or beside the manifest; returns where it is.

    Raises UsageError when `path` is not that of an HTML file.
    """
    if path is not None and (not path.endswith(".html") or Path(path).is_dir()):
        raise UsageError(f"{path} is not an HTML file: give a name that ends in .html")
    folder, _, name = (path or f"{release.folder}/{NAME}").rpartition("/")
    store = Store(folder or ".")
    store.write(name, preview.html.encode())
    return store.location(name)


def _contents(release: Manifest, seen: Survey, gallery: Gallery) -> dict[str, Any]:
    pairs = release.pairs()
    texts = find_texts(searchable(seen.drawn))
    contents = {
        "release": release,
        "gallery": gallery,
        "totals": _totals(release, seen),
        "totals_of_tasks": {task: sum(by_split.values()) for task, by_split in pairs.items()},
        "pairs": sum(shard.samples for shard in release.shards),
        "tasks": _tasks(pairs),
        "splits": sorted({shard.split for shard in release.shards}),
        "quotas": release.facts.get("quotas"),
        "funnel": draw_funnel(release.facts.get("funnel", [])),
        "charts": _charts(seen),
        "sizes": _sizes(seen),
        "texts": texts,
        "searchable": len(texts["rows"]),
        "sides": {task: " → ".join(" + ".join(parts) for parts in sides) for task, sides in SIDES.items()},
        "instructions": INSTRUCTIONS,
        "source": source,
        "place": place,
        "captions_of": captions_of,
        "style": _asset("page.css"),
        "script": _asset("page.js"),
    }
    return contents | {"sections": _sections(contents)}


def _sections(contents: Mapping[str, Any]) -> list[tuple[str, str]]:
    listed = [("samples", "Samples"), ("search", "Search"), ("numbers", "Distributions")]
    if contents["gallery"].strips:
        listed.insert(0, ("clips", "Clips"))
    if contents["funnel"]:
        listed.insert(-1, ("funnel", "Funnel"))
    return listed


def _totals(release: Manifest, seen: Survey) -> list[tuple[str, str]]:
    size = sum(shard.bytes for shard in release.shards)
    numbers = {
        "pairs": sum(shard.samples for shard in release.shards),
        "source videos": len(seen.pairs_by_video),
        "shards": len(release.shards),
    }
    return [*((name, f"{number:,}") for name, number in numbers.items()), ("bytes", f"{size:,}")]


def _tasks(pairs: Mapping[str, Mapping[str, int]]) -> list[dict[str, Any]]:
    listed = [{"name": task, "by_split": pairs[task], "pairs": sum(pairs[task].values())} for task in TASKS if task in pairs]
    most = max((task["pairs"] for task in listed), default=1)
    return [task | {"bar": draw_bar(task["pairs"] / most)} for task in listed]


def _charts(seen: Survey) -> list[Chart]:
    lengths = np.array(list(seen.words.items()), np.int64).reshape(-1, 2)
    per_video = list(seen.pairs_by_video.values())
    charts = [_chart("Clip durations", "clips", list(seen.clip_s.values()), " s")] if seen.clip_s else []
    if len(lengths):
        drawn = histogram(lengths[:, 0], lengths[:, 1], whole=True)
        middle = np.median(np.repeat(lengths[:, 0], lengths[:, 1]))
        note = f"{lengths[:, 1].sum():,} texts, median {middle:g}, {lengths[:, 0].min()} to {lengths[:, 0].max()}"
        charts.append(("Words per text", note, draw_histogram(drawn, f"Words per text: {note}")))
    charts.append(_chart("Pairs per source video", "videos", per_video, whole=True))
    for name, scores in sorted(seen.scores.items()):
        charts.append(_chart(name.replace("_", " "), "clips", list(scores.values())))
    return charts


def _chart(title: str, what: str, values: Sequence[float], unit: str = "", whole: bool = False) -> Chart:
    middle, low, high = np.median(values), min(values), max(values)
    note = f"{len(values):,} {what}, median {middle:.4g}{unit}, {low:.4g} to {high:.4g}{unit}"
    return title, note, draw_histogram(histogram(values, whole=whole), f"{title}: {note}", unit)


def _sizes(seen: Survey) -> list[dict[str, Any]]:
    counted = Counter(seen.clip_size.values())
    ranked = sorted(counted.items(), key=lambda entry: (-entry[1], entry[0]))
    listed = [(f"{width} × {height}", clips) for (width, height), clips in ranked[:RESOLUTIONS]]
    if rest := sum(clips for _, clips in ranked[RESOLUTIONS:]):
        listed.append(("others", rest))
    most = max((clips for _, clips in listed), default=1)
    return [{"name": name, "clips": clips, "bar": draw_bar(clips / most)} for name, clips in listed]


def find_texts(pairs: Sequence[Facts]) -> dict[str, Any]:
    """What the page's search reads: every text once, and pairs that refer to them, up to TEXT_BYTES in all."""
    texts: dict[str, int] = {}
    labels: dict[str, int] = {}
    rows: list[Any] = []
    size = 0
    for pair in pairs:
        labelled = _labelled(pair)
        size += sum(len(text.encode()) for text in labelled if text not in texts)
        if size > TEXT_BYTES:
            break
        parts = [
            (labels.setdefault(label, len(labels)), texts.setdefault(text, len(texts)))
            for text, label in labelled.items()
        ]
        rows.append((pair.pair_id, pair.task, pair.split, place(pair), parts))
    return {"texts": list(texts), "labels": list(labels), "rows": rows}


def _labelled(pair: Facts) -> dict[str, str]:
    """The texts of a pair and its clip, each once, and what it is."""
    sides = [("query", pair.query_text), ("target", pair.target_text)]
    labelled: dict[str, str] = {}
    for label, text in [*sides, *captions_of(pair)]:
        if text:
            labelled.setdefault(text, label)
    return labelled


def captions_of(pair: Facts) -> list[tuple[str, str]]:
    """Kind and text of the captions of a pair's clip: those of CAPTION_KINDS first, the weak one last."""
    order = [*CAPTION_KINDS, *sorted(pair.captions.keys() - set(CAPTION_KINDS))]
    captions = [(kind, pair.captions[kind]) for kind in order if pair.captions.get(kind)]
    return [*captions, ("came with the video", pair.weak_caption)] if pair.weak_caption else captions


def source(pair: Facts) -> str:
    """What the source video is called: its file name where the release tells, else the start of its id."""
    return redact(pair.source).rstrip("/").rsplit("/", 1)[-1] if pair.source else pair.video_id[:12]


def place(pair: Facts) -> str:
    """The source video, and the span of the clip in it."""
    if pair.start_s is None or pair.end_s is None:
        return source(pair)
    return f"{source(pair)} {pair.start_s:.1f}-{pair.end_s:.1f} s"


@cache
def _templates() -> Environment:
    return Environment(loader=PackageLoader("shards.preview", "."), undefined=StrictUndefined, autoescape=True)


@dataclass(frozen=True)
class Asset:
    """A part of the page that the page's security policy allows by its hash, and no other."""

    text: Markup
    hash: str


@cache
def _asset(name: str) -> Asset:
    text = (files("shards.preview") / name).read_text(encoding="utf-8")
    return Asset(Markup(text), "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode())
