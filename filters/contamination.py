"""Texts of clips that stand in an evaluation set: common 13-grams of words, likeness where texts are short.

13-gram overlap after GPT-3 (Brown et al. 2020, "Language Models are Few-Shot Learners", appendix C: grams of
words in small letters without punctuation). Captions are often shorter than that, so that shorter
evaluation texts are held against whole texts, down to a length at which equality is chance.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from filters.minhash import SHINGLE_WORDS, jaccard
from filters.shingles import Grams, Hashes, Places, hash_grams, hash_words, split_words
from infra.recipe import Settings

GRAM_WORDS: Final = 13
CHUNK_CLIPS: Final = 8192  # of which words and hashes are in memory at once

Kind = Literal["13-gram", "same text", "jaccard"]
_Match = tuple[int, int, Kind, float, slice]  # text, evaluation text, kind, score, the words they share


@dataclass(frozen=True)
class EvaluationText:
    """One text of an evaluation set, and what it is about there (a video's name, say)."""

    set_name: str
    source: str
    text: str


@dataclass(frozen=True)
class Overlap(Settings):
    """When a clip's text counts as an evaluation text.

    13-gram    the evaluation text has 13 words or more and shares `min_shared_grams` of their 13-grams
    jaccard    it has `min_near_words` to 12 and is the clip's text but for a word or so at an end: Jaccard of
               their runs of three words; one word changed amid it may make another description
    same text  it has `min_words` to 12 and is the clip's text
    Shorter evaluation texts ("a man talks") are common phrases and count for nothing.
    """

    min_shared_grams: int = 1
    min_near_words: int = 8
    min_jaccard: float = 0.8
    min_words: int = 5


@dataclass(frozen=True)
class Hit:
    """A clip's text that an evaluation set holds.

    `score` is to be compared with the setting of its kind: shared 13-grams, Jaccard, or words.
    """

    key: str
    set_name: str
    source: str
    kind: Kind
    score: float
    shared: str  # the longest run of words that both hold; the clip's text where all of it counts


class HashSet:
    """A set of 64-bit hashes that whole arrays are looked up in."""

    def __init__(self, hashes: Hashes) -> None:
        self.values = np.unique(hashes)
        self._may_hold = np.zeros(1 << 24, np.bool_)  # by the first 24 bits: nearly all others are seen off here
        self._may_hold[self.values >> np.uint64(40)] = True

    def places(self, hashes: Hashes) -> Places:
        """Where in `values` each hash is; -1 for those that are not."""
        found = np.full(len(hashes), -1, np.int64)
        maybe = np.flatnonzero(self._may_hold[hashes >> np.uint64(40)])
        at = np.minimum(np.searchsorted(self.values, hashes[maybe]), len(self.values) - 1)
        is_in = self.values[at] == hashes[maybe] if len(self.values) else np.zeros(len(maybe), np.bool_)
        found[maybe[is_in]] = at[is_in]
        return found


class EvaluationIndex:
    """Evaluation texts, ready to be looked for in the texts of clips."""

    def __init__(self, texts: Iterable[EvaluationText], rules: Overlap) -> None:
        self.rules = rules
        self.texts = list(texts)
        hashed = hash_words(split_words(pa.array([text.text for text in self.texts], pa.string())))
        lengths = hashed.lengths()
        grams = hash_grams(hashed.only(lengths >= rules.min_words), GRAM_WORDS)
        self._grams = _Owned(grams, np.flatnonzero(lengths >= rules.min_words))
        near = (lengths >= rules.min_near_words) & (lengths < GRAM_WORDS)
        shingles = hash_grams(hashed.only(near), SHINGLE_WORDS)
        self._shingles = _Owned(shingles, np.flatnonzero(near))
        self._near = {int(text): shingles.of(i) for i, text in enumerate(np.flatnonzero(near))}
        self._longest_near = int(GRAM_WORDS / rules.min_jaccard) + SHINGLE_WORDS

    def hits(self, keys: Sequence[str], columns: Iterable[pa.ChunkedArray]) -> list[Hit]:
        """The best hit of every clip in every evaluation set, by key and set.

        `columns` hold a text or a list of texts for each of `keys`.
        """
        best: dict[tuple[str, str], Hit] = {}
        for column in columns:
            for start in range(0, len(column), CHUNK_CLIPS):
                for hit in self._hits_of(keys[start : start + CHUNK_CLIPS], column.slice(start, CHUNK_CLIPS)):
                    place = (hit.key, hit.set_name)
                    best[place] = min(hit, best.get(place, hit), key=rank)
        return [best[place] for place in sorted(best)]

    def _hits_of(self, keys: Sequence[str], column: pa.ChunkedArray) -> Iterator[Hit]:
        texts, owners = _flat(column.combine_chunks())
        words = split_words(texts)
        hashed = hash_words(words)
        for text, other, kind, score, run in (*self._shared_grams(hashed), *self._alike(hashed)):
            about = self.texts[other]
            shared = " ".join(words[text].as_py()[run])
            yield Hit(keys[owners[text]], about.set_name, about.source, kind, score, shared)

    def _shared_grams(self, words: Grams) -> Iterator[_Match]:
        """Texts that hold 13-grams of longer evaluation texts, or are shorter ones."""
        grams = hash_grams(words, GRAM_WORDS)
        lengths = words.lengths()
        at, others = self._grams.find(grams.hashes)
        texts = np.searchsorted(grams.offsets, at, side="right") - 1
        order = np.lexsort((at, others, texts))
        at, others, texts = at[order], others[order], texts[order]
        for start, end in _runs(texts, others):
            text, other = int(texts[start]), int(others[start])
            places = np.unique(at[start:end] - grams.offsets[text])
            if lengths[text] < GRAM_WORDS:
                yield text, other, "same text", float(lengths[text]), slice(None)
            elif len(places) >= self.rules.min_shared_grams:
                yield text, other, "13-gram", float(len(places)), _longest(places)

    def _alike(self, words: Grams) -> Iterator[_Match]:
        """Texts that are nearly a short evaluation text; none that is equal to it is missed by `_shared_grams`."""
        is_short = words.lengths() <= self._longest_near
        shingles = hash_grams(words.only(is_short), SHINGLE_WORDS)
        known = self._shingles.set.places(shingles.hashes) >= 0
        counts = np.bincount(shingles.owners()[known], minlength=len(shingles.lengths()))
        needed = np.maximum(np.ceil(self.rules.min_jaccard * shingles.lengths() - 1e-9), 1)
        for i in np.flatnonzero(counts >= needed).tolist():
            own = shingles.of(i)
            _, others = self._shingles.find(np.fromiter(own, np.uint64, len(own)))
            for other, both in Counter(others.tolist()).items():
                if both < ceil(self.rules.min_jaccard * len(own) - 1e-9):
                    continue
                similarity = jaccard(own, self._near[other])
                if similarity >= self.rules.min_jaccard:
                    yield int(np.flatnonzero(is_short)[i]), other, "jaccard", round(similarity, 4), slice(None)


class _Owned:
    """Hashes of evaluation texts, and whose they are."""

    def __init__(self, grams: Grams, texts: Places) -> None:
        order = np.argsort(grams.hashes, kind="stable")
        self.set = HashSet(grams.hashes)
        self._texts = texts[grams.owners()[order]]
        self._starts = np.searchsorted(grams.hashes[order], self.set.values)
        self._counts = np.diff(np.append(self._starts, len(order)))

    def find(self, hashes: Hashes) -> tuple[Places, Places]:
        """Indices of the hashes that some evaluation text has, once for each such text, and those texts."""
        places = self.set.places(hashes)
        at = np.flatnonzero(places >= 0)
        counts = self._counts[places[at]]
        within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        return np.repeat(at, counts), self._texts[np.repeat(self._starts[places[at]], counts) + within]


def rank(hit: Hit) -> tuple[int, float, str]:
    """Hits of one clip in one set, the plainest first."""
    return (("13-gram", "same text", "jaccard").index(hit.kind), -hit.score, hit.source)


def _flat(column: pa.Array) -> tuple[pa.Array, Places]:
    """The texts of a column of texts or of lists of texts, and the row of each."""
    if not pa.types.is_list(column.type):
        return column, np.arange(len(column))
    return column.flatten(), column.value_parent_indices().to_numpy().astype(np.int64)


def _runs(*columns: npt.NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Start and end of the stretches over which no column changes."""
    if not len(columns[0]):
        return
    changes = np.any([column[1:] != column[:-1] for column in columns], axis=0)
    bounds = [0, *(np.flatnonzero(changes) + 1).tolist(), len(columns[0])]
    yield from pairwise(bounds)


def _longest(places: Places) -> slice:
    """The words of the longest run of 13-grams that follow each other; `places` are sorted."""
    pieces = np.split(places, np.flatnonzero(np.diff(places) != 1) + 1)
    longest = max(pieces, key=len)
    return slice(int(longest[0]), int(longest[-1]) + GRAM_WORDS)
