"""Zero-shot video classification (arXiv 2510.27571, appendix A.13): a video retrieves the text of its label."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
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


@dataclass(frozen=True)
class LabelSet:
    """Videos by their paths, each with its true label; the labels in the order in which they first come."""

    name: str
    paths: tuple[Path, ...]
    true: tuple[str, ...]

    @property
    def labels(self) -> tuple[str, ...]:
        """Every label once."""
        return tuple(dict.fromkeys(self.true))

    def videos(self) -> Iterator[bytes]:
        """The encoded videos, one at a time."""
        return (path.read_bytes() for path in self.paths)


def read_label_set(path: str) -> LabelSet:
    """The label set in a CSV of `path`, relative to the file or absolute, and `label`.

    Raises UsageError for what is no such table, and for videos that are not there.
    """
    try:
        with Path(path).open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{path} cannot be read as a table: {error}") from error
    if not rows or not all(row.get("path") and row.get("label") for row in rows):
        raise UsageError(f"{path}: a label set has a row a video, with its `path` and its `label`")
    paths = tuple(Path(path).parent / row["path"] for row in rows)
    if absent := [str(video) for video in paths if not video.is_file()]:
        raise UsageError(f"{path}: {len(absent)} of {len(paths)} videos are not there, the first is {absent[0]}")
    return LabelSet(Path(path).stem, paths, tuple(row["label"] for row in rows))


def classify(
    videos: Iterable[bytes],
    true: Sequence[str],
    labels: Sequence[str],
    embedder: Embedder,
    instruction: str = INSTRUCTION,
) -> Classification:
    """Give each video, encoded, the label whose text lies nearest by cosine; `true` are the right ones.

    Videos are queries and get the instruction; labels are embedded as they are written. Of equally near labels
    the one that stands first in the set is taken. Raises UsageError without videos, for a label that stands in
    the set twice, and for a true label that it lacks.
    """
    _check(true, labels)
    texts = encode_distinct(((f"{i:09d}", Side(text=label)) for i, label in enumerate(labels)), embedder)
    sides = ((f"{i:09d}", Side(video=video)) for i, (video, _) in enumerate(zip(videos, true, strict=True)))
    best = top_k(encode_distinct(sides, embedder, instruction).vectors, texts.vectors, 1).indices[:, 0]
    return _count(true, [labels[row] for row in best.tolist()], labels)


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
