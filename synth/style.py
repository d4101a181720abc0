"""What is drawn for every request: the information profile and the reading level (section 3.2, appendix A.6)."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Final

from infra.errors import UsageError
from infra.recipe import Settings

PROFILES: Final = ("spatial", "temporal", "other")
READABILITY: Final = ("easy", "medium", "demanding")
EDUCATION_LEVELS: Final = ("primary school", "secondary school", "university")


@dataclass(frozen=True)
class Shares(Settings):
    """Shares of the information profiles; raises UsageError when they are no distribution."""

    spatial: float
    temporal: float
    other: float

    def __post_init__(self) -> None:
        shares = (self.spatial, self.temporal, self.other)
        if min(shares) < 0 or abs(sum(shares) - 1) > 1e-6:
            raise UsageError(f"profile shares must be 0 or more and sum to 1, not {shares}")


# Of the clips and of the frames: captions that favour what is where, what happens (in a frame: the frozen
# moment), or light, style and format. The paper gives 30 / 60 / 10 for clips.
CLIP_SHARES: Final = Shares(spatial=0.3, temporal=0.6, other=0.1)
FRAME_SHARES: Final = Shares(spatial=0.6, temporal=0.15, other=0.25)


def draw_slots(shares: Shares, seed: int, kind: str, clip_id: str) -> dict[str, str]:
    """Values of the slots "profile", "readability" and "education_level" for one request."""
    random = Random(f"{seed} slots {kind} {clip_id}")
    return {
        "profile": random.choices(PROFILES, (shares.spatial, shares.temporal, shares.other))[0],
        "readability": random.choice(READABILITY),
        "education_level": random.choice(EDUCATION_LEVELS),
    }
