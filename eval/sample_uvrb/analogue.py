"""What an analogue of a dataset is, and how its questions come to have exactly the answers they are meant to have."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from eval.sample_uvrb.truth import facts
from infra.errors import UsageError
from infra.sample_world.spec import VideoSpec

_PATIENCE = 400  # families in a row that may turn out unusable


@dataclass(frozen=True)
class Dial:
    """How much is asked and how hard: `difficulty` from 0 (distractors unlike the answer) to 1 (many, very like it)."""

    queries: int
    difficulty: float
    seed: int

    def random(self, dataset: str) -> Random:
        """The stream that a dataset's analogue is drawn from; no other world is drawn from it."""
        return Random(f"sample-uvrb/{self.seed}/{dataset}")

    @property
    def family(self) -> int:
        """Videos that are alike, one of them the answer: 1 to 5."""
        return 1 + round(4 * self.difficulty)

    def changes(self, details: int) -> int:
        """In how many of some details a distractor differs: all of them down to one."""
        return max(1, round((1 - self.difficulty) * details))


@dataclass(frozen=True)
class Asked:
    """One query. Its answers are the videos of which all `wanted` facts hold, in the whole corpus or among a few."""

    wanted: frozenset[str]
    text: str | None = None
    image: tuple[VideoSpec, int] | None = None  # a frame of a video, by number
    clip: tuple[VideoSpec, int, int] | None = None  # frames [first, end) of one
    candidates: tuple[VideoSpec, ...] = ()

    def is_answered_by(self, spec: VideoSpec) -> bool:
        """Whether a video is right, as its ground truth says."""
        return self.wanted <= facts(spec)


@dataclass(frozen=True)
class Told:
    """A video, and the queries that it shall be the one answer of."""

    spec: VideoSpec
    asked: tuple[Asked, ...]


@dataclass(frozen=True)
class Analogue:
    """A dataset's stand-in: the name it has in UVRB, its corpus and its queries."""

    name: str
    videos: tuple[VideoSpec, ...]
    asked: tuple[Asked, ...]

    def positives(self, asked: Asked) -> tuple[VideoSpec, ...]:
        """The answers of a query among what it is searched in."""
        return tuple(spec for spec in asked.candidates or self.videos if asked.is_answered_by(spec))


def told_analogue(name: str, told: Sequence[Told], queries: int) -> Analogue:
    """The analogue of some videos with their first `queries` queries."""
    asked = tuple(asked for one in told for asked in one.asked)
    return Analogue(name, tuple(one.spec for one in told), asked[:queries])


def gather(name: str, count: int, draw: Callable[[], Sequence[Told]]) -> list[Told]:
    """`count` videos out of families that `draw` gives, so that every query has its own video as its one answer.

    A family is left out whole where it would give a second answer to any query, or where it is empty. Raises
    UsageError when so many questions cannot be told apart.
    """
    found: list[Told] = []
    misses = 0
    while len(found) < count:
        family = draw()
        if family and _is_clear(found, family):
            found += family
            misses = 0
        elif (misses := misses + 1) > _PATIENCE:
            raise UsageError(f"the sample {name} has no more than {len(found)} different videos; ask for fewer queries")
    return found[:count]


def _is_clear(known: Sequence[Told], family: Sequence[Told]) -> bool:
    """Whether every query, known or of the family, keeps its own video as its one answer."""
    return all(
        asked.is_answered_by(other.spec) == (other is one)
        for one, others in ((one, [*known, *family]) for one in family)
        for other in others
        for asked in one.asked
    ) and not any(asked.is_answered_by(new.spec) for new in family for old in known for asked in old.asked)
