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

from filters.shingles import Grams, Hashes, Places, chunks, hash_grams, hash_words, identities, split_words

SHINGLE_WORDS: Final = 3
BAND_ROWS: Final = 10  # steep: texts of half the wanted similarity hardly ever meet
MISSED: Final = 1e-3  # of pairs just at the wanted similarity
BUCKET: Final = 64  # texts of one bucket that every later one of it is compared with: the first ones

_SEED: Final = 42


@dataclass(frozen=True)
class SameTexts:
    """For every text the index of the one that stands for it (its own when none does), and their Jaccard."""

    representative: Places
    jaccard: npt.NDArray[np.float64]


@dataclass(frozen=True)
class _Signatures:
    """What is kept of all texts while candidates are looked for."""

    identity: Hashes  # (texts,)
    bands: Hashes  # (bands, texts)
    is_empty: npt.NDArray[np.bool_]  # (texts,)


def band_count(min_jaccard: float) -> int:
    """The fewest bands at which `MISSED` of the pairs with this Jaccard, or fewer, share no bucket."""
    return 1 if min_jaccard >= 1 else ceil(log(MISSED) / log(1 - min_jaccard**BAND_ROWS))


def same_texts(texts: pa.ChunkedArray, min_jaccard: float) -> SameTexts:
    """Which texts, in order of precedence, are near-duplicates of one before them.

    Each text is compared with those before it that stand for themselves, and joins the most similar
    of them if that reaches `min_jaccard`: no chains, so every text is that close to its representative.
    """
    signed = _signatures(texts, band_count(min_jaccard))
    _, first, groups = np.unique(signed.identity, return_index=True, return_inverse=True)
    first_same = np.where(signed.is_empty, np.arange(len(texts)), first[groups])
    distinct = np.flatnonzero((first_same == np.arange(len(texts))) & ~signed.is_empty)
    pairs = _candidates(signed.bands, distinct)
    joined = _join(pairs, _shingles_of(texts, np.unique(pairs)), min_jaccard)
    representative, jaccard = np.arange(len(texts)), np.ones(len(texts))
    for text, (other, similarity) in joined.items():
        representative[text], jaccard[text] = other, similarity
    return SameTexts(representative[first_same], jaccard[first_same])


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


def _candidates(bands: Hashes, texts: Places) -> Places:
    """Pairs (later, earlier) of `texts` that share a bucket, sorted, shape (pairs, 2)."""
    found = np.empty(0, np.uint64)
    for band in bands:
        found = np.union1d(found, _bucket_pairs(band[texts], texts))
    return np.stack([found >> np.uint64(32), found & np.uint64(0xFFFFFFFF)], axis=1).astype(np.int64)


def _bucket_pairs(keys: Hashes, texts: Places) -> Hashes:
    """Every text of a bucket with each of the first ones of it, as later << 32 | earlier."""
    order = np.argsort(keys, kind="stable")
    keys, texts = keys[order], texts[order].astype(np.uint64)
    at = np.arange(len(keys))
    is_start = np.concatenate([np.ones(min(1, len(keys)), np.bool_), keys[1:] != keys[:-1]])
    start = np.maximum.accumulate(np.where(is_start, at, 0))
    later = np.flatnonzero(~is_start)
    pairs = []
    for step in range(BUCKET):
        later = later[start[later] + step < later]
        pairs.append(texts[later] << np.uint64(32) | texts[start[later] + step])
    return np.concatenate(pairs)


def _shingles_of(texts: pa.ChunkedArray, chosen: Places) -> dict[int, tuple[Grams, int]]:
    """Where the shingles of the chosen texts are: by text, the n-grams of a chunk and its place among them."""
    places: dict[int, tuple[Grams, int]] = {}
    for start, chunk in chunks(texts.take(pa.array(chosen))):
        shingles = hash_grams(hash_words(split_words(chunk)), SHINGLE_WORDS)
        places.update((text, (shingles, i)) for i, text in enumerate(chosen[start : start + len(chunk)].tolist()))
    return places


def _join(pairs: Places, shingles: dict[int, tuple[Grams, int]], min_jaccard: float) -> dict[int, tuple[int, float]]:
    """Texts that join an earlier one, with it and their Jaccard; pairs are gone through by their later text."""
    joined: dict[int, tuple[int, float]] = {}
    starts = np.flatnonzero(np.diff(pairs[:, 0], prepend=-1)).tolist()
    for start, end in pairwise([*starts, len(pairs)]):
        text = int(pairs[start, 0])
        own = _set_of(shingles[text])
        best = (-1, 0.0)
        for other in pairs[start:end, 1].tolist():
            if other in joined:
                continue
            similarity = jaccard(own, _set_of(shingles[other]))
            if similarity >= min_jaccard and similarity > best[1]:
                best = (other, similarity)
        if best[1]:
            joined[text] = best
    return joined


def _set_of(place: tuple[Grams, int]) -> set[int]:
    grams, text = place
    return grams.of(text)


def jaccard(one: set[Any], other: set[Any]) -> float:
    """The share that both have of what either has, 0 to 1; 0 when both are empty."""
    both = len(one & other)
    return both / (len(one) + len(other) - both) if both else 0.0
