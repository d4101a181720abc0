"""What the caption and query stages ask of a generator, whoever answers: measurements or a language model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Literal, Protocol

Kind = Literal["video_captions", "frame_captions", "image_query", "video_query"]


@dataclass(frozen=True)
class Request:
    """One question about one clip.

    `video` is the clip (needed by every kind but frame_captions), `frame` an encoded picture of it
    (frame_captions, image_query), `subclip` a stretch of it (video_query) that lies at `subclip_s`
    within the clip; all are whole files as bytes. `slots` name the information profile and the
    style: "profile", "readability", "education_level". The same request gives the same answer.
    """

    kind: Kind
    clip_id: str
    seed: int
    video: bytes = b""
    duration_s: float = 0.0
    frame: bytes = b""
    subclip: bytes = b""
    subclip_s: tuple[float, float] = (0.0, 0.0)
    weak_caption: str = ""
    slots: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Answer:
    """JSON text for one request, with what made it.

    The text is checked by `synth.answers` whoever wrote it. `model` and `prompt_version` go into
    the row's provenance.
    """

    text: str
    model: str
    prompt_version: str


class Generator(Protocol):
    """Answers requests, one answer for each and in their order."""

    @property
    def at_once(self) -> int:
        """Threads that may ask at the same time."""
        ...

    def answer(self, requests: Sequence[Request]) -> list[Answer]:
        """Answers for `requests`; raises RowError when a request's media cannot be read or none is to be had."""
        ...

    def watched(self) -> AbstractContextManager[None]:
        """A block of requests that stand or fall together; raises RunFailed at its end when none may be trusted."""
        ...
