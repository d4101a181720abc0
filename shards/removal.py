"""Takes source videos out of a lake's releases for good: one release without them, and the others withdrawn.

`publish_without` writes the release, `withdraw` deletes the tars that hold the videos from all others, and
`forget_in_indexes`, which comes last, what their indexes tell. Each can be done again after it was cut off.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from infra.errors import UsageError
from infra.faults import writing
from infra.lease import Lease
from infra.released import write_released
from infra.store import Store
from infra.tables import connect
from shards.contact_sheet import NAME as CONTACT_SHEET
from shards.files import Shard
from shards.groups import LABELS
from shards.holdings import Holding
from shards.index import INDEX, ROW_GROUP, write_index
from shards.layout import Layout, PlacedShard, next_number, shard_name
from shards.manifest import Manifest, history, manifest_name, published, read_manifest
from shards.preview.page import NAME as PREVIEW
from shards.publish import Draft, land
from shards.reader import read_samples
from shards.withdrawal import WITHDRAWN, Tombstone, Withdrawal, read_withdrawal
from shards.writer import facts_json, write_tar

RENAMED: Final = pa.schema([("old", pa.string()), ("new", pa.string())])
SCRATCH: Final = "stages/rewritten"  # folder of a lake for shards on their way into a release

_LEFT = """
SELECT i.* REPLACE (
    coalesce(renamed.new, i.shard) AS shard,
    row_number() OVER (PARTITION BY i.shard ORDER BY i.position) - 1 AS position
    {told_of_others}
) FROM read_parquet($index) AS i LEFT JOIN renamed ON i.shard = renamed.old
WHERE i.video_id NOT IN (SELECT unnest($removed::VARCHAR[]))
"""


_GONE = "SELECT pair_id FROM read_parquet($index) WHERE video_id IN (SELECT unnest($removed::VARCHAR[]))"

# Of lists that belong together, what is left when pairs that are gone are no negatives any more.
_NEGATIVES_LEFT = """,
    list_filter(negatives, lambda name: NOT list_contains($gone, name)) AS negatives,
    [z[2] FOR z IN list_zip(negatives, negative_cosines) IF NOT list_contains($gone, z[1])] AS negative_cosines
"""

# A clip's label of which clip it duplicates, unless that one is gone.
_LABEL_LEFT = """,
    CASE WHEN {label} IN (
        SELECT clip_id FROM read_parquet($index) WHERE video_id IN (SELECT unnest($removed::VARCHAR[]))
    ) THEN NULL ELSE {label} END AS {label}
"""


class Rewritten(NamedTuple):
    """What is left of a shard: the shard, its pairs in order, and its name in the lake until it is published."""

    old: str  # the name of the shard it is left of
    shard: Shard
    pairs: PlacedShard
    tar: str


def latest_release(lake: Store) -> Manifest | None:
    """The release of a lake that was published last, of those that are there."""
    names = (manifest_name(release_id) for release_id in reversed(published(lake)))
    return next((read_manifest(lake.location(name)) for name in names if lake.exists(name)), None)


def is_without(release: Manifest, video_ids: Collection[str]) -> bool:
    """Whether a release is without these videos because they were removed."""
    return {stone.video_id for stone in release.tombstones}.issuperset(video_ids)


def check_base(latest: Manifest | None, base: Manifest, holdings: Sequence[Holding]) -> None:
    """Raise UsageError unless videos can be removed from the release `base`: it is the latest, and has others too."""
    if latest is None or latest.release_id != base.release_id:
        where = f"that is {latest.folder}/manifest.json" if latest else "none was published whole"
        raise UsageError(
            f"videos are removed from the latest release of a lake, which is not {base.release_id}: {where}"
        )
    if _touched(base, holdings)[1] == sum(shard.samples for shard in base.shards):
        raise UsageError(f"nothing would be left of release {base.release_id}: delete the lake instead")
    base.index()


def _touched(base: Manifest, holdings: Sequence[Holding]) -> tuple[set[str], int]:
    """The names of the shards of a release that hold something of the videos, and their pairs of them."""
    own = [holding for holding in holdings if holding.release.release_id == base.release_id]
    return {shard.name for holding in own for shard in holding.shards}, sum(h.rows.num_rows for h in own)


def publish_without(
    lake: Store, lease: Lease, base: Manifest, reasons: Mapping[str, str], holdings: Sequence[Holding]
) -> str:
    """Publish what `base` holds but the videos of `reasons`; returns the manifest's name in the lake.

    Only the shards that hold something of them, or name a pair of theirs as a negative, are written anew, from their
    tars.
    """
    gone = {name for holding in holdings for name in holding.rows["pair_id"].to_pylist()}
    touched = _touched(base, holdings)[0] | _shards_naming(lake, base, gone)
    rewritten = list(_rewrite(lake, lease, base, touched, reasons, gone))
    kept = [replace(s, home=s.home or base.release_id) for s in base.shards if s.name not in touched]
    shards = sorted([*kept, *(made.shard for made in rewritten)], key=lambda shard: shard.name)
    draft = Draft(tuple(shards), (*base.tombstones, *_tombstones(reasons, holdings)), base.facts)
    layout, places = Layout(), _places(rewritten)
    with TemporaryDirectory(prefix="uvr-release-") as folder:
        with writing(folder):
            _index_without(lake, base, {made.old: made.shard.name for made in rewritten}, reasons, Path(folder))
        tars = {made.shard.name: made.tar for made in rewritten}
        manifest = land(lake, lease, draft, tars, Path(folder), lambda name: write_released(lake, layout, name, places))
    for name in lake.list(SCRATCH):
        lake.remove(name)
    return manifest


def _shards_naming(lake: Store, base: Manifest, gone: Collection[str]) -> set[str]:
    """The names of the shards of a release in which a pair has one of `gone` as a negative."""
    with connect(lake) as db:
        index = db.read_parquet(base.index())
        if "negatives" not in index.columns:
            return set()
        found = db.execute(
            "SELECT DISTINCT shard FROM read_parquet($index) WHERE list_has_any(negatives, $gone::VARCHAR[])",
            {"index": base.index(), "gone": sorted(gone)},
        )
        return {name for (name,) in found.fetchall()}


def _rewrite(
    lake: Store, lease: Lease, base: Manifest, touched: Collection[str], removed: Collection[str], gone: Collection[str]
) -> Iterator[Rewritten]:
    """What is left of the shards, one at a time in memory; of some it is nothing."""
    numbers = Counter[tuple[str, str]]()  # the next of each split and task that no release has used
    for release in history(lake):
        for shard in release.shards:
            numbers[shard.split, shard.task] = max(numbers[shard.split, shard.task], next_number([shard.name]))
    for old in base.shards:
        if old.name not in touched:
            continue
        left = {
            key: _without_negatives(members, gone)
            for key, members in read_samples(base.path(old))
            if json.loads(members["json"])["video_id"] not in removed
        }
        if not left:
            continue
        name = shard_name(old.split, old.task, numbers[old.split, old.task])
        numbers[old.split, old.task] += 1
        with lake.writer(f"{SCRATCH}/{name}") as file:
            written = write_tar(file, ({"__key__": key, **members} for key, members in left.items()))
            lease.check(lake)
        shard = Shard(name, *written, old.split, old.task, len(left))
        yield Rewritten(old.name, shard, PlacedShard(name, tuple(left)), f"{SCRATCH}/{name}")


def _without_negatives(members: dict[str, bytes], gone: Collection[str]) -> dict[str, bytes]:
    """A sample whose negatives are none of `gone`."""
    facts = json.loads(members["json"])
    named = list(zip(facts.get("negatives", ()), facts.get("negative_cosines", ()), strict=True))
    left = [(name, cosine) for name, cosine in named if name not in gone]
    if left == named:
        return members
    facts |= {"negatives": [name for name, _ in left], "negative_cosines": [cosine for _, cosine in left]}
    return {**members, "json": facts_json(facts)}


def _places(rewritten: Sequence[Rewritten]) -> pa.Table:
    """Where the pairs of rewritten shards lie, as the layout of the next run is told."""
    texts = ("key", "parent", "task")
    schema = pa.schema([*((name, pa.string()) for name in texts), *Layout.schema])
    rows = [row | {"task": made.shard.task} for made in rewritten for row in made.pairs.rows(made.shard.split)]
    return pa.Table.from_pylist(rows, schema)


def _index_without(
    lake: Store, release: Manifest, renamed: Mapping[str, str], removed: Collection[str], folder: Path
) -> None:
    """Write the index of a release without the pairs of some videos into a local folder."""
    with connect(lake) as db:
        db.register("renamed", pa.table({"old": [*renamed], "new": [*renamed.values()]}, RENAMED))
        params: dict[str, Any] = {"index": release.index(), "removed": sorted(removed)}
        columns = db.read_parquet(release.index()).columns
        told_of_others = "".join(_LABEL_LEFT.format(label=label) for label in LABELS if label in columns)
        if "negatives" in columns:
            told_of_others += _NEGATIVES_LEFT
            gone = db.execute(_GONE, params).fetchall()
            params["gone"] = [name for (name,) in gone]
        left = db.sql(_LEFT.format(told_of_others=told_of_others), params=params)
        write_index(left.order("shard, position").to_arrow_reader(ROW_GROUP), folder / INDEX)


def _tombstones(reasons: Mapping[str, str], holdings: Sequence[Holding]) -> Iterator[Tombstone]:
    """What is written down of removed videos: what all releases of the lake held of each."""
    for video_id, reason in sorted(reasons.items()):
        held = [holding.of(video_id) for holding in holdings]
        pairs = {pair_id for holding in held for pair_id in holding.rows["pair_id"].to_pylist()}
        yield Tombstone(video_id, reason, len(pairs), tuple(sorted(set[str]().union(*(h.places for h in held)))))


def withdraw(lake: Store, lease: Lease, holdings: Sequence[Holding], use: Manifest) -> list[str]:
    """Withdraw all releases that hold something of videos that `use` is without; returns their ids.

    First each says so, then the tars that hold them are deleted, with the pictures beside the manifests. What was left
    of releases that were cut off before they were whole is deleted as well.
    """
    reasons = {stone.video_id: stone.reason for stone in use.tombstones}
    for holding in holdings:
        folder = holding.release.folder
        removed = {video_id: reasons[video_id] for video_id in sorted(set(holding.rows["video_id"].to_pylist()))}
        withdrawal = Withdrawal(use.release_id, removed, tuple(sorted(holding.places)))
        lease.check(lake)
        name = f"releases/{holding.release.release_id}/{WITHDRAWN}"
        lake.write(name, withdrawal.with_more(read_withdrawal(folder)).to_bytes())
    names = {f"releases/{place}" for holding in holdings for place in holding.places}
    names |= {f"releases/{h.release.release_id}/{name}" for h in holdings for name in (CONTACT_SHEET, PREVIEW)}
    for name in sorted({*names, *_unfinished(lake)}):
        lease.check(lake)
        with suppress(FileNotFoundError):
            lake.remove(name)
    return [holding.release.release_id for holding in holdings]


def _unfinished(lake: Store) -> Iterator[str]:
    """The files of releases that have no manifest; they are made again when their run goes on."""
    for folder in lake.list("releases"):
        if not folder.endswith(".json") and not lake.exists(f"{folder}/manifest.json"):
            yield from lake.list(folder)


def forget_in_indexes(lake: Store, lease: Lease, holdings: Sequence[Holding]) -> None:
    """Write the indexes of withdrawn releases again without the removed videos, so that none tells of them."""
    for holding in holdings:
        if INDEX in [file.name for file in holding.release.files]:
            with TemporaryDirectory(prefix="uvr-release-") as folder:
                with writing(folder):
                    removed = pc.unique(holding.rows["video_id"]).to_pylist()
                    _index_without(lake, holding.release, {}, removed, Path(folder))
                lease.check(lake)
                lake.put(f"releases/{holding.release.release_id}/{INDEX}", Path(folder, INDEX))
