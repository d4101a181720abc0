"""Zero-shot video classification (arXiv 2510.27571, appendix A.13): a video retrieves the text of its label."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from eval.encode import encode_distinct
from eval.search import top_k
from infra.errors import UsageError
from shards.embedder import Embedder
from shards.records import Side

INSTRUCTION: Final = "Find the text that names what happens in the video."  # ours: the paper prints none


@dataclass(frozen=True)
class Classification:
    """How often the best label was the right one; shares between 0 and 1."""

    videos: int
    labels: int
    accuracy: float  # top-1, over videos
    by_label: Mapping[str, float]  # of the labels that any video has, in the order of the label set
    confused: Mapping[str, tuple[str, int]]  # by label, the wrong one that its videos got most, and how many did

    @property
    def chance(self) -> float:
        """The accuracy of a random label."""
        return 1 / self.labels


def classify(
    videos: Sequence[tuple[bytes, str]], labels: Sequence[str], embedder: Embedder, instruction: str = INSTRUCTION
) -> Classification:
    """Give each video, encoded and with its true label, the label whose text lies nearest by cosine.

    Videos are queries and get the instruction; labels are embedded as they are written. Of equally near labels
    the one that stands first in the set is taken. Raises UsageError without videos, for a label that stands in
    the set twice, and for a true label that it lacks.
    """
    _check([true for _, true in videos], labels)
    texts = encode_distinct(((f"{i:09d}", Side(text=label)) for i, label in enumerate(labels)), embedder)
    seen = encode_distinct(
        ((f"{i:09d}", Side(video=video)) for i, (video, _) in enumerate(videos)), embedder, instruction
    )
    best = top_k(seen.vectors, texts.vectors, 1).indices[:, 0]
    return _count([true for _, true in videos], [labels[row] for row in best.tolist()], labels)


def _check(true: Sequence[str], labels: Sequence[str]) -> None:
    if not true:
        raise UsageError("there is no video to classify")
    if twice := [label for label, count in Counter(labels).items() if count > 1]:
        raise UsageError(f"the label set has {twice[0]!r} twice")
    if unknown := sorted(set(true) - set(labels)):
        raise UsageError(f"no label of the set: {', '.join(map(repr, unknown[:5]))}")


def _count(true: Sequence[str], given: Sequence[str], labels: Sequence[str]) -> Classification:
    answers: dict[str, list[str]] = {label: [] for label in labels}
    for label, answer in zip(true, given, strict=True):
        answers[label].append(answer)
    present = {label: Counter(got) for label, got in answers.items() if got}
    wrong = {label: [(other, n) for other, n in got.most_common() if other != label] for label, got in present.items()}
    return Classification(
        videos=len(true),
        labels=len(labels),
        accuracy=float(np.mean([a == b for a, b in zip(true, given, strict=True)])),
        by_label={label: got[label] / got.total() for label, got in present.items()},
        confused={label: others[0] for label, others in wrong.items() if others},
    )
