"""Stage `consistency`: turns away clips whose captions describe something else.

Cross-modal consistency of V-SynFlow's first stage (arXiv 2510.27571, section 3.2): pairs whose cosine
under a pretrained embedder is below a threshold are dropped. A cosine means something else in every
model, so the threshold is measured: it is what clips score with captions of other clips.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from infra.errors import UsageError
from infra.stage import Drop, Row, TableStage
from shards.vectors import to_unit, unpack, with_vectors

BLOCK: Final = 16_384  # pairs scored at once
LEAST_SHUFFLED: Final = 20  # shuffled pairs under which a quantile of them says nothing

Vectors = NDArray[np.float16]
Scores = NDArray[np.float32]


@dataclass(frozen=True)
class Consistency(TableStage):
    """Drops a clip whose cosine with its captions is under the highest of three thresholds.

    min_cosine          as it stands; for a prober whose cosines are known
    shuffled_quantile   of the cosines of clips with the captions of clips of other videos: a clip must do
                        better than this share of wrong captions. 0: no such threshold
    drop_quantile       of the cosines themselves: the lowest share goes, whatever it scores. 0: none

    The cosine of a clip is the mean over its captions. The five are written at once and used together, so
    the clip stands or falls with them, and one of them that leaves most of the clip out, as the partial one
    should, says nothing against the others; captions of another clip are all wrong. What every caption
    scored stands in `caption_cosines`. A released clip is never dropped, whatever the threshold has become
    since. Without a prober there are no vectors: everything passes, and `consistency` is null.
    """

    min_cosine: float = -1.0
    shuffled_quantile: float = 0.5
    drop_quantile: float = 0.0
    seed: int = 42
    score_only: bool = False  # drop nothing and only tell the cosines

    name: ClassVar[str] = "consistency"
    version: ClassVar[int] = 1
    needs: ClassVar[tuple[str, ...]] = ("clip_vector", "text_vector", "video_id")
    remembers: ClassVar[tuple[str, ...]] = ()
    schema: ClassVar[pa.Schema] = pa.schema(
        [("consistency", pa.float32()), ("consistency_threshold", pa.float32())]  # cosines; null without a prober
    )

    def __post_init__(self) -> None:
        if not (0 <= self.shuffled_quantile <= 1 and 0 <= self.drop_quantile <= 1):
            raise UsageError("consistency: shuffled_quantile and drop_quantile are shares, from 0 to 1")

    def compute(self, rows: pa.Table, released: pa.Table) -> Iterable[Row | Drop]:
        """Every clip with its cosine, or dropped with it and the thresholds."""
        judged = with_vectors(rows, self.needs[:2])
        unjudged = rows["key"].filter(pc.invert(pc.is_in(rows["key"], value_set=judged["key"])))
        for key in unjudged.to_pylist():
            yield {"key": key, "parent": key, "consistency": None, "consistency_threshold": None}
        cosines, shuffled = score(judged, self.seed)
        thresholds = self._thresholds(cosines, shuffled)
        threshold = max(thresholds.values())
        is_released = pc.is_in(judged["key"], value_set=released["key"]).to_pylist()
        for key, cosine, stays in zip(judged["key"].to_pylist(), cosines.tolist(), is_released, strict=True):
            if cosine < threshold and not stays and not self.score_only:
                asked = {"shuffled_quantile": self.shuffled_quantile, "drop_quantile": self.drop_quantile}
                detail = {"cosine": cosine, "threshold": threshold, **thresholds, **asked}
                yield Drop(key, "inconsistent", detail | {"shuffled_pairs": len(shuffled)})
            else:
                yield {"key": key, "parent": key, "consistency": cosine, "consistency_threshold": threshold}

    def _thresholds(self, cosines: Scores, shuffled: Scores) -> dict[str, float]:
        """The cosine that each of the settings asks for, those that ask for one."""
        asked = {"min_cosine": self.min_cosine}
        if self.shuffled_quantile and len(shuffled) >= LEAST_SHUFFLED:
            asked["shuffled_cosine"] = float(np.quantile(shuffled, self.shuffled_quantile))
        if self.drop_quantile and len(cosines):
            asked["quantile_cosine"] = float(np.quantile(cosines, self.drop_quantile))
        return asked


def score(clips: pa.Table, seed: int) -> tuple[Scores, Scores]:
    """Cosines of n clips with their own captions [n], and of clips with captions of other videos' [at most n].

    A random ring through all clips, drawn by `seed`, gives every clip the captions of the next one; where
    both are of one video, the pair does not count.
    """
    videos, texts = unpack(clips["clip_vector"]), unpack(clips["text_vector"])
    ring = np.random.default_rng(seed).permutation(len(videos))
    other = np.empty_like(ring)
    other[ring] = np.roll(ring, -1)
    source = clips["video_id"].combine_chunks().dictionary_encode().indices.to_numpy()
    is_foreign = source != source[other]
    return row_cosines(videos, texts), row_cosines(videos, texts, other)[is_foreign]


def row_cosines(videos: Vectors, texts: Vectors, rows: NDArray[np.int64] | None = None) -> Scores:
    """Product of each unit vector of `videos` [n, dim] with its row of `texts`, or with the row named in `rows`."""
    cosines = np.empty(len(videos), np.float32)
    for start in range(0, len(videos), BLOCK):
        block = slice(start, start + BLOCK)
        partners = texts[block if rows is None else rows[block]].astype(np.float32)
        cosines[block] = np.einsum("ij,ij->i", to_unit(videos[block]), partners)
    return cosines
