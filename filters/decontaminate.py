"""Stage `decontaminate`: drops clips that show what an evaluation set shows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import pyarrow as pa

from filters.evaluation_sets import contents, read_sets
from filters.perceptual.matching import Limits
from filters.perceptual.prints import Prints
from filters.perceptual.search import Clips, describe, find_matches, lead_s
from infra.stage import Drop, Row, TableStage


@dataclass(frozen=True)
class Decontaminate(TableStage):
    """Drops every clip that shows the same moments as a video of an evaluation set, released before or not.

    Which clips were released does not matter: a set that is named later still must not be trained on.
    Without sets every clip passes.
    """

    sets: tuple[str, ...] = ()  # paths or URLs of index files
    limits: Limits = field(default_factory=Limits)

    name: ClassVar[str] = "decontaminate"
    version: ClassVar[int] = 3
    needs: ClassVar[tuple[str, ...]] = ("video_id", "start_s", "prints")
    schema: ClassVar[pa.Schema] = pa.schema([])

    def ingredients(self) -> Sequence[str]:
        """What the index files hold, not only where they lie."""
        return contents(self.sets)

    def compute(self, rows: pa.Table, released: pa.Table) -> Iterable[Row | Drop]:
        """Every clip, or Drop `in_evaluation_set` with the set, its video and how the two lie over each other."""
        found: dict[str, Row] = {}
        if self.sets:
            sets = read_sets(self.sets, ("set_name", "source", "video_id", "prints"))
            found = {**shown_in(self.limits, sets, rows), **cut_from(sets, rows)}
        for key in rows["key"].to_pylist():
            yield Drop(key, "in_evaluation_set", found[key]) if key in found else {"key": key, "parent": key}


def cut_from(sets: pa.Table, rows: pa.Table) -> dict[str, Row]:
    """For each clip (`key`, `video_id`) of a file that is in one of `sets` itself: which one.

    Pictures that are plain say too little to be found by what they show; their files are the same all the same.
    """
    places = {video_id: place for place, video_id in enumerate(sets["video_id"].to_pylist()) if video_id}
    found = {}
    for key, video_id in zip(rows["key"].to_pylist(), rows["video_id"].to_pylist(), strict=True):
        if (place := places.get(video_id)) is not None:
            found[key] = {**_named(sets, place), "kind": "same bytes"}
    return found


def _named(sets: pa.Table, place: int) -> Row:
    name, source = sets["set_name"][place].as_py(), sets["source"][place].as_py()
    return {"evaluation_set": name, "evaluation_source": source}


def shown_in(limits: Limits, sets: pa.Table, rows: pa.Table) -> Mapping[str, Row]:
    """For each clip (`key`, `start_s`, `prints`) that shows what a video of `sets` shows: which one, and the scores."""
    group = np.repeat(np.array([1, 2], np.int8), [sets.num_rows, rows.num_rows])
    clips = Clips(Prints.of([sets["prints"], rows["prints"]]), np.arange(len(group)), group, np.arange(len(group)))
    found: dict[str, Row] = {}
    # By the least distance, then by the order of the sets.
    for (video, clip), match in sorted(
        find_matches(limits, clips).items(), key=lambda item: (item[1].alignment.distance, item[0])
    ):
        at = clip - sets.num_rows
        told = {
            **_named(sets, video),
            **describe(limits, match, True, 0.0, lead_s(rows["start_s"][at].as_py())),
        }
        found.setdefault(rows["key"][at].as_py(), told)
    return found
