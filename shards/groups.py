"""Groups of clips that are the same: what the filters' labels connect, however many steps it takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

LABELS: Final = ("near_duplicate_of", "same_text_as")  # columns that name another clip; null or "" where there is none


def codes(column: pa.ChunkedArray) -> NDArray[np.int64]:
    """A number for each value [rows], the same for equal ones, from 0; -1 for null."""
    indices = column.combine_chunks().dictionary_encode().indices
    return np.asarray(pc.fill_null(indices, -1).to_numpy(zero_copy_only=False).astype(np.int64))


def duplicate_groups(clips: pa.ChunkedArray, labels: Sequence[pa.ChunkedArray]) -> NDArray[np.int64]:
    """The group [rows] of each row's clip: a connected component of all that `labels` of any row say is the same.

    A label may name a clip that no row is about; two clips that name it are of one group.
    """
    named = [pc.if_else(pc.equal(label, ""), pa.scalar(None, pa.string()), label) for label in labels]
    numbers = codes(pa.chunked_array([chunk for column in (clips, *named) for chunk in column.chunks], pa.string()))
    own, *others = np.split(numbers, len(labels) + 1)
    links = np.concatenate([np.stack([own, other], axis=1)[other >= 0] for other in others])
    root = list(range(int(numbers.max(initial=-1)) + 1))
    for one, other in np.unique(links, axis=0).tolist():
        a, b = _root(root, one), _root(root, other)
        root[max(a, b)] = min(a, b)
    return np.array([_root(root, clip) for clip in range(len(root))], np.int64)[own]


def _root(root: list[int], clip: int) -> int:
    """The clip that stands for the group of `clip`; the way to it is shortened."""
    while root[clip] != clip:
        root[clip] = root[root[clip]]
        clip = root[clip]
    return clip
