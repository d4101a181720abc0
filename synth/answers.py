"""Schemas of the generators' answers, and the checks every answer must pass (appendix A.6).

The schemas constrain a language model's decoding; what they cannot say (word ranges, distinct
captions, sense, the right clip) is checked here after it.
"""

from __future__ import annotations

import re
from itertools import combinations
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from infra.errors import RowError
from shards.records import CAPTION_KINDS
from synth.generator import Kind
from synth.meaning import MEANINGLESS, is_english, meaningless, shingles

# Least and most words by caption kind.
VIDEO_WORDS: Final = {
    "summary": (10, 25),
    "detailed": (80, 200),
    "abstract": (30, 100),
    "keywords": (5, 30),
    "partial": (10, 70),
}
FRAME_WORDS: Final = {**VIDEO_WORDS, "detailed": (50, 200)}
IMAGE_QUERY_WORDS: Final = (8, 50)
VIDEO_QUERY_WORDS: Final = (5, 15)
SHORT_WORDS: Final = 20  # at least one caption of a video has fewer
LONG_WORDS: Final = 100  # and at least one has more
MOST_ALIKE: Final = 0.9  # two of five captions may be; the measuring generator's reach 0.76

_WORDS: Final[dict[Kind, dict[str, tuple[int, int]]]] = {
    "video_captions": VIDEO_WORDS,
    "frame_captions": FRAME_WORDS,
    "image_query": {"query": IMAGE_QUERY_WORDS},
    "video_query": {"query": VIDEO_QUERY_WORDS},
}
# Printable ASCII that needs no escape in JSON, from a letter or digit on: a decoder held to a pattern writes
# valid JSON, one held to `maxLength` lets control characters through (measured with xgrammar).
_DECODED: Final = r"^[A-Za-z0-9][ !#-\[\]-~]+$"
_REASON: Final = "invalid_answer"
_BINDS_IMAGE: Final = re.compile(r"\b(this|the|given|shown) (picture|image|photo|frame)\b", re.IGNORECASE)

_Text = Annotated[str, StringConstraints(pattern=r"^[ -~]*$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    clip_id: str


class CaptionsAnswer(_Strict):
    """Five captions of one clip or one frame."""

    summary: _Text
    detailed: _Text
    abstract: _Text
    keywords: _Text
    partial: _Text


class QueryAnswer(_Strict):
    """One composed query."""

    query: _Text


def json_schema(kind: Kind, clip_id: str) -> dict[str, Any]:
    """What a model's decoding is held to when it answers a question of `kind` about a clip."""
    fields = list(_WORDS[kind])
    texts = {name: {"type": "string", "pattern": _DECODED} for name in fields}
    return {
        "type": "object",
        "properties": {"clip_id": {"type": "string", "pattern": f"^{re.escape(clip_id)}$"}, **texts},
        "required": ["clip_id", *fields],
        "additionalProperties": False,
    }


def parse(kind: Kind, text: str, clip_id: str, prompt: str = "") -> tuple[str, ...]:
    """The texts of an answer: five captions in the order of CAPTION_KINDS, or one query.

    Raises RowError: `wrong_clip` when it is about another clip; `invalid_answer` when it is not JSON of
    the schema, breaks a word range, the length mix or the wording asked for, or repeats itself; or one of
    `synth.meaning.MEANINGLESS`, `prompt_echo` being told by the words of `prompt`.
    """
    answer = _parsed(kind, text, clip_id)
    texts = {name: getattr(answer, name).strip() for name in _WORDS[kind]}
    asked = shingles(prompt)
    for name, value in texts.items():
        if reason := meaningless(value, asked):
            raise RowError(reason, f"{name} {MEANINGLESS[reason]}: {value[:160]!r}")
    for name, (least, most) in _WORDS[kind].items():
        if not least <= (count := len(texts[name].split())) <= most:
            raise RowError(_REASON, f"{name} has {count} words, asked for {least}-{most}")
        if not is_english(texts[name], is_prose=name != "keywords"):
            raise RowError("not_english", f"{name} {MEANINGLESS['not_english']}: {texts[name][:160]!r}")
    if kind == "image_query":
        _check_binding(texts["query"])
    elif kind != "video_query":
        _check_variety(kind, [texts[name] for name in CAPTION_KINDS])
    return tuple(texts.values())


def _check_binding(query: str) -> None:
    if not _BINDS_IMAGE.search(query):
        raise RowError(_REASON, f"the query does not point at the image (as in: this picture): {query!r}")


def _check_variety(kind: Kind, captions: list[str]) -> None:
    for one, other in combinations(CAPTION_KINDS, 2):
        alike = _likeness(*(captions[CAPTION_KINDS.index(name)] for name in (one, other)))
        if alike > MOST_ALIKE:
            raise RowError(_REASON, f"{one} and {other} are nearly the same: they share {alike:.0%} of their word runs")
    lengths = [len(caption.split()) for caption in captions]
    if kind == "video_captions" and (min(lengths) >= SHORT_WORDS or max(lengths) <= LONG_WORDS):
        raise RowError(
            _REASON, f"one caption needs fewer than {SHORT_WORDS} words and one more than {LONG_WORDS}: {lengths}"
        )


def _likeness(one: str, other: str) -> float:
    """The Jaccard similarity of the runs of three words of two captions, 0 to 1."""
    runs, others = shingles(one, 3), shingles(other, 3)
    return len(runs & others) / max(1, len(runs | others))


def _parsed(kind: Kind, text: str, clip_id: str) -> CaptionsAnswer | QueryAnswer:
    schema = QueryAnswer if kind.endswith("query") else CaptionsAnswer
    try:
        answer = schema.model_validate_json(text)
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise RowError(_REASON, f"not the schema's JSON: {problems}") from error
    if answer.clip_id != clip_id:
        raise RowError("wrong_clip", f"asked about clip {clip_id}, the answer names {answer.clip_id[:80]}")
    return answer
