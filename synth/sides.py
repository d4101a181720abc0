"""Writes both sides of every drawn pair: its texts and the paths of its media (arXiv 2510.27571, section 3.2)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf
from pathlib import PurePosixPath
from random import Random
from typing import ClassVar

import pyarrow as pa

from infra.errors import UsageError
from infra.stage import Row, RowStage, Work, Workspace, each
from shards.records import CAPTION_KINDS

PART_COLUMNS = ("query_text", "query_image", "query_video", "target_text", "target_image", "target_video")
TAR_BLOCK = 512  # bytes; a member of a tar is a header of one and its content in whole ones
FACTS_BYTES = 512  # about what a sample's JSON takes besides its texts

# How large what a side shows is, by the column of its path.
SIZES = {"clip_path": "clip_bytes", "frame_path": "frame_bytes", "subclip_path": "subclip_bytes"}


@dataclass(frozen=True)
class Sides(RowStage):
    """The sides of one pair; its id is derived from what they are made of."""

    name: ClassVar[str] = "sides"
    version: ClassVar[int] = 3
    needs: ClassVar[tuple[str, ...]] = (
        "task",
        "clip_id",
        *SIZES,
        *SIZES.values(),
        "captions",
        "frame_captions",
        "image_query",
        "video_query",
    )
    schema: ClassVar[pa.Schema] = pa.schema(
        [
            *((name, pa.string()) for name in ("pair_id", *PART_COLUMNS, "query_id", "target_id")),
            ("sample_bytes", pa.int64()),  # about what it takes of a shard
            ("negatives", pa.list_(pa.string())),  # none; a later stage that mines some says which
            ("negative_cosines", pa.list_(pa.float64())),
        ]
    )
    unit_rows: ClassVar[int] = 4096

    seed: int = 42
    caption_weights: dict[str, float] = field(default_factory=dict)  # of kinds as T2V queries where not 1

    def __post_init__(self) -> None:
        if unknown := self.caption_weights.keys() - {*CAPTION_KINDS}:
            known = ", ".join(CAPTION_KINDS)
            raise UsageError(f"recipe: sides.caption_weights names kinds {sorted(unknown)}; there are {known}")
        weights = self.all_caption_weights.values()
        if not all(0 <= weight < inf for weight in weights) or not any(weights):
            raise UsageError("recipe: every weight of sides.caption_weights is a number from 0 up, and not all are 0")

    @property
    def all_caption_weights(self) -> dict[str, float]:
        """The weight of every kind of caption; a kind of weight 2 is drawn twice as often as one of weight 1."""
        return {kind: float(self.caption_weights.get(kind, 1)) for kind in CAPTION_KINDS}

    def open(self, workspace: Workspace) -> Work:
        """The function that writes the pairs of some rows; it needs nothing of the lake."""
        return each(lambda row: [pair_row(self, row)])


def pair_row(settings: Sides, row: Row) -> Row:
    """One pair from what was drawn and the columns of its clip."""
    parts = sides(settings, row)
    query_id = content_id(parts["query_text"], parts["query_image"], parts["query_video"])
    target_id = content_id(parts["target_text"], parts["target_image"], parts["target_video"])
    text = "\n".join([row["task"], row["clip_id"], query_id, target_id])
    pair_id = hashlib.sha256(text.encode()).hexdigest()[:24]
    ids = {"pair_id": pair_id, "query_id": query_id, "target_id": target_id}
    size = {"sample_bytes": sample_bytes(row, parts)}
    return {"key": pair_id, "parent": row["key"], **ids, **parts, **size, "negatives": [], "negative_cosines": []}


def sides(settings: Sides, row: Row) -> dict[str, str | None]:
    """The parts of both sides of one pair: texts, and paths of media.

    One caption of a clip is drawn for T2V, by the weights of the kinds; T2T takes two of those left over, all alike.
    """
    random = Random(f"{settings.seed} {row['clip_id']}")
    captions = dict(zip(CAPTION_KINDS, row["captions"], strict=True))
    for_video = draw_kind(random, settings.all_caption_weights)
    one, other, *_ = (captions[kind] for kind in random.sample(CAPTION_KINDS, k=5) if kind != for_video)
    query: dict[str, Row] = {
        "T2T": {"query_text": one, "target_text": other},
        "T2I": {"query_text": random.choice(row["frame_captions"]), "target_image": row["frame_path"]},
        "T2V": {"query_text": captions[for_video]},
        "TI2V": {"query_text": row["image_query"], "query_image": row["frame_path"]},
        "TV2V": {"query_text": row["video_query"], "query_video": row["subclip_path"]},
        "I2V": {"query_image": row["frame_path"]},
        "V2V": {"query_video": row["subclip_path"]},
    }
    task = row["task"]
    target = {"target_video": row["clip_path"]} if task.endswith("2V") else {}
    return {**dict.fromkeys(PART_COLUMNS), **query[task], **target}


def draw_kind(random: Random, weights: Mapping[str, float]) -> str:
    """A kind of caption, each with a chance in proportion to its weight; one of weight 0 is never drawn.

    Every kind waits for an exponential time, the shorter the higher its weight, and the first one wins. So a weight
    that rises only wins clips over from other kinds: all other pairs stay what they were, in the shards they are in.
    """
    waits = {kind: random.expovariate(1.0) for kind in CAPTION_KINDS}
    return min((kind for kind in CAPTION_KINDS if weights[kind]), key=lambda kind: waits[kind] / weights[kind])


def content_id(*parts: str | None) -> str:
    """The id of one side: a hash of its text and of the content-derived names of its media."""
    names = [None if part is None else PurePosixPath(part).name for part in parts[1:]]
    return hashlib.sha256(repr((parts[0], *names)).encode()).hexdigest()[:24]


def sample_bytes(row: Row, parts: Mapping[str, str | None]) -> int:
    """About how many bytes of a tar a pair takes: its JSON and its media, each padded and with a header."""
    size_of = {row[path]: row[size] for path, size in SIZES.items()}
    media = [size_of[part] for part in parts.values() if part in size_of]
    texts = [len(text.encode()) for name, text in parts.items() if text and name.endswith("text")]
    return sum(TAR_BLOCK + -(-size // TAR_BLOCK) * TAR_BLOCK for size in (FACTS_BYTES + sum(texts), *media))
