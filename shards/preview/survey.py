"""One pass over a release's facts: what the charts count, and the pairs that the page may show.

Memory grows by some bytes a pair and a clip; texts are kept of at most `ROWS` pairs a task.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import zip_longest

from shards.preview.facts import Facts
from shards.records import TASKS
from shards.split import rank

SEED = 42
ROWS = 10_000  # pairs that the page's search finds


@dataclass
class Survey:
    """Counts over all pairs, and the drawn pairs of every task in the order they were drawn."""

    pairs_by_video: Counter[str] = field(default_factory=Counter)
    words: Counter[int] = field(default_factory=Counter)  # texts by their number of words
    clip_s: dict[str, float] = field(default_factory=dict)  # seconds by clip
    clip_size: dict[str, tuple[int, int]] = field(default_factory=dict)  # width and height by clip
    scores: dict[str, dict[str, float]] = field(default_factory=dict)  # by name, then by clip
    drawn: dict[str, list[Facts]] = field(default_factory=lambda: {task: [] for task in TASKS})


def survey(facts: Iterable[Facts]) -> Survey:
    """Read the facts once. Which pairs are drawn depends on their ids alone."""
    seen = Survey()
    draws = {task: _Draw() for task in TASKS}
    for pair in facts:
        _count(seen, pair)
        draws[pair.task].offer(pair)
    seen.drawn = {task: [pair for _, pair in draw.best()] for task, draw in draws.items()}
    return seen


def _count(seen: Survey, pair: Facts) -> None:
    seen.pairs_by_video[pair.video_id] += 1
    seen.words.update(len(text.split()) for text in pair.texts)
    if pair.start_s is not None and pair.end_s is not None:
        seen.clip_s[pair.clip] = pair.end_s - pair.start_s
    if pair.width and pair.height:
        seen.clip_size[pair.clip] = (pair.width, pair.height)
    for name, score in pair.scores.items():
        seen.scores.setdefault(name, {})[pair.clip] = score


class _Draw:
    """The `ROWS` pairs of lowest rank among those offered."""

    def __init__(self) -> None:
        self._held: list[tuple[float, Facts]] = []

    def offer(self, pair: Facts) -> None:
        self._held.append((rank(SEED, "preview", pair.pair_id), pair))
        if len(self._held) >= 2 * ROWS:
            self._held = self.best()

    def best(self) -> list[tuple[float, Facts]]:
        return sorted(self._held, key=lambda held: held[0])[:ROWS]


def searchable(drawn: dict[str, list[Facts]]) -> list[Facts]:
    """At most `ROWS` of the drawn pairs, the tasks in turn: a rare task is there whole."""
    turns = (pair for turn in zip_longest(*drawn.values()) for pair in turn if pair is not None)
    return [pair for _, pair in zip(range(ROWS), turns, strict=False)]


def spread(pairs: Iterable[Facts]) -> list[Facts]:
    """Pairs of different clips, reordered so that every source video has its turn before one has two."""
    turn: Counter[str] = Counter()
    ordered = []
    for place, pair in enumerate(_distinct_clips(pairs)):
        ordered.append((turn[pair.video_id], place, pair))
        turn[pair.video_id] += 1
    return [pair for _, _, pair in sorted(ordered, key=lambda entry: entry[:2])]


def _distinct_clips(pairs: Iterable[Facts]) -> Iterator[Facts]:
    seen: set[str] = set()
    for pair in pairs:
        if pair.clip not in seen:
            seen.add(pair.clip)
            yield pair
