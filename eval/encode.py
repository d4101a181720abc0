"""Embeddings of many sides through any embedder, each distinct one once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from infra.errors import RunFailed
from shards.embedder import Embedder
from shards.records import Side

CHUNK = 64  # sides held in memory at once
UNIT_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Encoded:
    """Distinct sides in the order of their ids, and their unit vectors [len(ids), dim]."""

    ids: tuple[str, ...]
    vectors: NDArray[np.float32]

    def rows(self) -> dict[str, int]:
        """The row of each id."""
        return {name: row for row, name in enumerate(self.ids)}


def encode_distinct(sides: Iterable[tuple[str, Side]], embedder: Embedder, instruction: str = "") -> Encoded:
    """Embed (id, side) items, of which those with the same id are the same.

    Sides are taken from the stream as they are needed, never all at once. Raises RunFailed when the
    embedder answers with something else than one finite unit vector for each side.
    """
    ids: list[str] = []
    parts = [np.empty((0, embedder.dim), dtype=np.float32)]
    stream = _first_of_each(sides)
    while chunk := list(islice(stream, CHUNK)):
        ids += [name for name, _ in chunk]
        parts.append(check_vectors(embedder.embed([side for _, side in chunk], instruction), len(chunk), embedder.dim))
    order = sorted(range(len(ids)), key=ids.__getitem__)
    return Encoded(tuple(ids[row] for row in order), np.concatenate(parts)[order])


def _first_of_each(sides: Iterable[tuple[str, Side]]) -> Iterator[tuple[str, Side]]:
    seen: set[str] = set()
    for name, side in sides:
        if name not in seen:
            seen.add(name)
            yield name, side


def check_vectors(vectors: NDArray[np.float32], count: int, dim: int) -> NDArray[np.float32]:
    """What an embedder answered to `count` sides; raises RunFailed when it is not a finite unit vector for each."""
    if vectors.shape != (count, dim):
        raise RunFailed(f"the embedder answered {count} sides with vectors of shape {vectors.shape}")
    lengths = np.linalg.norm(vectors, axis=1)
    if not np.all(np.abs(lengths - 1) < UNIT_TOLERANCE):  # false for NaN too
        raise RunFailed("the embedder answered with vectors that are not of length one")
    return vectors
