"""Stage `rectify`: weak captions repaired where possible, and put aside where they describe nothing.

Annotation rectification of V-SynFlow's first stage (arXiv 2510.27571, section 3.2). A video does not
need a weak caption: every clip is captioned anew downstream, and the weak one is only context for that.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Final, Literal

import pyarrow as pa
from py3langid.langid import MODEL_FILE, LanguageIdentifier

from filters.repairs import repair
from infra.boilerplate import PLACEHOLDER
from infra.stage import Drop, Row, RowStage, Work, Workspace, each

REPEATED_WORDS: Final = 4  # length of the n-grams whose repetition is measured

_PLACEHOLDER: Final = re.compile(PLACEHOLDER, re.IGNORECASE)
# Words, numbers and dates that say nothing about what a video shows, however they are combined.
_EMPTY_WORD: Final = re.compile(
    r"\W*(\d[\d./:_-]*(st|nd|rd|th|p|k|fps|s|am|pm)?"
    r"|untitled|unknown|unnamed|default|none|null|n/a|na|no|the|a|an|my|of|and|in|on|at"
    r"|videos?|clips?|movies?|films?|footage|media|files?|recordings?|recorded|shots?|scenes?|takes?|parts?|episodes?|ep"
    r"|title|name|caption|description|text|new|old|final|draft|copy|edit(ed)?|export|render|output|test|sample|version|v\d*"
    r"|upload(ed)?|project|sequence|hd|uhd|4k|8k"
    r"|jan(uary)?|feb(ruary)?|mar(ch)?|apr(il)?|may|june?|july?|aug(ust)?|sept?(ember)?|oct(ober)?|nov(ember)?|dec(ember)?"
    r"|(mon|tues|wednes|thurs|fri|satur|sun)day)\W*|\W+",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Rectify(RowStage):
    """Repairs a weak caption, then clears it (or drops the row) with every one of these reasons that holds.

    nothing_left     repairing took out all of it: a file name, links, hashtags, a call to subscribe
    not_descriptive  only numbers, dates and words like `untitled` or `video`
    placeholder      stands where a caption should be (`insert text here`)
    too_short        under `min_words` words
    too_long         over `max_words` words: a transcript or a page, no caption
    not_english      py3langid gives English a probability under `min_english`
    repetitive       over `max_repeated_share` of its 4-grams stood in it before (after Rae et al. 2021,
                     "Scaling Language Models", table A1; looser, since captions are short)
    A missing caption is no fault. The original stays in `weak_caption`.
    """

    on_bad: Literal["clear", "drop"] = "clear"  # clear: the video goes on without a caption
    min_words: int = 3
    max_words: int = 400
    # Low, because short phrases are hard to tell: see tests/filters/test_rectify.py for what passes.
    min_english: float = 0.02
    max_repeated_share: float = 0.5

    name: ClassVar[str] = "rectify"
    version: ClassVar[int] = 1
    needs: ClassVar[tuple[str, ...]] = ("weak_caption",)
    schema: ClassVar[pa.Schema] = pa.schema(
        [
            ("caption", pa.string()),  # "": none that is any good
            ("caption_repairs", pa.list_(pa.string())),  # names of filters.repairs.REPAIRS
            ("caption_faults", pa.list_(pa.string())),  # why the caption was put aside
        ]
    )
    unit_rows: ClassVar[int] = 4096

    def open(self, workspace: Workspace) -> Work:
        return each(partial(rectify_row, self, english_detector()))


def english_detector() -> Callable[[str], float]:
    """A function that gives the probability that a text is English, by py3langid's own model."""
    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)

    def english(text: str) -> float:
        return float(dict(identifier.rank(text))["en"])

    return english


def rectify_row(settings: Rectify, english: Callable[[str], float], row: Row) -> Iterable[Row] | Drop:
    """The row with its rectified caption, or Drop with the first fault where the settings say so."""
    weak = row["weak_caption"] or ""
    caption, repairs = repair(weak)
    found = faults(settings, english, caption) if weak.strip() else {}
    if found and settings.on_bad == "drop":
        reason, detail = next(iter(found.items()))
        return Drop(row["key"], reason, {"caption": caption, "weak_caption": weak, **detail})
    kept = {"caption": "" if found else caption, "caption_repairs": list(repairs), "caption_faults": list(found)}
    return [{"key": row["key"], "parent": row["key"], **kept}]


def faults(settings: Rectify, english: Callable[[str], float], caption: str) -> dict[str, Row]:
    """Every reason not to use a repaired caption, with the scores and thresholds behind it."""
    words = caption.split()
    if not any(character.isalnum() for character in caption):
        return {"nothing_left": {"words": 0, "min_words": settings.min_words}}
    probability, repeated = english(caption), repeated_share(words)
    rules: dict[str, tuple[bool, Row]] = {
        "not_descriptive": (all(map(_EMPTY_WORD.fullmatch, words)), {"words": len(words)}),
        "placeholder": (bool(_PLACEHOLDER.search(caption)), {}),
        "too_short": (len(words) < settings.min_words, {"words": len(words), "min_words": settings.min_words}),
        "too_long": (len(words) > settings.max_words, {"words": len(words), "max_words": settings.max_words}),
        "not_english": (
            probability < settings.min_english,
            {"english": round(probability, 4), "min_english": settings.min_english},
        ),
        "repetitive": (
            repeated > settings.max_repeated_share,
            {"repeated_share": round(repeated, 4), "max_repeated_share": settings.max_repeated_share},
        ),
    }
    return {reason: detail for reason, (holds, detail) in rules.items() if holds}


def repeated_share(words: list[str]) -> float:
    """The share of a text's 4-grams of words that stood in it before, 0 to 1."""
    plain = [word.lower() for word in words]
    grams = [tuple(plain[i : i + REPEATED_WORDS]) for i in range(len(plain) - REPEATED_WORDS + 1)]
    return 1 - len(set(grams)) / len(grams) if grams else 0.0
