"""Near-duplicate texts by MinHash and locality-sensitive hashing, every candidate verified.

MinHash estimates the Jaccard similarity of two sets (Broder 1997); rensa computes it. Cut into bands,
it puts similar sets into a common bucket (Indyk and Motwani 1998): a pair of Jaccard J shares one with
probability 1 - (1 - J^rows)^bands. A pair counts only when the Jaccard of its n-grams, not its estimate, is
high enough.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import ceil, log
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from rensa import RMinHash

from filters.shingles import (
    Grams,
    Hashes,
    Places,
    chunks,
    concatenate,
    hash_grams,
    hash_words,
    identities,
    split_words,
)

SHINGLE_WORDS: Final = 3
BAND_ROWS: Final = 10  # steep: texts of half the wanted similarity hardly ever meet
MISSED: Final = 1e-3  # of pairs just at the wanted similarity
BUCKET: Final = 16  # texts of one bucket, the first ones, that every later one of it may be compared with
CANDIDATES: Final = 16  # texts that one is compared with: those that share the most buckets with it
BLOCK: Final = 1 << 15  # texts whose candidates are in memory at once

_SEED: Final = 42


@dataclass(frozen=True)
class SameTexts:
    """For every text the index of the one that stands for it (its own when none does), and their Jaccard."""

    representative: Places
    jaccard: npt.NDArray[np.float64]


@dataclass(frozen=True)
class _Signatures:
    """What is known of all texts once each was read."""

    identity: Hashes  # (texts,)
    bands: Hashes  # (bands, texts)
    is_empty: npt.NDArray[np.bool_]  # (texts,)


@dataclass(frozen=True)
class _Buckets:
    """The buckets of one band that hold several texts."""

    members: Places  # texts, bucket after bucket, ascending in each
    later: Places  # texts that are not the first of theirs, ascending
    start: Places  # for each of them, where in `members` its bucket starts
    at: Places  # and where it is itself


def band_count(min_jaccard: float) -> int:
    """The fewest bands at which `MISSED` of the pairs with this Jaccard, or fewer, share no bucket."""
    return 1 if min_jaccard >= 1 else ceil(log(MISSED) / log(1 - min_jaccard**BAND_ROWS))


def same_texts(texts: pa.ChunkedArray, min_jaccard: float) -> SameTexts:
    """Which texts, in order of precedence, are near-duplicates of one before them.

    Each text is compared with those before it that stand for themselves, and joins the most similar
    of them if that reaches `min_jaccard`: no chains, so every text is that close to its representative.
    Where masses of texts are alike it is compared with `CANDIDATES` of them only, which bounds the cost.
    """
    signed = _signatures(texts, band_count(min_jaccard))
    _, first, groups = np.unique(signed.identity, return_index=True, return_inverse=True)
    first_same = np.where(signed.is_empty, np.arange(len(texts)), first[groups])
    distinct = np.flatnonzero((first_same == np.arange(len(texts))) & ~signed.is_empty)
    buckets = [_buckets(band[distinct], distinct) for band in signed.bands]
    shingles = _Shingles(texts, buckets)
    same = SameTexts(np.arange(len(texts)), np.ones(len(texts)))
    for low in range(0, len(texts), BLOCK):
        _join(_candidates(buckets, low, same), shingles, min_jaccard, same)
    return SameTexts(same.representative[first_same], same.jaccard[first_same])


def _signatures(texts: pa.ChunkedArray, bands: int) -> _Signatures:
    signed = _Signatures(
        np.empty(len(texts), np.uint64), np.empty((bands, len(texts)), np.uint64), np.empty(len(texts), np.bool_)
    )
    for start, chunk in chunks(texts):
        words = hash_words(split_words(chunk))
        here = slice(start, start + len(chunk))
        signed.identity[here] = identities(words)
        signed.is_empty[here] = words.lengths() == 0
        signed.bands[:, here] = _band_keys(hash_grams(words, SHINGLE_WORDS), bands)
    return signed


def _band_keys(shingles: Grams, bands: int) -> Hashes:
    """The bucket of every text in every band, shape (bands, texts)."""
    offsets = shingles.offsets.astype(np.uint64)
    matrix = RMinHash.digest_matrix_from_flat_token_hashes(shingles.hashes, offsets, bands * BAND_ROWS, _SEED)
    minima = np.array(matrix.to_rows(), np.uint32).reshape(len(offsets) - 1, bands * BAND_ROWS)
    rows = Grams(minima.astype(np.uint64).ravel(), np.arange(0, minima.size + 1, BAND_ROWS, dtype=np.int64))
    return identities(rows).reshape(len(minima), bands).T


def _buckets(keys: Hashes, texts: Places) -> _Buckets:
    """The buckets of one band; `texts` are ascending, `keys` theirs."""
    order = np.argsort(keys, kind="stable")
    keys, texts = keys[order], texts[order]
    is_new = np.concatenate([np.ones(min(1, len(keys)), np.bool_), keys[1:] != keys[:-1]])
    is_shared = ~is_new | ~np.append(is_new, True)[1:]
    members, is_new = texts[is_shared], is_new[is_shared]
    at = np.arange(len(members))
    start = np.maximum.accumulate(np.where(is_new, at, 0))
    later = np.flatnonzero(~is_new)
    later = later[np.argsort(members[later])]
    return _Buckets(members, members[later], start[later], at[later])


def _candidates(buckets: list[_Buckets], low: int, same: SameTexts) -> Places:
    """Pairs (later, earlier) to compare of a block of later texts, shape (pairs, 2), by later text."""
    pairs = np.concatenate([_bucket_pairs(band, low, low + BLOCK) for band in buckets])
    earlier = (pairs & np.uint64(0xFFFFFFFF)).astype(np.int64)
    pairs, shared = np.unique(pairs[same.representative[earlier] == earlier], return_counts=True)
    later, earlier = (pairs >> np.uint64(32)).astype(np.int64), (pairs & np.uint64(0xFFFFFFFF)).astype(np.int64)
    order = np.lexsort((earlier, -shared, later))
    later, earlier = later[order], earlier[order]
    is_near = np.arange(len(later)) - np.searchsorted(later, later) < CANDIDATES
    return np.stack([later[is_near], earlier[is_near]], axis=1)


def _bucket_pairs(band: _Buckets, low: int, high: int) -> Hashes:
    """Every text from `low` to `high` with the first ones of its bucket before it, as later << 32 | earlier."""
    here = slice(*np.searchsorted(band.later, [low, high]))
    later, start = band.later[here], band.start[here]
    counts = np.minimum(band.at[here] - start, BUCKET)
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    earlier = band.members[np.repeat(start, counts) + within].astype(np.uint64)
    pairs: Hashes = np.repeat(later, counts).astype(np.uint64) << np.uint64(32) | earlier
    return pairs


class _Shingles:
    """The shingles of all texts that share a bucket with another."""

    def __init__(self, texts: pa.ChunkedArray, buckets: list[_Buckets]) -> None:
        is_wanted = np.zeros(len(texts), np.bool_)
        for band in buckets:
            is_wanted[band.members] = True
        self._place = np.cumsum(is_wanted) - 1
        wanted = texts.filter(pa.array(is_wanted))
        self._grams = concatenate(
            [hash_grams(hash_words(split_words(chunk)), SHINGLE_WORDS) for _, chunk in chunks(wanted)]
        )

    def of(self, text: int) -> set[int]:
        return self._grams.of(int(self._place[text]))


def _join(pairs: Places, shingles: _Shingles, min_jaccard: float, same: SameTexts) -> None:
    """Let the later texts of a block, one after the other, join the most similar of their candidates."""
    starts = np.flatnonzero(np.diff(pairs[:, 0], prepend=-1)).tolist()
    for start, end in pairwise([*starts, len(pairs)]):
        text = int(pairs[start, 0])
        own, others = shingles.of(text), pairs[start:end, 1]
        alone = others[same.representative[others] == others].tolist()
        similarity, earliest = max(((jaccard(own, shingles.of(other)), -other) for other in alone), default=(0.0, 0))
        if similarity >= min_jaccard:
            same.representative[text], same.jaccard[text] = -earliest, similarity


def jaccard(one: set[Any], other: set[Any]) -> float:
    """The share that both have of what either has, 0 to 1; 0 when both are empty."""
    both = len(one & other)
    return both / (len(one) + len(other) - both) if both else 0.0
