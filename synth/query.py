"""Stage `queries`: captions of every clip's frame, and the words that turn frame or sub-clip into the clip.

Multimodal task extension (arXiv 2510.27571, section 3.2, stage 3): text+image and text+video queries.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import ClassVar

import pyarrow as pa

from infra.stage import Row, RowStage, Work, Workspace
from synth.answers import parse
from synth.asking import ask_rows
from synth.generator import Generator, Kind, Request
from synth.generators.build import BATCH_ROWS, build_generator
from synth.generators.settings import GeneratorSettings
from synth.style import FRAME_SHARES, Shares, draw_slots

_KINDS: tuple[Kind, ...] = ("frame_captions", "image_query", "video_query")


@dataclass(frozen=True)
class Queries(RowStage):
    """Asks three times per clip. `generator` is the recipe's section of that name."""

    generator: GeneratorSettings = field(default_factory=GeneratorSettings)
    seed: int = 42
    shares: Shares = FRAME_SHARES

    name: ClassVar[str] = "queries"
    version: ClassVar[int] = 3
    needs: ClassVar[tuple[str, ...]] = (
        "clip_path",
        "clip_duration_s",
        "frame_path",
        "subclip_path",
        "subclip_start_s",
        "subclip_end_s",
        "caption",
    )
    schema: ClassVar[pa.Schema] = pa.schema(
        [
            ("frame_captions", pa.list_(pa.string())),  # in the order of CAPTION_KINDS
            ("image_query", pa.string()),
            ("video_query", pa.string()),
            ("query_model", pa.string()),
            ("query_prompt_version", pa.string()),
        ]
    )
    unit_rows: ClassVar[int] = BATCH_ROWS
    batch_rows: ClassVar[int] = BATCH_ROWS

    def ingredients(self) -> tuple[str, ...]:
        """Versions of the prompts, if any are sent."""
        return self.generator.prompt_versions(_KINDS)

    def least_unit_rows(self) -> int:
        """A whole batch where a model answers."""
        return 1 if self.generator.kind == "measured" else BATCH_ROWS

    def open(self, workspace: Workspace) -> Work:
        generator = build_generator(self.generator, workspace)
        texts = ("frame_captions", "image_query", "video_query")
        return ask_rows(partial(query_row, self, generator, workspace), generator, texts)


def query_row(settings: Queries, generator: Generator, workspace: Workspace, row: Row) -> Row:
    """The frame captions and queries of one clip; raises RowError as `caption_row`."""
    answers = generator.answer([_request(settings, workspace, row, kind) for kind in _KINDS])
    texts = [parse(kind, answer.text, row["key"]) for kind, answer in zip(_KINDS, answers, strict=True)]
    return {
        "key": row["key"],
        "parent": row["key"],
        "frame_captions": list(texts[0]),
        "image_query": texts[1][0],
        "video_query": texts[2][0],
        "query_model": answers[0].model,
        "query_prompt_version": answers[0].prompt_version,
    }


def _request(settings: Queries, workspace: Workspace, row: Row, kind: Kind) -> Request:
    """One request with the media its kind needs."""
    return Request(
        kind=kind,
        clip_id=row["key"],
        seed=settings.seed,
        video=b"" if kind == "frame_captions" else workspace.read(row["clip_path"]),
        duration_s=row["clip_duration_s"],
        frame=b"" if kind == "video_query" else workspace.read(row["frame_path"]),
        subclip=workspace.read(row["subclip_path"]) if kind == "video_query" else b"",
        subclip_s=(row["subclip_start_s"], row["subclip_end_s"]),
        weak_caption=row["caption"],
        slots=draw_slots(settings.shares, settings.seed, kind, row["key"]),
    )
