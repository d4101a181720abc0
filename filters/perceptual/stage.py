"""Stage `perceptual`: drops clips that show what another clip shows, whatever was done to the file.

Perceptual deduplication in the sense of V-SynFlow's first stage (arXiv 2510.27571, section 3.2), without
weights, against everything that was ever released.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from filters.perceptual.choice import losers, places, ranks, winner_of
from filters.perceptual.matching import Limits
from filters.perceptual.prints import Prints
from filters.perceptual.search import Clips, describe, find_matches, lead_s
from infra.stage import Drop, Row, TableStage
from shards.groups import codes


@dataclass(frozen=True)
class Perceptual(TableStage):
    """Of clips that show the same moments, keeps the better one: more pixels, longer video, more bits a second.

    A clip that was released stays, whatever comes later, and what shows the same is dropped even when the
    released clip itself is no longer among the videos. Copies are found re-encoded, scaled, stretched,
    brighter, darker, trimmed, inside longer videos, letterboxed, up to a tenth faster or slower, mirrored and
    cropped. A copy counts when it covers `limits.min_overlap` of the shorter clip.
    """

    limits: Limits = field(default_factory=Limits)
    score_only: bool = False  # keep every clip and only tell what it would have been dropped for

    name: ClassVar[str] = "perceptual"
    version: ClassVar[int] = 3
    needs: ClassVar[tuple[str, ...]] = (
        "source",
        "width",
        "height",
        "size_bytes",
        "duration_s",
        "start_s",
        "end_s",
        "prints",
    )
    remembers: ClassVar[tuple[str, ...]] = ("source", "start_s", "end_s", "prints")
    schema: ClassVar[pa.Schema] = pa.schema(
        [
            ("near_duplicate_of", pa.string()),  # the clip this one would have been dropped for
            ("near_duplicate_distance", pa.float64()),  # 1 - correlation of the two
        ]
    )

    def compute(self, rows: pa.Table, released: pa.Table) -> Iterable[Row | Drop]:
        """Every clip, or Drop `near_duplicate` with the clip that stays and how the two lie over each other."""
        gone = released.filter(pc.invert(pc.is_in(released["key"], rows["key"].combine_chunks())))
        all_rows = pa.concat_tables([gone, rows], promote_options="default")
        fixed = pc.is_in(all_rows["key"], released["key"].combine_chunks()).to_numpy().astype(bool)
        clips = Clips(
            Prints.of([all_rows["prints"]]),
            codes(all_rows["source"]),
            fixed.astype(np.int8),
            places(all_rows["key"]),
        )
        matches = find_matches(self.limits, clips)
        lost = losers(matches, ranks(all_rows, fixed), fixed)
        keys, sources, starts = (all_rows[name] for name in ("key", "source", "start_s"))
        for clip in range(gone.num_rows, all_rows.num_rows):
            key = keys[clip].as_py()
            pair = lost.get(clip)
            if pair is None:
                yield {"key": key, "parent": key}
                continue
            winner = winner_of(clip, pair)
            detail = {
                "duplicate_of": keys[winner].as_py(),
                "duplicate_of_source": sources[winner].as_py(),
                "duplicate_of_start_s": starts[winner].as_py(),
                **describe(
                    self.limits,
                    matches[pair],
                    winner == pair[0],
                    lead_s(starts[pair[0]].as_py()),
                    lead_s(starts[pair[1]].as_py()),
                ),
            }
            if self.score_only:
                told = {"near_duplicate_of": detail["duplicate_of"], "near_duplicate_distance": detail["distance"]}
                yield {"key": key, "parent": key, **told}
            else:
                yield Drop(key, "near_duplicate", detail)
