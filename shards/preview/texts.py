"""The texts of a release as the page's search reads them, and what pairs and sources are called."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from infra.redact import redact
from shards.preview.facts import Facts
from shards.records import CAPTION_KINDS

TEXT_BYTES = 4_000_000  # of all texts, each counted once


def find_texts(pairs: Sequence[Facts]) -> dict[str, Any]:
    """What the page's search reads: every text once, and pairs that refer to them, up to TEXT_BYTES in all."""
    texts: dict[str, int] = {}
    labels: dict[str, int] = {}
    rows: list[Any] = []
    size = 0
    for pair in pairs:
        labelled = _labelled(pair)
        size += sum(len(text.encode()) for text in labelled if text not in texts)
        if size > TEXT_BYTES:
            break
        parts = [
            (labels.setdefault(label, len(labels)), texts.setdefault(text, len(texts)))
            for text, label in labelled.items()
        ]
        rows.append((pair.pair_id, pair.task, pair.split, place(pair), parts))
    return {"texts": list(texts), "labels": list(labels), "rows": rows}


def _labelled(pair: Facts) -> dict[str, str]:
    """The texts of a pair and its clip, each once, and what it is."""
    sides = [("query", pair.query_text), ("target", pair.target_text)]
    labelled: dict[str, str] = {}
    for label, text in [*sides, *captions_of(pair)]:
        if text:
            labelled.setdefault(text, label)
    return labelled


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
