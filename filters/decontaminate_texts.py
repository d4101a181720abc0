"""Stage `decontaminate_texts`: turns away clips with a text that an evaluation set holds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import pyarrow as pa

from filters.contamination import EvaluationIndex, EvaluationText, Hit, Overlap, rank
from filters.evaluation_sets import contents, read_sets
from infra.stage import Drop, Row, TableStage


@dataclass(frozen=True)
class DecontaminateTexts(TableStage):
    """Drops clips with a text of an evaluation set; without sets all pass.

    A clip that an earlier release holds is dropped as well: the evaluation is worth more.
    """

    sets: tuple[str, ...] = ()  # paths or URLs of index files
    overlap: Overlap = field(default_factory=Overlap)

    name: ClassVar[str] = "decontaminate_texts"
    version: ClassVar[int] = 1
    needs: ClassVar[tuple[str, ...]] = ("captions", "frame_captions", "image_query", "video_query", "caption")
    schema: ClassVar[pa.Schema] = pa.schema([])

    def ingredients(self) -> tuple[str, ...]:
        """The content of the sets."""
        return contents(self.sets)

    def compute(self, rows: pa.Table, released: pa.Table) -> Iterable[Row | Drop]:
        """Clips without evaluation texts; the others dropped with the plainest of what they share."""
        keys = rows["key"].to_pylist()
        worst: dict[str, Hit] = {}
        if self.sets:
            for hit in EvaluationIndex(read_texts(self.sets), self.overlap).hits(
                keys, [rows[name] for name in self.needs]
            ):
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


def read_texts(paths: Sequence[str]) -> Iterator[EvaluationText]:
    """The texts of index files; raises UsageError where there is none."""
    for row in read_sets(paths, ("set_name", "source", "texts")).to_pylist():
        for text in row["texts"] or ():
            yield EvaluationText(row["set_name"], row["source"], text or "")
