"""Which split a source video belongs to; every pair made from it goes there."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from infra.errors import UsageError


def rank(seed: int, *parts: str) -> float:
    """A number from 0 to 1 drawn from a seed and some names: stable, uniform, independent of all other draws."""
    text = "\x1f".join([str(seed), *parts])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") / 2**64


@dataclass(frozen=True)
class Split:
    """How a release divides its source videos: val from the low end of their ranks, test from the high end.

    A rank depends on seed and video alone, so a video keeps its split when others come or go, and a larger
    share of test takes nothing from val.
    """

    seed: int
    val_share: float
    test_share: float = 0.0  # of releases from before there was a test split

    def __post_init__(self) -> None:
        if min(self.val_share, self.test_share) < 0 or self.val_share + self.test_share > 1:
            raise UsageError(f"val_share {self.val_share} and test_share {self.test_share} are no shares of one whole")

    def of(self, video_id: str) -> str:
        """The split of a video, whatever other videos there are."""
        place = rank(self.seed, "split", video_id)
        if place < self.val_share:
            return "val"
        return "test" if 1 - place < self.test_share else "train"

    def of_all(self, video_ids: Iterable[str]) -> dict[str, str]:
        """The split of every video; of two or more, the one of lowest rank is in val if no other is.

        A release without a val split could promote no model. A test split may be empty.
        """
        splits = {video_id: self.of(video_id) for video_id in video_ids}
        if self.val_share > 0 and len(splits) > 1 and "val" not in splits.values():
            splits[min(splits, key=lambda video_id: (rank(self.seed, "split", video_id), video_id))] = "val"
        return splits
