"""Stage `decontaminate_texts`: turns away clips with a text that an evaluation set holds."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import ClassVar, Final

import pyarrow as pa
import pyarrow.parquet as pq

from filters.contamination import EvaluationIndex, EvaluationText, Hit, Overlap, rank
from infra.errors import UsageError
from infra.stage import Drop, Row, TableStage
from infra.store import read_source

SET_COLUMNS: Final = ("set_name", "source", "texts")


@dataclass(frozen=True)
class DecontaminateTexts(TableStage):
    """Drops clips with a text of an evaluation set; without sets all pass.

    A clip that an earlier release holds is dropped as well: the evaluation is worth more.
    """

    # Parquet files (paths or URLs) with columns set_name, source: string and texts: list of strings
    sets: tuple[str, ...] = ()
    overlap: Overlap = field(default_factory=Overlap)

    name: ClassVar[str] = "decontaminate_texts"
    version: ClassVar[int] = 1
    needs: ClassVar[tuple[str, ...]] = ("captions", "frame_captions", "image_query", "video_query", "caption")
    schema: ClassVar[pa.Schema] = pa.schema([])

    def ingredients(self) -> tuple[str, ...]:
        """The content of the sets."""
        return tuple(hashlib.sha256(_read_set(path)).hexdigest() for path in self.sets)

    def compute(self, rows: pa.Table, released: pa.Table) -> Iterable[Row | Drop]:
        """Clips without evaluation texts; the others dropped with the plainest of what they share."""
        keys = rows["key"].to_pylist()
        worst: dict[str, Hit] = {}
        if self.sets:
            texts = (text for path in self.sets for text in read_texts(path))
            for hit in EvaluationIndex(texts, self.overlap).hits(keys, [rows[name] for name in self.needs]):
                worst[hit.key] = min(hit, worst.get(hit.key, hit), key=rank)
        for key in keys:
            yield self._drop(worst[key]) if key in worst else {"key": key, "parent": key}

    def _drop(self, hit: Hit) -> Drop:
        about = {"evaluation_set": hit.set_name, "evaluation_source": hit.source, "duplicate_of": hit.source}
        limits = {"13-gram": "min_shared_grams", "same text": "min_words", "jaccard": "min_jaccard"}
        limit = {limits[hit.kind]: getattr(self.overlap, limits[hit.kind])}
        return Drop(
            hit.key,
            "in_evaluation_set",
            {**about, "kind": hit.kind, "score": hit.score, "shared": hit.shared, **limit},
        )


def read_texts(path: str) -> Iterator[EvaluationText]:
    """The texts of a set's Parquet file, a path or any URL; raises UsageError when it is none."""
    try:
        table = pq.read_table(pa.BufferReader(_read_set(path)), columns=list(SET_COLUMNS))
    except pa.ArrowInvalid as error:
        raise UsageError(f"recipe: {path} is no Parquet file: {error}") from error
    if missing := set(SET_COLUMNS) - set(table.column_names):
        raise UsageError(f"recipe: {path} lacks the columns {', '.join(sorted(missing))}")
    for row in table.to_pylist():
        for text in row["texts"] or ():
            yield EvaluationText(row["set_name"], row["source"], text or "")


def _read_set(path: str) -> bytes:
    try:
        return read_source(path)
    except FileNotFoundError as error:
        raise UsageError(f"recipe: no evaluation set at {path}") from error
