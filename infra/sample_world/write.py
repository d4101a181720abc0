"""The sample world on disk: MP4 files, a manifest with weak captions, and the truth beside them."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable
from dataclasses import asdict

from infra.media.encode import encode_video
from infra.processes import process_pool
from infra.sample_world.draw import draw_world
from infra.sample_world.render import render
from infra.sample_world.spec import VideoSpec
from infra.store import Store

MANIFEST = "manifest.csv"
TRUTH = "truth.jsonl"


def write_world(folder: str, count: int, seed: int, workers: int = 1) -> str:
    """Write videos 0..count-1 of the world `seed` below `folder` (a path or URL); returns the manifest's path.

    Beside the MP4 files lie `manifest.csv` (columns path, caption: what a crawl would bring; paths are
    relative to it) and `truth.jsonl` (one VideoSpec a line with `path`,
    `size_bytes` and `spans_s`, the start and end of every shot in seconds). A video that
    is there with the size the truth file gives is not rendered again. `workers` processes render at once.
    """
    store = Store(folder)
    known = _known_sizes(store)
    specs = [draw_world(seed, index) for index in range(count)]
    jobs = [(folder, spec) for spec in specs if not _is_there(store, spec.name, known)]
    known.update(_rendered(jobs, workers))
    store.write(TRUTH, "".join(_truth(spec, known[spec.name]) for spec in specs).encode())
    store.write(MANIFEST, _manifest(specs).encode())
    return store.location(MANIFEST)


def _rendered(jobs: list[tuple[str, VideoSpec]], workers: int) -> Iterable[tuple[str, int]]:
    if workers <= 1 or len(jobs) < 2:
        return [_write_video(job) for job in jobs]
    with process_pool(workers) as pool:
        return list(pool.map(_write_video, jobs, chunksize=8))


def _write_video(job: tuple[str, VideoSpec]) -> tuple[str, int]:
    folder, spec = job
    data = encode_video(render(spec), spec.fps)
    Store(folder).write(spec.name, data)
    return spec.name, len(data)


def _known_sizes(store: Store) -> dict[str, int]:
    if not store.exists(TRUTH):
        return {}
    lines = map(json.loads, store.read(TRUTH).decode().splitlines())
    return {line["path"]: line["size_bytes"] for line in lines}


def _is_there(store: Store, name: str, known: dict[str, int]) -> bool:
    """Whether the video was written; files appear whole, so one without a known size is measured."""
    if not store.exists(name):
        known.pop(name, None)
        return False
    size = store.size(name)
    return known.setdefault(name, size) == size


def _truth(spec: VideoSpec, size_bytes: int) -> str:
    facts = {"path": spec.name, "size_bytes": size_bytes, "spans_s": spec.spans_s(), **asdict(spec)}
    return json.dumps(facts, sort_keys=True) + "\n"


def _manifest(specs: list[VideoSpec]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("path", "caption"))
    writer.writerows((spec.name, spec.weak_caption) for spec in specs)
    return text.getvalue()
