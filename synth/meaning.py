"""Answers that are well-formed and say nothing: refusals, echoes of the prompt, boilerplate, other languages.

Each check takes one text of an answer and gives the reason to turn it away, or "" when there is none.
"""

from __future__ import annotations

import re
from typing import Final

from infra.boilerplate import FILE_NAME, HASHTAG, LINK, PLACEHOLDER, PROMOTION

# What such a text does, by reason. Asking again may not cure it: the row is dropped for it, not quarantined.
MEANINGLESS: Final = {
    "empty_answer": "says nothing",
    "refusal": "refuses instead of describing",
    "prompt_echo": "repeats the instructions",
    "boilerplate": "does not describe what is shown",
    "not_english": "is not plain English",
}

ECHO_WORDS: Final = 8  # words in a row that a text may not share with its prompt

_REFUSAL: Final = re.compile(
    r"\b(i|we)('m| am| are)? (sorry|unable|not able)\b"
    r"|\b(i|we) (can(no|')?t|cannot|could not|couldn't|do not|don't|won't|will not) "
    r"(see|view|watch|access|assist|help|provide|describe|identify|determine|comply|process|have access)\b"
    r"|\bas an? (ai|artificial|language|vision|assistant)\b"
    r"|\b(no|without) (video|image|picture|frames?|clip|media) (was|were|is|are|has been|have been) "
    r"(provided|attached|given|visible|available)\b"
    r"|\bagainst (my|our|the) (policy|policies|guidelines)\b",
    re.IGNORECASE,
)
_BOILERPLATE: Final = re.compile(
    rf"{LINK}|{PROMOTION}|{PLACEHOLDER}|{HASHTAG} {HASHTAG}|{FILE_NAME}"
    r"|^(string|text|caption|query|n/?a|none|null)\.?$"
    r"|^here (is|are) (the|a|my|five)\b|\[(your|insert|object|colou?r)[^\]]*\]",
    re.IGNORECASE,
)
_COMMON: Final = frozenset(
    re.findall(
        r"\w+", "a an and are as at by for from in is it of on or that the then this to what where which while with"
    )
)


def meaningless(text: str, prompt_words: frozenset[str]) -> str:
    """The reason to turn `text` away whatever its length, or ""; `prompt_words` are `shingles` of its prompt."""
    if not re.search(r"\w", text):
        return "empty_answer"
    if _REFUSAL.search(text):
        return "refusal"
    if not prompt_words.isdisjoint(shingles(text)):
        return "prompt_echo"
    return "boilerplate" if _BOILERPLATE.search(text) else ""


def shingles(text: str, length: int = ECHO_WORDS) -> frozenset[str]:
    """All runs of `length` words of a text, in small letters."""
    words = re.findall(r"\w+", text.lower())
    return frozenset(" ".join(words[i : i + length]) for i in range(len(words) - length + 1))


def is_english(text: str, is_prose: bool) -> bool:
    """Mostly letters, without run-on repetition; prose holds one of English's commonest words."""
    tokens = re.findall(r"[a-z]+", text.lower())
    if sum(map(len, tokens)) < 0.6 * len(text):
        return False
    if len(set(tokens)) < 0.25 * len(tokens):
        return False
    return not is_prose or not _COMMON.isdisjoint(tokens)
