"""A published release of made-up pairs, made with the functions of the stages and with nothing around them."""

import hashlib
import io
from collections.abc import Callable
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from toy_release import draw_clip

from infra.lease import hold_lease
from infra.media.encode import encode_image, encode_video
from infra.released import write_released
from infra.stage import Row
from infra.store import Store
from infra.workspace import LakeWorkspace
from shards.index import index_rows
from shards.layout import Layout
from shards.manifest import published
from shards.publish import publish
from shards.writer import FACTS, MEDIA, Pack

FRAME = "stages/x/media/frame.jpg"

# No places of pairs, with the columns that the layout is told of.
NOTHING = pa.schema([*((name, pa.string()) for name in ("key", "parent", "task")), *Layout.schema]).empty_table()


def pair_row(number: int, task: str = "TI2V") -> Row:
    """The columns that layout, pack and index read of one pair; three pairs share a video."""
    facts = dict.fromkeys((*FACTS, *MEDIA))
    pair_id = hashlib.sha256(f"{task}{number}".encode()).hexdigest()[:24]
    return facts | {
        "pair_id": pair_id,
        "task": task,
        "video_id": f"v{number // 3}",
        "query_id": f"q{number}",
        "target_id": f"t{number}",
        "query_text": f"wörds {number}",
        "query_image": FRAME if task == "TI2V" else None,
        "target_video": "stages/x/media/clip.mp4",
        "source": f"/home/somewhere/videos/{number // 3}.mp4",
        "sample_bytes": 1000,
        "negatives": [],
        "negative_cosines": [],
        "width": 640,
        "captions": [f"{kind} of {number}" for kind in "abcde"],
        "motion": number / 10,
        "near_duplicate_distance": 0.25 if number % 2 else None,
    }


def release(
    root: Path | str, rows: list[Row], layout: Layout, before: Callable[[str], None] = lambda release_id: None
) -> str:
    """A published release of the rows, in a lake at the path or URL `root`; returns the manifest's path.

    `before` is called when all of it but the manifest is there.
    """
    store = Store(str(root))
    frames = draw_clip("red", "disc", "left")
    store.write(FRAME, encode_image(frames[0]))
    store.write("stages/x/media/clip.mp4", encode_video(frames, fps=6, crf=12))
    by_key = {row["pair_id"]: row for row in rows}
    table = pa.Table.from_pylist([{"key": key, **row} for key, row in sorted(by_key.items())])
    placed = [by_key[p["key"]] | p for p in layout.compute(table, _released(store)) if isinstance(p, dict)]
    groups: dict[str, list[Row]] = {}
    for row in placed:
        groups.setdefault(row["shard"], []).append(row)
    work = Pack().open(LakeWorkspace(str(root), "stages/pack"))
    packed = work([{"key": key, **{n: [m[n] for m in members] for n in Pack.needs}} for key, members in groups.items()])
    with duckdb.connect() as db, hold_lease(store) as lease:
        db.register("placed", pa.Table.from_pylist(placed))
        db.execute("CREATE TABLE out_layout AS FROM placed")
        made = [row for row in packed if isinstance(row, dict)]
        places = pa.Table.from_pylist(placed).select(NOTHING.column_names).cast(NOTHING.schema)

        def remember(release_id: str) -> None:
            write_released(store, layout, release_id, places)
            before(release_id)

        return f"{root}/{publish(store, lease, made, index_rows(db), {'recipe': {}}, remember)}"


def _released(store: Store) -> pa.Table:
    """The places of the pairs of all releases of a lake."""
    names = [f"kept/released/layout-v{Layout.version}/{release_id}.parquet" for release_id in published(store)]
    return pa.concat_tables([NOTHING, *(pq.read_table(io.BytesIO(store.read(name))) for name in names)])
