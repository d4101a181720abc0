"""Stage `captions`: five captions of every clip, by whichever generator the recipe names.

Multi-dimensional enrichment (arXiv 2510.27571, section 3.2, stage 2): every clip is captioned
under a randomly drawn information profile.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import pyarrow as pa

from infra.stage import Row, RowStage, Work, Workspace, each
from synth.answers import parse_video_captions, same_clip
from synth.generator import Generator, Request
from synth.generators.build import build_generator
from synth.style import CLIP_SHARES, Shares, draw_slots


@dataclass(frozen=True)
class Captions(RowStage):
    """Asks once per clip."""

    generator: str = "measured"
    seed: int = 42
    shares: Shares = CLIP_SHARES

    name: ClassVar[str] = "captions"
    version: ClassVar[int] = 1
    needs: ClassVar[tuple[str, ...]] = ("clip_path", "clip_duration_s", "weak_caption")
    schema: ClassVar[pa.Schema] = pa.schema(
        [
            ("captions", pa.list_(pa.string())),  # in the order of CAPTION_KINDS
            ("caption_profile", pa.string()),
            ("caption_model", pa.string()),
            ("caption_prompt_version", pa.string()),
        ]
    )
    unit_rows: ClassVar[int] = 64

    def open(self, workspace: Workspace) -> Work:
        return each(partial(caption_row, self, build_generator(self.generator), workspace))


def caption_row(settings: Captions, generator: Generator, workspace: Workspace, row: Row) -> Iterable[Row]:
    """The captions of one clip; raises RowError `invalid_answer`, `wrong_clip` or what the media raise."""
    slots = draw_slots(settings.shares, settings.seed, "video_captions", row["key"])
    request = Request(
        kind="video_captions",
        clip_id=row["key"],
        seed=settings.seed,
        video=workspace.read(row["clip_path"]),
        duration_s=row["clip_duration_s"],
        weak_caption=row["weak_caption"] or "",
        slots=slots,
    )
    (answer,) = generator.answer([request])
    yield {
        "key": row["key"],
        "parent": row["key"],
        "captions": list(parse_video_captions(same_clip(request, answer), row["key"])),
        "caption_profile": slots["profile"],
        "caption_model": answer.model,
        "caption_prompt_version": answer.prompt_version,
    }
