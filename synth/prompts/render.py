"""From a request to the words a model is given."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from random import Random
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined

from synth.generator import Kind, Request

NUMBER: Final = 1  # raised with every change of meaning; the digest beside it tells every other change
USER: Final = "--- user ---\n"
STRATEGIES: Final = 4  # ways to compose a query, one of which is drawn for every request
MOST_WEAK: Final = 400  # characters of an uploader's text that are passed on
# Texts that talk to a model rather than about a video.
_COMMANDS: Final = re.compile(
    r"\b(ignore|disregard|forget|override)\b.{0,40}\b(previous|above|prior|all|instructions?|rules?|prompt)\b"
    r"|\b(system|developer|user|assistant)\s*(prompt|message|turn|:)"
    r"|\byou (are|must|should|will) (now|only|not|always|answer|respond|reply|say|write|output)\b"
    r"|\b(answer|respond|reply|output|write|print|say|return)\b"
    r".{0,20}\b(only|with|exactly|json|the following|the word)\b"
    r"|<\|",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Prompt:
    """A system and a user turn; `version` changes whenever the words of the templates do."""

    system: str
    user: str
    version: str


def render(request: Request, times_s: Sequence[float]) -> Prompt:
    """The words for `request`, whose clip was sampled at `times_s` seconds."""
    random = Random(f"{request.seed} strategy {request.kind} {request.clip_id}")
    first, last = request.subclip_s
    text = _templates().get_template(f"{request.kind}.md").render(
        {"profile": "", "readability": "medium", "education_level": "secondary school", **request.slots},
        clip_id=request.clip_id,
        frames=len(times_s),
        times=" ".join(f"{time:.2f}" for time in times_s),
        duration=f"{request.duration_s:.2f}",
        reference=f"seconds {first:.2f} to {last:.2f}",
        strategy=random.randrange(STRATEGIES),
        weak_caption=quoted(request.weak_caption),
    )  # fmt: skip
    system, user = text.split(USER)
    return Prompt(system.strip(), user.strip(), version(request.kind))


@cache
def version(kind: Kind) -> str:
    """Name of the prompt's version, like "1-0f3a9c21": a number, and a digest of its templates."""
    folder = files("synth.prompts")
    words = "".join((folder / name).read_text() for name in ("rules.md", f"{kind}.md"))
    return f"{NUMBER}-{hashlib.sha256(words.encode()).hexdigest()[:8]}"


def quoted(weak_caption: str) -> str:
    """An uploader's text as a JSON string on one line: data, whatever it says; one that gives orders is left out."""
    text = " ".join(weak_caption.split())[:MOST_WEAK]
    return "none" if not text or _COMMANDS.search(text) else json.dumps(text)


@cache
def _templates() -> Environment:
    return Environment(loader=PackageLoader("synth.prompts", "."), undefined=StrictUndefined, autoescape=False)
