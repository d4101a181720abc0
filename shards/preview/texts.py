"""The texts of a release as the page's search reads them, and what pairs and sources are called."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from infra.redact import redact
from shards.preview.facts import Facts
from shards.records import CAPTION_KINDS

TEXT_BYTES = 5_000_000  # of all texts, each counted once


@dataclass
class Texts:
    """What the search reads: every text once, and pairs that refer to texts."""

    most_bytes: int = TEXT_BYTES
    texts: dict[str, int] = field(default_factory=dict)  # each with its place
    labels: dict[str, int] = field(default_factory=dict)
    rows: list[tuple[str, str, str, str, list[tuple[int, int]]]] = field(default_factory=list)
    captioned: int = 0  # rows that have the captions of their clip too
    _bytes: int = field(default=0, init=False)

    def document(self) -> dict[str, Any]:
        """As JSON: rows are pair id, task, split, place, and places of labels and texts."""
        return {"texts": list(self.texts), "labels": list(self.labels), "rows": self.rows}

    def take(self, labelled: Sequence[tuple[str, str]]) -> list[tuple[int, int]] | None:
        """Places of labels and texts, taken in where they are new; None when that would be too much."""
        more = sum(len(text.encode()) for text in {text for _, text in labelled if text not in self.texts})
        if self._bytes + more > self.most_bytes:
            return None
        self._bytes += more
        return [
            (self.labels.setdefault(label, len(self.labels)), self.texts.setdefault(text, len(self.texts)))
            for label, text in labelled
        ]


def find_texts(pairs: Sequence[Facts], most_bytes: int = TEXT_BYTES) -> Texts:
    """The pairs in their order, as far as the texts of their sides fit; then captions of clips, as far as those do."""
    found = Texts(most_bytes)
    for pair in pairs:
        sides = found.take(_sides(pair))
        if sides is None:
            break
        found.rows.append((pair.pair_id, pair.task, pair.split, place(pair), sides))
    for pair, row in zip(pairs, found.rows, strict=False):
        captions = found.take(captions_of(pair))
        if captions is None:
            break
        shown = {text for _, text in row[-1]}
        row[-1].extend((label, text) for label, text in captions if text not in shown)
        found.captioned += 1
    return found


def _sides(pair: Facts) -> list[tuple[str, str]]:
    sides = (("query", pair.query_text), ("target", pair.target_text))
    return [(label, text) for label, text in sides if text]


def captions_of(pair: Facts) -> list[tuple[str, str]]:
    """Kind and text of the captions of a pair's clip: those of CAPTION_KINDS first, the weak one last."""
    order = [*CAPTION_KINDS, *sorted(pair.captions.keys() - set(CAPTION_KINDS))]
    captions = [(kind, pair.captions[kind]) for kind in order if pair.captions.get(kind)]
    return [*captions, ("came with the video", pair.weak_caption)] if pair.weak_caption else captions


def source(pair: Facts) -> str:
    """What the source video is called: its file name where the release tells, else the start of its id."""
    return redact(pair.source).rstrip("/").rsplit("/", 1)[-1] if pair.source else pair.video_id[:12]


def place(pair: Facts) -> str:
    """The source video, and the span of the clip in it."""
    if pair.start_s is None or pair.end_s is None:
        return source(pair)
    return f"{source(pair)} {pair.start_s:.1f}-{pair.end_s:.1f} s"
