"""Texts as hashed n-grams of words, whole columns at a time: what the near-duplicate and contamination checks compare.

A text's words are its runs of letters and digits, in small letters. Hashes have 64 bits and are the same
in every process and on every machine; that any two of 10^9 different n-grams share one has odds of about 1 in 40.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Hashes = npt.NDArray[np.uint64]
Places = npt.NDArray[np.int64]

CHUNK_TEXTS: Final = 1 << 14  # of which words and hashes are in memory at once

_BASE: Final = np.uint64(0x9E3779B97F4A7C15)  # odd, so that every word of an n-gram counts


@dataclass(frozen=True)
class Grams:
    """Hashes of n-grams of several texts: those of text i are `hashes[offsets[i]:offsets[i + 1]]`, in its order."""

    hashes: Hashes
    offsets: Places

    def owners(self) -> Places:
        """For every n-gram the index of its text."""
        return np.repeat(np.arange(len(self.offsets) - 1), self.lengths())

    def lengths(self) -> Places:
        """For every text the number of its n-grams."""
        return np.diff(self.offsets)

    def only(self, chosen: npt.NDArray[np.bool_]) -> Grams:
        """Those of the texts for which `chosen` holds."""
        return Grams(self.hashes[np.repeat(chosen, self.lengths())], _offsets(self.lengths()[chosen]))

    def of(self, text: int) -> set[int]:
        """The distinct n-grams of one text."""
        return set(self.hashes[self.offsets[text] : self.offsets[text + 1]].tolist())


def split_words(texts: pa.Array) -> pa.ListArray:
    """The words of every text; a null or a text without letters and digits has none."""
    small = pc.utf8_lower(pc.fill_null(texts, ""))
    spaced = pc.utf8_trim_whitespace(pc.replace_substring_regex(small, r"[^\p{L}\p{M}\p{N}]+", " "))
    words = pc.split_pattern(spaced, " ")
    nothing = pa.scalar([], words.type)
    return pc.if_else(pc.equal(spaced, ""), nothing, words)


def hash_words(words: pa.ListArray) -> Grams:
    """The hash of every word."""
    coded = pc.dictionary_encode(words.flatten())
    digests = b"".join(blake2b(word.encode(), digest_size=8).digest() for word in coded.dictionary.to_pylist())
    lengths = pc.list_value_length(words).to_numpy(zero_copy_only=False)
    return Grams(np.frombuffer(digests, dtype="<u8")[coded.indices.to_numpy()], _offsets(lengths))


def hash_grams(words: Grams, n: int) -> Grams:
    """The hash of every run of `n` words; a text of fewer words, unless it has none, has one: that of them all."""
    at = np.arange(len(words.hashes))
    lengths = words.lengths()
    starts, ends = np.repeat(words.offsets[:-1], lengths), np.repeat(words.offsets[1:], lengths)
    padded = np.concatenate([words.hashes, np.zeros(n, np.uint64)])
    hashes = np.zeros(len(at), np.uint64)
    for i in range(n):
        hashes = hashes * _BASE + np.where(at + i < ends, padded[i : i + len(at)], np.uint64(0))
    is_gram = (at + n <= ends) | (at == starts)
    counts = np.where(lengths > 0, np.maximum(lengths - n + 1, 1), 0)
    return Grams(_mixed(hashes[is_gram]), _offsets(counts))


def concatenate(parts: Sequence[Grams]) -> Grams:
    """The texts of all parts, one after the other."""
    hashes = np.concatenate([np.empty(0, np.uint64), *(part.hashes for part in parts)])
    lengths = np.concatenate([np.empty(0, np.int64), *(part.lengths() for part in parts)])
    return Grams(hashes, _offsets(lengths))


def identities(words: Grams) -> Hashes:
    """One hash for every text that only texts of the same words in the same order share."""
    at = np.arange(len(words.hashes)) - np.repeat(words.offsets[:-1], words.lengths())
    placed = _mixed(words.hashes + (at.astype(np.uint64) + np.uint64(1)) * _BASE)
    sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(placed, dtype=np.uint64)])
    found: Hashes = sums[words.offsets[1:]] - sums[words.offsets[:-1]]
    return found


def chunks(texts: pa.ChunkedArray, size: int = CHUNK_TEXTS) -> Iterator[tuple[int, pa.Array]]:
    """A column in pieces of at most `size` texts, each with the index of its first."""
    for start in range(0, len(texts), size):
        yield start, texts.slice(start, size).combine_chunks()


def _offsets(lengths: npt.NDArray[Any]) -> Places:
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths, dtype=np.int64)])


def _mixed(hashes: Hashes) -> Hashes:
    """Every bit spread over all others (the finaliser of SplitMix64, Steele et al. 2014)."""
    mixed = (hashes ^ (hashes >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))
