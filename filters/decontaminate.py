"""Stage `decontaminate`: drops clips that show what an evaluation set shows.

A set comes as a Parquet file with one row a video: `set_name`, `source`, `prints` and `texts`; `index_table`
makes one from the rows of a scan.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from filters.perceptual.matching import Limits
from filters.perceptual.prints import Prints
from filters.perceptual.search import Clips, describe, find_matches, lead_s
from infra.stage import Drop, Row, TableStage
from infra.store import read_source

INDEX = pa.schema(
    [
        ("set_name", pa.string()),
        ("source", pa.string()),
        ("prints", pa.binary()),  # of the whole video: infra.media.fingerprint
        ("texts", pa.list_(pa.string())),  # its captions and queries
    ]
)


@dataclass(frozen=True)
class Decontaminate(TableStage):
    """Drops every clip that shows the same moments as a video of an evaluation set, released before or not.

    Which clips were released does not matter: a set that is named later still must not be trained on.
    Without sets every clip passes.
    """

    sets: tuple[str, ...] = ()  # paths or URLs of index files
    limits: Limits = field(default_factory=Limits)

    name: ClassVar[str] = "decontaminate"
    version: ClassVar[int] = 1
    needs: ClassVar[tuple[str, ...]] = ("start_s", "prints")
    remembers: ClassVar[tuple[str, ...]] = ()
    schema: ClassVar[pa.Schema] = pa.schema([])

    def ingredients(self) -> Sequence[str]:
        """What the index files hold, not only where they lie."""
        return [hashlib.sha256(read_source(path)).hexdigest() for path in self.sets]

    def compute(self, rows: pa.Table, released: pa.Table) -> Iterable[Row | Drop]:
        """Every clip, or Drop `in_evaluation_set` with the set, its video and how the two lie over each other."""
        found = shown_in(self.limits, read_sets(self.sets), rows) if self.sets else {}
        for key in rows["key"]:
            detail = found.get(key.as_py())
            yield (
                Drop(key.as_py(), "in_evaluation_set", detail)
                if detail
                else {"key": key.as_py(), "parent": key.as_py()}
            )


def read_sets(paths: Sequence[str]) -> pa.Table:
    """The rows of all index files, in order."""
    return pa.concat_tables([pq.read_table(pa.BufferReader(read_source(path)), schema=INDEX) for path in paths])


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
            "evaluation_set": sets["set_name"][video].as_py(),
            "evaluation_source": sets["source"][video].as_py(),
            **describe(limits, match, True, 0.0, lead_s(rows["start_s"][at].as_py())),
        }
        found.setdefault(rows["key"][at].as_py(), told)
    return found


def index_table(set_name: str, scanned: pa.Table, texts: Mapping[str, Sequence[str]]) -> pa.Table:
    """The index of an evaluation set: its scanned videos (`source`, `prints`) with the texts of each."""
    sources = scanned["source"].to_pylist()
    columns = [
        pa.array([set_name] * len(sources), pa.string()),
        pa.array(sources, pa.string()),
        scanned["prints"].cast(pa.binary()),
        pa.array([list(texts.get(source, ())) for source in sources], pa.list_(pa.string())),
    ]
    return pa.table(columns, schema=INDEX)
