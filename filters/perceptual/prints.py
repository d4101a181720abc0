"""The prints of many clips as columns, without copying what Arrow holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from infra.media.fingerprint import PRINT_BYTES


@dataclass(frozen=True)
class Prints:
    """Prints of clips 0..n - 1, one after the other: clip c has prints starts[c] up to starts[c + 1]."""

    blocks: tuple[NDArray[np.uint8], ...]  # [prints, PRINT_BYTES] each
    starts: NDArray[np.int64]  # [clips + 1]

    @classmethod
    def of(cls, columns: Sequence[pa.ChunkedArray]) -> Prints:
        """The prints of the rows of several binary columns, in order."""
        chunks = [chunk for column in columns for chunk in column.chunks]
        lengths = [np.zeros(0, np.int64), *(np.diff(_offsets(chunk)) // PRINT_BYTES for chunk in chunks)]
        starts = np.concatenate([[0], np.cumsum(np.concatenate(lengths))])
        return cls(tuple(_cells(chunk) for chunk in chunks if len(chunk)), starts.astype(np.int64))

    def __len__(self) -> int:
        """The number of clips."""
        return len(self.starts) - 1

    @property
    def count(self) -> int:
        """The number of prints."""
        return int(self.starts[-1])

    @cached_property
    def _edges(self) -> NDArray[np.int64]:
        return np.cumsum([0, *(len(block) for block in self.blocks)])

    def clip(self, clip: int) -> NDArray[np.uint8]:
        """The prints of one clip: [prints, PRINT_BYTES]."""
        first, last = int(self.starts[clip]), int(self.starts[clip + 1])
        block = int(np.searchsorted(self._edges, first, side="right")) - 1
        if first == last or block >= len(self.blocks):
            return np.zeros((0, PRINT_BYTES), np.uint8)
        return self.blocks[block][first - self._edges[block] : last - self._edges[block]]

    def take(self, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        """The prints at `indices`: [indices, PRINT_BYTES]."""
        taken = np.empty((len(indices), PRINT_BYTES), np.uint8)
        block = np.searchsorted(self._edges, indices, side="right") - 1
        order = np.argsort(block.astype(np.uint16), kind="stable")  # a radix sort: linear, whatever the blocks
        ends = np.searchsorted(block, np.arange(len(self.blocks) + 1), sorter=order)
        for b, (first, last) in enumerate(pairwise(ends)):
            here = order[first:last]
            taken[here] = self.blocks[b][indices[here] - self._edges[b]]
        return taken

    def clip_of(self) -> NDArray[np.uint32]:
        """For every print, the clip it belongs to."""
        return np.repeat(np.arange(len(self), dtype=np.uint32), np.diff(self.starts))


def _offsets(chunk: pa.Array) -> NDArray[np.int64]:
    wide = pa.types.is_large_binary(chunk.type)
    offsets = np.frombuffer(chunk.buffers()[1], np.int64 if wide else np.int32)
    return offsets[chunk.offset : chunk.offset + len(chunk) + 1].astype(np.int64)


def _cells(chunk: pa.Array) -> NDArray[np.uint8]:
    offsets, data = _offsets(chunk), chunk.buffers()[2]
    if data is None:
        return np.zeros((0, PRINT_BYTES), np.uint8)
    return np.frombuffer(data, np.uint8)[offsets[0] : offsets[-1]].reshape(-1, PRINT_BYTES)
