"""Schemas of the generators' answers, and the checks every answer must pass (appendix A.6).

The schemas constrain a language model's decoding; what they cannot say (word ranges, distinct
captions, English, the right clip) is checked here after it.
"""

from __future__ import annotations

import re
from typing import Annotated, Final, TypeVar

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from infra.errors import RowError
from shards.records import CAPTION_KINDS
from synth.generator import Answer, Request

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

_REASON: Final = "invalid_answer"
_BINDS_IMAGE: Final = re.compile(r"\b(this|the|given|shown) (picture|image|photo|frame)\b", re.IGNORECASE)
_COMMON: Final = frozenset(
    {
        "a",
        "an",
        "and",
        "are",
        "as",
        "at",
        "by",
        "for",
        "from",
        "in",
        "is",
        "it",
        "of",
        "on",
        "or",
        "that",
        "the",
        "then",
    }
    | {"this", "to", "what", "where", "which", "while", "with"}
)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    clip_id: str


_Text = Annotated[str, StringConstraints(pattern=r"^[ -~]+$")]  # a pattern, not a length: vLLM decodes by it
_Schema = TypeVar("_Schema", bound=_Strict)


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


def parse_video_captions(text: str, clip_id: str) -> tuple[str, ...]:
    """The five captions of a clip in the order of CAPTION_KINDS.

    Raises RowError `invalid_answer` when they are not JSON of the schema, break a word range or
    the length mix, repeat each other or are not English text; `wrong_clip` when about another clip.
    """
    captions = _captions(text, clip_id, VIDEO_WORDS)
    lengths = [len(caption.split()) for caption in captions]
    if min(lengths) >= SHORT_WORDS or max(lengths) <= LONG_WORDS:
        raise RowError(
            _REASON, f"one caption needs fewer than {SHORT_WORDS} words and one more than {LONG_WORDS}: {lengths}"
        )
    return captions


def parse_frame_captions(text: str, clip_id: str) -> tuple[str, ...]:
    """The five captions of a frame in the order of CAPTION_KINDS; raises as `parse_video_captions`."""
    return _captions(text, clip_id, FRAME_WORDS)


def parse_image_query(text: str, clip_id: str) -> str:
    """The query that goes with an image; raises as above, also when it does not point at the image."""
    query = _query(text, clip_id, IMAGE_QUERY_WORDS)
    if not _BINDS_IMAGE.search(query):
        raise RowError(_REASON, f"the query does not point at the image: {query!r}")
    return query


def parse_video_query(text: str, clip_id: str) -> str:
    """The query that goes with a reference clip; raises as `parse_video_captions`."""
    return _query(text, clip_id, VIDEO_QUERY_WORDS)


def same_clip(request: Request, answer: Answer) -> str:
    """The answer's text; raises RowError `wrong_clip` when it is not about the request's clip."""
    if answer.clip_id != request.clip_id:
        raise RowError("wrong_clip", f"asked about clip {request.clip_id}, answered about {answer.clip_id}")
    return answer.text


def _captions(text: str, clip_id: str, ranges: dict[str, tuple[int, int]]) -> tuple[str, ...]:
    answer = _parsed(CaptionsAnswer, text, clip_id)
    captions = tuple(_checked(getattr(answer, kind), kind, ranges[kind]) for kind in CAPTION_KINDS)
    if len({" ".join(re.findall(r"\w+", caption.lower())) for caption in captions}) < len(captions):
        raise RowError(_REASON, "two of the captions are the same")
    return captions


def _query(text: str, clip_id: str, limits: tuple[int, int]) -> str:
    return _checked(_parsed(QueryAnswer, text, clip_id).query, "query", limits)


def _parsed(schema: type[_Schema], text: str, clip_id: str) -> _Schema:
    try:
        answer = schema.model_validate_json(text)
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise RowError(_REASON, f"not the schema's JSON: {problems}") from error
    if answer.clip_id != clip_id:
        raise RowError("wrong_clip", f"asked about clip {clip_id}, the answer names {answer.clip_id}")
    return answer


def _checked(text: str, kind: str, limits: tuple[int, int]) -> str:
    """The text without outer white space, when its length and language are as asked."""
    text = text.strip()
    count, (least, most) = len(text.split()), limits
    if not least <= count <= most:
        raise RowError(_REASON, f"{kind} has {count} words, asked for {least}-{most}")
    if not _is_english(text, is_prose=kind != "keywords"):
        raise RowError(_REASON, f"{kind} is not plain English text: {text[:80]!r}")
    return text


def _is_english(text: str, is_prose: bool) -> bool:
    """Mostly letters, without run-on repetition; prose holds one of English's commonest words."""
    tokens = re.findall(r"[a-z]+", text.lower())
    if sum(map(len, tokens)) < 0.6 * len(text):
        return False
    if len(set(tokens)) < 0.25 * len(tokens):
        return False
    return not is_prose or not _COMMON.isdisjoint(tokens)
