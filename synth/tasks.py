"""Assembles the seven tasks from finished clips, in the ratios of UVRD.

T2T T2I T2V TI2V TV2V I2V V2V (arXiv 2510.27571, section 3.2 and table 7). Every clip can give one
pair to each task; a quota that the clips cannot fill is a shortage, never filled by repetition.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import floor
from pathlib import PurePosixPath
from random import Random
from typing import ClassVar

import pyarrow as pa

from infra.stage import Drop, Row, TableStage
from shards.records import TASKS, UVRD_THOUSANDS
from shards.split import rank

PART_COLUMNS = ("query_text", "query_image", "query_video", "target_text", "target_image", "target_video")


def quotas(target_pairs: int, clips: int) -> dict[str, int]:
    """Pairs wanted of each task, in the ratios of table 7, summing to `target_pairs`.

    With `target_pairs` 0: as many as `clips` clips can give without a shortage. Remainders go to the
    tasks with the largest ones (Hamilton's method).
    """
    whole = sum(UVRD_THOUSANDS.values())
    total = target_pairs or clips * whole // max(UVRD_THOUSANDS.values())
    exact = {task: total * UVRD_THOUSANDS[task] / whole for task in TASKS}
    wanted = {task: floor(share) for task, share in exact.items()}
    by_remainder = sorted(TASKS, key=lambda task: (wanted[task] - exact[task], task))
    for task in by_remainder[: total - sum(wanted.values())]:
        wanted[task] += 1
    return wanted


def shortage(wanted: Mapping[str, int], made: Mapping[str, int]) -> dict[str, int]:
    """Pairs missing of each task that has too few."""
    return {task: n - made.get(task, 0) for task, n in wanted.items() if made.get(task, 0) < n}


def content_id(*parts: str | None) -> str:
    """The id of one side: a hash of its text and of the content-derived names of its media."""
    names = [None if part is None else PurePosixPath(part).name for part in parts[1:]]
    return hashlib.sha256(repr((parts[0], *names)).encode()).hexdigest()[:24]


@dataclass(frozen=True)
class Pairs(TableStage):
    """Draws the clips of every task and writes their pairs; a clip that gives none is over quota."""

    name: ClassVar[str] = "pairs"
    version: ClassVar[int] = 1
    remembers: ClassVar[tuple[str, ...] | None] = ("task",)
    needs: ClassVar[tuple[str, ...]] = (
        "clip_path",
        "frame_path",
        "subclip_path",
        "captions",
        "frame_captions",
        "image_query",
        "video_query",
    )
    schema: ClassVar[pa.Schema] = pa.schema(
        [(name, pa.string()) for name in ("pair_id", "task", "clip_id", *PART_COLUMNS, "query_id", "target_id")]
    )

    target_pairs: int = 0  # 0: as many as the clips give at the ratios of table 7
    seed: int = 42

    def compute(self, rows: pa.Table, released: pa.Table) -> Iterable[Row | Drop]:
        """Pairs of the drawn clips, those released before first, and the clips that no task took."""
        before = set(zip(released["task"].to_pylist(), released["parent"].to_pylist(), strict=True))
        clips = {row["key"]: row for row in rows.to_pylist()}
        used: Counter[str] = Counter()
        for task, wanted in quotas(self.target_pairs, len(clips)).items():
            rest = sorted(clips, key=lambda key: (rank(self.seed, task, key), key))
            order = sorted(rest, key=lambda key: (task, key) not in before)
            for key in order[:wanted]:
                used[key] += 1
                yield _pair_row(task, clips[key], sides(task, clips[key], self.seed))
        for key in clips:
            if not used[key]:
                yield Drop(key, "over_quota", {"target_pairs": self.target_pairs})


def sides(task: str, clip: Row, seed: int) -> dict[str, str | None]:
    """The parts of both sides of one clip's pair of a task: texts, and paths of media.

    One caption of a clip is drawn for T2V; T2T takes two of those left over.
    """
    random = Random(f"{seed} {clip['key']}")
    for_video, one, other, *_ = random.sample(clip["captions"], k=5)
    query: dict[str, Row] = {
        "T2T": {"query_text": one, "target_text": other},
        "T2I": {"query_text": random.choice(clip["frame_captions"]), "target_image": clip["frame_path"]},
        "T2V": {"query_text": for_video},
        "TI2V": {"query_text": clip["image_query"], "query_image": clip["frame_path"]},
        "TV2V": {"query_text": clip["video_query"], "query_video": clip["subclip_path"]},
        "I2V": {"query_image": clip["frame_path"]},
        "V2V": {"query_video": clip["subclip_path"]},
    }
    target = {"target_video": clip["clip_path"]} if task.endswith("2V") else {}
    return {**dict.fromkeys(PART_COLUMNS), **query[task], **target}


def _pair_row(task: str, clip: Row, parts: Mapping[str, str | None]) -> Row:
    query_id = content_id(parts["query_text"], parts["query_image"], parts["query_video"])
    target_id = content_id(parts["target_text"], parts["target_image"], parts["target_video"])
    text = "\n".join([task, clip["key"], query_id, target_id])
    pair_id = hashlib.sha256(text.encode()).hexdigest()[:24]
    ids = {"pair_id": pair_id, "task": task, "clip_id": clip["key"], "query_id": query_id, "target_id": target_id}
    return {"key": pair_id, "parent": clip["key"], **ids, **parts}
