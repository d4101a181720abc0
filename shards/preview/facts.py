"""What is known about every pair of a release, text and numbers only: the preview's one source besides media."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields

from shards.index import read_index
from shards.manifest import Manifest


@dataclass(frozen=True, slots=True)
class Facts:
    """One pair; what a release does not tell is None or empty, and is not shown."""

    pair_id: str
    task: str
    split: str
    shard: str  # its file name
    video_id: str
    target_id: str
    clip_id: str | None = None
    source: str | None = None
    start_s: float | None = None
    end_s: float | None = None
    width: int | None = None  # pixels
    height: int | None = None
    query_text: str | None = None
    target_text: str | None = None
    weak_caption: str | None = None  # what came with the video
    captions: Mapping[str, str] = field(default_factory=dict)  # text by kind (shards.records.CAPTION_KINDS)
    scores: Mapping[str, float] = field(default_factory=dict)

    @property
    def texts(self) -> tuple[str, ...]:
        """The texts of its two sides."""
        return tuple(text for text in (self.query_text, self.target_text) if text)

    @property
    def clip(self) -> str:
        """What tells its clip from others."""
        return self.clip_id or self.target_id


def read_facts(release: Manifest) -> Iterator[Facts]:
    """The facts of every pair, one at a time, from the release's index.

    Raises UsageError when the release is from before releases had one, ReleaseCorrupt when it cannot be read.
    """
    known = [column.name for column in fields(Facts)]
    for batch in read_index(release.index(), known):
        for row in batch.to_pylist(maps_as_pydicts="strict"):
            told = {name: value for name, value in row.items() if value is not None}
            captions = {kind: text for kind, text in told.pop("captions", {}).items() if text}
            yield Facts(**told, captions=captions)
