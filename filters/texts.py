"""Stage `texts`: clips whose captions say the same; stage `repeated_captions`: weak captions that many videos carry.

Two clips with one text are false negatives of each other in contrastive training, and so are clips
whose texts differ in a word that the viewer would not miss.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, Final, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from filters.minhash import same_texts
from filters.shingles import Hashes, chunks, hash_words, identities, split_words
from infra.errors import UsageError
from infra.stage import Drop, Row, TableStage
from shards.records import CAPTION_KINDS

DETAILED: Final = CAPTION_KINDS.index("detailed")


@dataclass(frozen=True)
class NearDuplicateTexts(TableStage):
    """Finds clips whose detailed captions are near-duplicates, and labels (or drops) all but one of each such group.

    The detailed caption stands for a clip: it says the most, so that where two agree the shorter ones
    could not tell the clips apart either. (Equal short texts of clips that differ need no check: pairs with
    equal texts share a `query_id`.) Similarity is the Jaccard of runs of three words; at the default two
    captions of 40 words may differ in one word. Clips of one video are treated like any others.

    One clip stands for each group: one of an earlier release if there is any, else the first by key.
    """

    # label: keep, and say so in `same_text_as`: a bland generator is no reason to lose clips
    on_duplicate: Literal["drop", "label"] = "label"
    min_jaccard: float = 0.85

    name: ClassVar[str] = "texts"
    version: ClassVar[int] = 1
    needs: ClassVar[tuple[str, ...]] = ("captions",)
    remembers: ClassVar[tuple[str, ...]] = ("captions",)
    schema: ClassVar[pa.Schema] = pa.schema(
        [("same_text_as", pa.string())]  # key of the clip that stands for the group; "" for itself and where unique
    )

    def __post_init__(self) -> None:
        if not 0.7 <= self.min_jaccard <= 1:  # below, texts that are not alike would have to be compared in masses
            raise UsageError(f"recipe: texts.min_jaccard must be from 0.7 to 1, not {self.min_jaccard}")

    def compute(self, rows: pa.Table, released: pa.Table) -> Iterable[Row | Drop]:
        """Every clip with its label; in `drop` mode new clips that say the same as another are dropped."""
        keys, texts, known = _by_precedence(rows, released)
        same = same_texts(texts, self.min_jaccard)
        is_here = pc.is_in(keys, rows["key"]).to_numpy(zero_copy_only=False)
        names = keys.to_pylist()
        for i in np.flatnonzero(is_here).tolist():
            key, other = names[i], int(same.representative[i])
            label = "" if other == i else names[other]
            if label and i >= known and self.on_duplicate == "drop":
                yield Drop(key, "near_duplicate_text", self._detail(label, float(same.jaccard[i])))
            else:
                yield {"key": key, "parent": key, "same_text_as": label}

    def _detail(self, other: str, jaccard: float) -> Row:
        return {"duplicate_of": other, "jaccard": round(jaccard, 4), "min_jaccard": self.min_jaccard}


def _by_precedence(rows: pa.Table, released: pa.Table) -> tuple[pa.ChunkedArray, pa.ChunkedArray, int]:
    """Keys and texts of released clips, then of new ones, each by key; and how many are released."""
    new = rows.filter(pc.invert(pc.is_in(rows["key"], released["key"]))).sort_by("key")
    known = released.sort_by("key")
    keys = [*known["key"].chunks, *new["key"].chunks]
    captions = [*known["captions"].chunks, *new["captions"].chunks]
    texts = [pc.list_element(chunk, DETAILED) for chunk in captions]
    return pa.chunked_array(keys, pa.string()), pa.chunked_array(texts, pa.string()), len(known)


@dataclass(frozen=True)
class RepeatedCaptions(TableStage):
    """Clears (or drops the rows of) weak captions that more than `max_videos` videos carry: they describe none of them.

    Captions are the same when their words are, whatever the case and punctuation. Videos of earlier
    releases are counted, and keep their captions.
    """

    on_repeated: Literal["clear", "drop"] = "clear"
    max_videos: int = 10

    name: ClassVar[str] = "repeated_captions"
    version: ClassVar[int] = 1
    needs: ClassVar[tuple[str, ...]] = ("caption",)
    remembers: ClassVar[tuple[str, ...]] = ("caption",)
    schema: ClassVar[pa.Schema] = pa.schema(
        [
            ("caption", pa.string()),
            ("caption_videos", pa.int64()),  # that carry it, this one included; 0 without a caption
        ]
    )

    def compute(self, rows: pa.Table, released: pa.Table) -> Iterable[Row | Drop]:
        """Every video with its caption, or without one that is repeated too often."""
        is_released = pc.is_in(rows["key"], released["key"]).to_numpy(zero_copy_only=False)
        elsewhere = released.filter(pc.invert(pc.is_in(released["key"], rows["key"])))
        videos = _carriers(rows["caption"], elsewhere["caption"])
        columns = (rows["key"].to_pylist(), rows["caption"].to_pylist(), videos.tolist(), is_released.tolist())
        for key, caption, count, was_released in zip(*columns, strict=True):
            too_often = count > self.max_videos and not was_released
            if too_often and self.on_repeated == "drop":
                detail = {"caption": caption, "caption_videos": count, "max_videos": self.max_videos}
                yield Drop(key, "repeated_caption", detail)
            else:
                yield {"key": key, "parent": key, "caption": "" if too_often else caption, "caption_videos": count}


def _carriers(captions: pa.ChunkedArray, others: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    """How many of `captions` and `others` together say what each of `captions` says."""
    own, other = _identities(captions), _identities(others)
    _, groups, counts = np.unique(np.concatenate([own, other]), return_inverse=True, return_counts=True)
    return np.where(own == 0, 0, counts[groups[: len(own)]]).astype(np.int64)


def _identities(captions: pa.ChunkedArray) -> Hashes:
    """A hash of every caption's words; 0 where it has none."""
    found = [identities(hash_words(split_words(chunk))) for _, chunk in chunks(captions)]
    return np.concatenate([np.empty(0, np.uint64), *found])
