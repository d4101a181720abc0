"""Where the pairs of a release lie, by their ids: how a sample that another one names is found."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from infra.errors import ReleaseCorrupt
from shards.files import Shard
from shards.index import read_index
from shards.manifest import Manifest
from shards.order import Place


class PairPlaces:
    """The places of the pairs of some shards; some 40 bytes a pair are kept."""

    def __init__(self, manifest: Manifest, shards: Sequence[Shard]) -> None:
        """Reads the release's index; raises ReleaseCorrupt when it is missing, damaged or does not know all pairs."""
        self._shards = sorted(shards, key=lambda shard: shard.name)
        self._ids = np.empty(0, dtype="S1")
        self._at = np.empty((0, 2), dtype=np.int64)  # shard and position
        if shards:
            self._read(manifest.index(), [shard.name for shard in self._shards])

    @property
    def ids(self) -> NDArray[np.bytes_]:
        """The ids [n] of the pairs, ascending."""
        return self._ids

    def find(self, pair_id: str) -> Place | None:
        """Shard and position of a pair; None when it is in none of the shards."""
        row = self.row(pair_id)
        if row is None:
            return None
        shard, position = self._at[row].tolist()
        return self._shards[shard], position

    def row(self, pair_id: str) -> int | None:
        """Where a pair stands among `ids`; None when it is in none of the shards."""
        wanted = np.bytes_(pair_id.encode())
        row = int(np.searchsorted(self._ids, wanted))
        return None if row == len(self._ids) or self._ids[row] != wanted else row

    def rows(self, places: Sequence[Place]) -> NDArray[np.int64]:
        """Where the pairs in some places of these shards stand among `ids`."""
        number = {shard.name: number for number, shard in enumerate(self._shards)}
        wanted = np.array([(number[shard.name], position) for shard, position in places], np.int64).reshape(-1, 2)
        return np.asarray(self._rows[self._starts[wanted[:, 0]] + wanted[:, 1]])

    @cached_property
    def _starts(self) -> NDArray[np.int64]:
        """How many samples the shards before each one hold."""
        return np.cumsum([0, *(shard.samples for shard in self._shards)])

    @cached_property
    def _rows(self) -> NDArray[np.int64]:
        """For every sample of the shards, one shard after the other, where its pair stands among `ids`."""
        rows = np.empty(len(self._at), np.int64)
        rows[self._starts[self._at[:, 0]] + self._at[:, 1]] = np.arange(len(self._at))
        return rows

    def _read(self, index: str, names: Collection[str]) -> None:
        known = pa.array(names)
        ids, places = [self._ids], [self._at]
        for batch in read_index(index, ("shard", "position", "pair_id")):
            shard = pc.index_in(batch["shard"], value_set=known)
            kept = pa.RecordBatch.from_arrays(
                [shard, batch["position"], batch["pair_id"]], ["shard", "position", "pair_id"]
            ).filter(pc.is_valid(shard))
            ids.append(np.array(kept["pair_id"].to_pylist(), dtype=np.bytes_))
            places.append(np.stack([kept[name].to_numpy(zero_copy_only=False) for name in ("shard", "position")], 1))
        joined = np.concatenate(ids)
        if len(joined) != self._starts[-1]:
            raise ReleaseCorrupt(f"{index} knows {len(joined)} of the {self._starts[-1]} pairs of {len(names)} shards")
        order = np.argsort(joined, kind="stable")
        self._ids, self._at = joined[order], np.concatenate(places)[order]
