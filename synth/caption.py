"""Stage `captions`: five captions of every clip, by whichever generator the recipe names.

Multi-dimensional enrichment (arXiv 2510.27571, section 3.2, stage 2): every clip is captioned
under a randomly drawn information profile.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import ClassVar

import pyarrow as pa

from infra.stage import Row, RowStage, Work, Workspace
from synth.answers import parse
from synth.asking import ask_rows
from synth.generator import Generator, Request
from synth.generators.build import BATCH_ROWS, build_generator
from synth.generators.settings import GeneratorSettings
from synth.style import CLIP_SHARES, Shares, draw_slots


@dataclass(frozen=True)
class Captions(RowStage):
    """Asks once per clip. `generator` is the recipe's section of that name."""

    generator: GeneratorSettings = field(default_factory=GeneratorSettings)
    seed: int = 42
    shares: Shares = CLIP_SHARES

    name: ClassVar[str] = "captions"
    version: ClassVar[int] = 3
    needs: ClassVar[tuple[str, ...]] = ("clip_path", "clip_duration_s", "caption")
    schema: ClassVar[pa.Schema] = pa.schema(
        [
            ("captions", pa.list_(pa.string())),  # in the order of CAPTION_KINDS
            ("caption_profile", pa.string()),
            ("caption_model", pa.string()),
            ("caption_prompt_version", pa.string()),
        ]
    )
    unit_rows: ClassVar[int] = BATCH_ROWS
    batch_rows: ClassVar[int] = BATCH_ROWS

    def ingredients(self) -> tuple[str, ...]:
        """Versions of the prompts, if any are sent."""
        return self.generator.prompt_versions(("video_captions",))

    def least_unit_rows(self) -> int:
        """A whole batch where a model answers."""
        return 1 if self.generator.kind == "measured" else BATCH_ROWS

    def open(self, workspace: Workspace) -> Work:
        generator = build_generator(self.generator, workspace)
        return ask_rows(partial(caption_row, self, generator, workspace), generator, ("captions",))


def caption_request(settings: Captions, workspace: Workspace, row: Row) -> Request:
    """What is asked about one clip."""
    return Request(
        kind="video_captions",
        clip_id=row["key"],
        seed=settings.seed,
        video=workspace.read(row["clip_path"]),
        duration_s=row["clip_duration_s"],
        weak_caption=row["caption"],
        slots=draw_slots(settings.shares, settings.seed, "video_captions", row["key"]),
    )


def caption_row(settings: Captions, generator: Generator, workspace: Workspace, row: Row) -> Row:
    """The captions of one clip; raises RowError as `synth.answers.parse`, or what the media raise."""
    request = caption_request(settings, workspace, row)
    (answer,) = generator.answer([request])
    return {
        "key": row["key"],
        "parent": row["key"],
        "captions": list(parse("video_captions", answer.text, row["key"])),
        "caption_profile": request.slots["profile"],
        "caption_model": answer.model,
        "caption_prompt_version": answer.prompt_version,
    }
