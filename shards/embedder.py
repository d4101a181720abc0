"""What evaluation and filters ask of a model, whoever provides it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from shards.records import Side


class Embedder(Protocol):
    """Turns sides of pairs into unit vectors; a side alone or in any batch gives the same vector."""

    @property
    def dim(self) -> int:
        """Length of one embedding."""
        ...

    def embed(self, sides: Sequence[Side], instruction: str = "") -> NDArray[np.float32]:
        """Embeddings of `sides`, shape [len(sides), dim], float32, L2-normalised.

        `instruction` belongs to queries only; targets are embedded with the empty one.
        """
        ...
