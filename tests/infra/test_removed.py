"""Taking videos out of a lake's tables and media, by whatever recipe they were made."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from infra.lease import Lease, hold_lease
from infra.removed import TakenOut, descendants, remember_removed, removal_reason, removed_videos, take_out
from infra.stage import Drop, Outcome
from infra.store import Store
from infra.tables import SOURCE_COLUMNS, Link, connect, ensure_table, part_table, read_parts, source_link, write_part


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[tuple[Store, Lease]]:
    """Two videos, of which one lies there twice, a clip of each by two recipes, and one shard of both and one of b."""
    store = Store(str(tmp_path))
    nothing = {"size_bytes": 1, "weak_caption": None, "license": None}
    write(store, "sources", SOURCE_COLUMNS, *({"key": f"file-{x}", "source": x, **nothing} for x in ("a", "A", "b")))
    seen = pa.schema([("video_id", pa.string())])
    write(store, "probe-1", seen, *({"key": f"file-{x}", "video_id": x.lower()} for x in ("a", "A", "b")))
    exact = [{"key": "a", "parent": "file-a"}, Drop("file-A", "duplicate"), {"key": "b", "parent": "file-b"}]
    write(store, "exact-1", pa.schema([]), *exact)
    for stage in ("cut-1", "cut-2"):
        paths = {x: f"stages/{stage}/media/cl/clip-{x}.mp4" for x in "ab"}
        rows = [{"key": f"clip-{x}", "parent": x, "clip_path": path} for x, path in paths.items()]
        write(store, stage, pa.schema([("clip_path", pa.string())]), *rows)
        for path in paths.values():
            store.write(path, b"a clip")
    write(store, "captions-1", pa.schema([("text", pa.string())]), *({"key": f"clip-{x}", "text": x} for x in "ab"))
    places = [("pair-a", "clip-a", "both"), ("pair-b", "clip-b", "both"), ("pair-c", "clip-b", "one")]
    rows = [{"key": pair, "parent": clip, "shard": shard} for pair, clip, shard in places]
    write(store, "layout-1", pa.schema([("shard", pa.string())]), *rows)
    tars = {shard: f"stages/pack-1/media/{shard[:2]}/{shard}.tar" for shard in ("both", "one")}
    for tar in tars.values():
        store.write(tar, b"a shard")
    rows = [{"key": shard, "tar_path": tar} for shard, tar in tars.items()]
    write(store, "pack-1", pa.schema([("tar_path", pa.string())]), *rows)
    with hold_lease(store) as lease:
        yield store, lease


def write(store: Store, folder: str, schema: pa.Schema, *outcomes: Outcome | dict[str, Any]) -> None:
    """The table of one stage; a row without a parent is its own."""
    link = source_link() if folder == "sources" else Link(folder, f"stages/{folder}", ())
    ensure_table(store, link, schema)
    made = [row if isinstance(row, Drop) else {"parent": row["key"], **row} for row in outcomes]
    write_part(store, link, "table-0", part_table(schema, made))


def keys(store: Store, folder: str) -> set[str]:
    with connect(store) as db:
        return {row[0] for row in db.sql(f"SELECT key FROM ({read_parts(store, Link('', folder, ()))})").fetchall()}


def test_all_that_came_of_a_video_goes_and_nothing_else(lake: tuple[Store, Lease]) -> None:
    store, lease = lake
    ids = descendants(store, ["a"])
    assert ids == {"a", "file-a", "file-A", "clip-a", "pair-a", "both"}
    assert take_out(store, lease, ids) == TakenOut(rows=2 + 2 + 2 + 1 + 1 + 1, files=2 + 1)
    assert keys(store, "stages/sources") == {"file-a", "file-A", "file-b"}, "they are pending now"
    left = {"probe-1": {"file-b"}, "exact-1": {"b"}, "cut-1": {"clip-b"}, "cut-2": {"clip-b"}, "captions-1": {"clip-b"},
            "layout-1": {"pair-b", "pair-c"}, "pack-1": {"one"}}  # fmt: skip
    assert {stage: keys(store, f"stages/{stage}") for stage in left} == left
    media = {path.name for path in Path(store.url).rglob("media/*/*")}
    assert media == {"clip-b.mp4", "one.tar"}
    assert take_out(store, lease, descendants(store, ["a"])) == TakenOut(0, 0)


def test_a_lake_remembers_why(lake: tuple[Store, Lease]) -> None:
    store, lease = lake
    assert (removed_videos(store), removal_reason(store, "a")) == ([], None)
    remember_removed(store, lease, {"a": "asked för", "b": "other"})
    assert removed_videos(store) == ["a", "b"]
    assert removal_reason(store, "a") == "asked för"
    assert json.loads(store.read("kept/removed/b.json")) == {"reason": "other"}
