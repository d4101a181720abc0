"""Hard negatives of a release: a pair names others of the same release whose targets they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from infra.errors import ReleaseCorrupt
from shards.files import Shard


def check_negatives(
    folder: str, shards: Sequence[Shard], held: Mapping[str, Sequence[str]], named: Mapping[str, Sequence[str]]
) -> None:
    """Raise ReleaseCorrupt unless each negative that a pair names is a pair of the same task and split.

    `held` are the ids of the pairs in each shard, by its name, `named` those that they name as negatives.
    """
    pairs: dict[tuple[str, str], set[str]] = {}
    for shard in shards:
        pairs.setdefault((shard.split, shard.task), set()).update(held[shard.name])
    for shard in shards:
        if missing := set(named.get(shard.name, ())) - pairs[shard.split, shard.task]:
            raise ReleaseCorrupt(
                f"{folder}/{shard.name} names a negative that is no pair of {shard.split} {shard.task}: {min(missing)}"
            )
