"""Releases that must not be used any more: source videos that they held were removed from their lake.

`withdrawn.json` beside a manifest says which, why, which tars are gone, and which release to use instead. It is
written before anything is deleted, so a release is whole or says that it is not.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Final

from pydantic import TypeAdapter, ValidationError

from infra.errors import ReleaseCorrupt, ReleaseWithdrawn
from infra.store import read_source
from shards.files import sibling

WITHDRAWN: Final = "withdrawn.json"


@dataclass(frozen=True)
class Tombstone:
    """A source video that was removed, and what releases held of it until then."""

    video_id: str
    reason: str
    pairs: int
    shards: tuple[str, ...]  # as RELEASE/NAME; those tars were deleted


@dataclass(frozen=True)
class Withdrawal:
    """Why a release must not be used."""

    use: str  # id of the release to use instead
    removed: dict[str, str]  # why, by id of the source video
    shards: tuple[str, ...]  # as RELEASE/NAME; tars of the release that were deleted

    @property
    def why(self) -> str:
        """The reasons, in one line."""
        return "; ".join(sorted(set(self.removed.values())))

    def with_more(self, before: Withdrawal | None) -> Withdrawal:
        """This one with what an earlier removal says of the same release."""
        if before is None:
            return self
        shards = tuple(sorted({*before.shards, *self.shards}))
        return Withdrawal(self.use, before.removed | self.removed, shards)

    def to_bytes(self) -> bytes:
        """As it is written."""
        return json.dumps(asdict(self), indent=1, sort_keys=True, ensure_ascii=False).encode() + b"\n"


def read_withdrawal(folder: str) -> Withdrawal | None:
    """Why the release in `folder` must not be used; None when it may be. Raises ReleaseCorrupt."""
    try:
        return TypeAdapter(Withdrawal).validate_json(read_source(f"{folder}/{WITHDRAWN}"))
    except FileNotFoundError:
        return None
    except ValidationError as error:
        raise ReleaseCorrupt(f"{folder}/{WITHDRAWN} is damaged: {error}") from error


def refuse_withdrawn(folder: str, release_id: str) -> None:
    """Raise ReleaseWithdrawn, naming the release to use, when the one in `folder` must not be used."""
    if (withdrawal := read_withdrawal(folder)) is None:
        return
    use, later = withdrawal.use, read_withdrawal(sibling(folder, withdrawal.use))
    while later is not None:
        use, later = later.use, read_withdrawal(sibling(folder, later.use))
    raise ReleaseWithdrawn(
        f"release {release_id} was withdrawn: {len(withdrawal.removed)} of its source videos were removed "
        f"({withdrawal.why}). Use {sibling(folder, use)}/manifest.json"
    )
