"""Clips whose right answer is known, asked about among the others: an answer that got to the wrong clip shows.

A bug in batching put captions on the wrong videos of a public project for months, each of them
well-formed. A canary shows one large thing of one colour; whoever sees it names that colour.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from typing import Final

from infra.errors import RowError
from infra.media.encode import encode_video
from infra.sample_world.render import render
from infra.sample_world.spec import Background, Shot, Thing, VideoSpec
from synth.generator import Request

COLOURS: Final = ("red", "green", "blue", "yellow")
_FPS, _FRAMES = 12, 24


@dataclass(frozen=True)
class Canary:
    """A question about a clip of our own, and the colour its answer has to name."""

    request: Request
    colour: str

    def check(self, text: str) -> None:
        """Raise RowError `canary` when an answer is about another clip, or its summary names another of COLOURS.

        How well it is written is no matter here.
        """
        try:
            answer = json.loads(text)
        except json.JSONDecodeError as error:
            raise RowError("canary", f"the answer is no JSON: {text[:200]!r}") from error
        summary = str(answer.get("summary", "")).lower()
        named = [colour for colour in COLOURS if colour in summary]
        if answer.get("clip_id") != self.request.clip_id or named != [self.colour]:
            raise RowError("canary", f"shown one large {self.colour} thing, the answer was: {text[:300]!r}")


def canary(number: int) -> Canary:
    """The canary of a number; neighbours differ in colour."""
    colour = COLOURS[number % len(COLOURS)]
    clip_id = f"canary{number:010d}"
    return Canary(Request("video_captions", clip_id, number, _clip(colour), _FRAMES / _FPS), colour)


@cache
def _clip(colour: str) -> bytes:
    thing = Thing("circle", colour, "large", 0.5, 0.5, ())
    shot = Shot(_FRAMES, Background("plain", ("white",), 0.2, 0), "still", 0.0, (thing,), "")
    return encode_video(render(VideoSpec(0, 0, 224, 224, _FPS, (shot,), "", "missing")), _FPS)
