"""Repairs of weak captions: what does not describe the video is taken out, the rest is left as it was.

Annotation rectification of V-SynFlow's first stage (arXiv 2510.27571, section 3.2). Each repair takes
a text and gives the mended one; a text that needs none comes back unchanged.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from ftfy import TextFixerConfig, fix_text

from infra.boilerplate import FILE_NAME, HASHTAG, LINK, PROMOTION

LOOPS: Final = 3  # a word or phrase said so often in a row is said once
LOOP_WORDS: Final = 8  # longest phrase that is looked for
SHOUTED_LETTERS: Final = 10  # fewer capitals may be a name or a model
SHOUTED_SHARE: Final = 0.9

_ENCODING: Final = TextFixerConfig(unescape_html=True, uncurl_quotes=False)
_INVISIBLE: Final = re.compile("[\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\ufeff]")
_MARKUP: Final = re.compile(r"</?[a-z!][^<>]*>", re.IGNORECASE)
_TIME: Final = r"\d{1,2}:[0-5]\d(?::[0-5]\d)?(?:[.,]\d{1,3})?"
_RANGE: Final = rf"{_TIME}(?:\s*(?:-+>?|\u2013|to)\s*{_TIME})?"
_OF_DAY: Final = r"(?!\w|\s*(?:[ap]\.?m\b|o'clock))"
# In brackets, at the start of a line, with seconds or at hour 0: "the clock shows 10:30" is a description.
_TIMESTAMP: Final = re.compile(
    rf"[\[(]\s*{_RANGE}\s*[\])]|^\s*{_RANGE}{_OF_DAY}|\b{_TIME}\s*-->\s*{_TIME}"
    rf"|\b\d{{1,2}}:[0-5]\d:[0-5]\d(?:[.,]\d{{1,3}})?{_OF_DAY}|\b0{{1,2}}:[0-5]\d{_OF_DAY}",
    re.MULTILINE | re.IGNORECASE,
)
_SENTENCE: Final = re.compile(r"(?:[^.!?\n|\u2022]|[.!?](?!\s|$))+[.!?|\u2022]*\s*")
_CALL: Final = r"\b(?:visit|check|click|buy|shop|order|download|watch|join|follow|subscribe|go to|more (?:at|on))\b"
_PROMOTION: Final = re.compile(rf"{PROMOTION}|{_CALL}.{{0,80}}(?:{LINK})", re.IGNORECASE)
_ADDRESS: Final = re.compile(
    rf"{LINK}|[\w.+-]{{1,64}}@[\w-]+\.\w[\w.-]*|(?<![\w@])@\w[\w.]*"
    r"|\b[\w-]{1,63}\.(?:com|org|net|tv|ly)\b(?:/\S*)?",
    re.IGNORECASE,
)
# Not amid a sentence, which would fall apart.
_FILE_NAME: Final = re.compile(rf"^\s*(?:{FILE_NAME})|(?:{FILE_NAME})\W*$", re.IGNORECASE)
# Several at either end, all there is, or one after the last sentence.
_HASHTAGS: Final = re.compile(
    rf"^\s*(?:{HASHTAG}\s*){{2,}}|(?:{HASHTAG}\s*){{2,}}$|^\s*{HASHTAG}\s*$|(?<=[.!?,;:)])\s{{1,9}}{HASHTAG}\s*$"
)
_HASH: Final = re.compile(rf"(?={HASHTAG})#")
_EMOJI: Final = re.compile(
    "[\U0001f000-\U0001faff\u2600-\u27bf\u2b00-\u2bff\ufe0e\ufe0f\u200d\u20e3\U000e0020-\U000e007f]+"
)
_INSIDE_BRACKETS: Final = re.compile(r"(?<=[(\[])[\s,;:]{1,99}|[\s,;:]{1,99}(?=[)\]])")
_LOOSE: Final = " \t\n,;:|\u2022\u2013-"


def repair(text: str) -> tuple[str, tuple[str, ...]]:
    """The mended text on one line, and the names of the repairs that changed it; mending it again changes nothing.

    One repair may uncover work for another (an escaped tag, say), so all are gone through until none has any.
    """
    done = dict.fromkeys(REPAIRS, False)
    before = None
    while text != before:
        before = text
        for name, mend in REPAIRS.items():
            mended = mend(text)
            done[name] |= mended != text
            text = mended
        text = " ".join(text.split())
    return text, tuple(name for name, was_needed in done.items() if was_needed)


def _encoding(text: str) -> str:
    """Mojibake, HTML entities, control and invisible characters (ftfy), in normal form C."""
    return _INVISIBLE.sub("", fix_text(text, _ENCODING))


def _without(pattern: re.Pattern[str], text: str) -> str:
    """`text` without what matches, and without the punctuation that this leaves alone."""
    left, found = pattern.subn(" ", text)
    if not found:
        return text
    left = _INSIDE_BRACKETS.sub("", left).replace("()", " ").replace("[]", " ")
    return re.sub(r"[^\S\n]{1,99}([,;:.!?])", r"\1", left).strip(_LOOSE)


def _boilerplate(text: str) -> str:
    """Whole sentences that ask or sell are taken out."""
    sentences: list[str] = _SENTENCE.findall(text)
    kept = [sentence for sentence in sentences if not _PROMOTION.search(sentence)]
    return text if len(kept) == len(sentences) else "".join(kept)


def _hashtags(text: str) -> str:
    """Hashtags that stand apart are taken out; one amid a sentence becomes a word."""
    return _HASH.sub("", _without(_HASHTAGS, text))


def _loops(text: str) -> str:
    """A word or phrase that is said `LOOPS` times or more in a row is said once."""
    words = text.split()
    for length in range(1, LOOP_WORDS + 1):
        words = _without_loops(words, length)
    return text if len(words) == len(text.split()) else " ".join(words)


def _without_loops(words: list[str], length: int) -> list[str]:
    plain = [word.strip(".,;:!?-").lower() for word in words]
    kept: list[str] = []
    at = 0
    while at < len(words):
        phrase = plain[at : at + length]
        end = at + length
        while plain[end : end + length] == phrase:
            end += length
        if end - at >= LOOPS * length:
            kept += words[end - length : end]  # with the punctuation that ends the loop
            at = end
        else:
            kept.append(words[at])
            at += 1
    return kept


def _shouting(text: str) -> str:
    """Text in capitals in sentence case."""
    upper, lower = sum(map(str.isupper, text)), sum(map(str.islower, text))
    if upper < SHOUTED_LETTERS or upper < SHOUTED_SHARE * (upper + lower) or len(text.split()) < 2:
        return text
    return re.sub(r"(?:^|(?<=[.!?]\s))\w", lambda first: first[0].upper(), text.lower())


REPAIRS: Final[dict[str, Callable[[str], str]]] = {
    "encoding": _encoding,
    "markup": lambda text: _without(_MARKUP, text),
    "timestamp": lambda text: _without(_TIMESTAMP, text),
    "boilerplate": _boilerplate,
    "address": lambda text: _without(_ADDRESS, text),
    "file_name": lambda text: _without(_FILE_NAME, text),
    "hashtag": _hashtags,
    "emoji": lambda text: _without(_EMOJI, text),
    "repetition": _loops,
    "shouting": _shouting,
}
