"""A toy release: few dozen real clips of one moving shape each, described in words that only the clip decides."""

import hashlib
import io
import json
from collections.abc import Iterable
from dataclasses import asdict
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from infra.media.encode import encode_image, encode_video
from shards.files import local_file
from shards.index import INDEX, write_index
from shards.manifest import FORMAT
from shards.writer import write_tar

COLOURS = {"red": (220, 40, 40), "green": (40, 190, 60), "blue": (50, 80, 230), "yellow": (230, 210, 40)}
SHAPES = ("square", "disc", "bar")
MOVES = {"left": (0, -1), "right": (0, 1), "up": (-1, 0), "down": (1, 0)}
SIZE, FRAMES = 56, 12
Frames = NDArray[np.uint8]


def draw_clip(colour: str, shape: str, move: str) -> list[Frames]:
    """Frames [56, 56, 3] of a shape that crosses a grey ground."""
    y, x = np.mgrid[:SIZE, :SIZE]
    frames = []
    for t in np.linspace(-1, 1, FRAMES):
        dy, dx = y - SIZE / 2 - MOVES[move][0] * 16 * t, x - SIZE / 2 - MOVES[move][1] * 16 * t
        inside = {
            "square": (abs(dy) < 9) & (abs(dx) < 9),
            "disc": dy**2 + dx**2 < 100,
            "bar": (abs(dy) < 4) & (abs(dx) < 14),
        }[shape]
        frames.append(np.where(inside[..., None], COLOURS[colour], (90, 90, 90)).astype(np.uint8))
    return frames


def toy_pairs() -> Iterable[dict[str, Any]]:
    """Members of the samples of every task the toy has: T2V, I2V and T2T, one pair a clip."""
    for number, (colour, shape, move) in enumerate(product(COLOURS, SHAPES, MOVES)):
        frames = draw_clip(colour, shape, move)
        text, other = f"A {colour} {shape} moves {move}.", f"{shape}, {colour}, going {move}"
        clip = encode_video(frames, fps=6, crf=12)
        split = "val" if number % 6 == 5 else "train"
        yield toy_sample("T2V", split, number, query_text=text, target_video=clip)
        yield toy_sample("I2V", split, number, query_image=encode_image(frames[0]), target_video=clip)
        yield toy_sample("T2T", split, number, query_text=text, target_text=other)


def tar_bytes(samples: Iterable[dict[str, Any]]) -> bytes:
    """A shard of these samples."""
    sink = io.BytesIO()
    write_tar(sink, samples)
    return sink.getvalue()


def toy_sample(task: str, split: str, number: int, **parts: Any) -> dict[str, Any]:
    """One WebDataset sample, and its split and task under keys that the tar does not get."""
    ids = {
        f"{role}_id": hashlib.sha256(repr([v for k, v in parts.items() if k.startswith(role)]).encode()).hexdigest()
        for role in ("query", "target")
    }
    facts = {"pair_id": f"{task}{number:04d}", "task": task, "video_id": f"{number:032x}", **ids}
    texts = {f"{role}_text": parts.get(f"{role}_text") for role in ("query", "target")}
    media = {
        k.replace("_image", ".jpg").replace("_video", ".mp4"): v for k, v in parts.items() if not k.endswith("text")
    }
    return {"split": split, "__key__": facts["pair_id"], "json": json.dumps(facts | texts).encode(), **media}


def _index_table(rows: list[dict[str, Any]]) -> pa.Table:
    """What the samples' JSON tells, as an index tells it; scores are a map."""
    table = pa.Table.from_pylist(rows)
    if "scores" not in table.column_names:
        return table
    scores = pa.array([list(row["scores"].items()) for row in rows], pa.map_(pa.string(), pa.float64()))
    return table.set_column(table.column_names.index("scores"), "scores", scores)


def _of_source(video_id: str) -> dict[str, Any]:
    """What an index tells that the samples do not: each source video is one clip."""
    return {"source": f"{video_id}.mp4", "clip_id": video_id}


def write_release(
    folder: Path,
    samples: Iterable[dict[str, Any]],
    shard_pairs: int = 16,
    release_id: str = "toy",
    val_share: float = 1,
) -> str:
    """Write samples as a release in the layout of `shards`; returns the manifest's path.

    The manifest claims to be split with `val_share`: with 1, its rule holds every video out.
    """
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for sample in samples:
        members = dict(sample)
        groups.setdefault((members.pop("split"), json.loads(members["json"])["task"]), []).append(members)
    shards: list[dict[str, Any]] = []
    rows: list[dict[str, Any]] = []
    for (split, task), members in sorted(groups.items()):
        for number, start in enumerate(range(0, len(members), shard_pairs)):
            part, name = members[start : start + shard_pairs], f"{split}-{task}-{number:06d}.tar"
            data = tar_bytes(part)
            (folder / name).write_bytes(data)
            digest = hashlib.sha256(data).hexdigest()
            shard = {"name": name, "split": split, "task": task, "samples": len(part)}
            shards.append(shard | {"bytes": len(data), "sha256": digest})
            rows += [
                {"split": split, "shard": name, "position": place, **_of_source(facts["video_id"]), **facts}
                for place, facts in enumerate(json.loads(sample["json"]) for sample in part)
            ]
    write_index(_index_table(rows).to_reader(), folder / INDEX)
    recipe = {"layout": {"seed": 42, "val_share": val_share}}
    files = [asdict(local_file(folder / INDEX))]
    body = {"format": FORMAT, "release_id": release_id, "shards": shards, "files": files, "recipe": recipe}
    path = folder / "manifest.json"
    path.write_text(json.dumps(body))
    return str(path)
