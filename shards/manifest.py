"""A release: shards and the manifest that is written last and makes them one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from infra.errors import ReleaseCorrupt, UsageError
from infra.lease import Lease
from infra.stage import Row
from infra.store import Store, open_source, read_source
from shards.reader import read_pairs

FORMAT = "uvr-release/1"
PUBLISHED = "published"  # folder of a lake; one file for each release, named in their order


@dataclass(frozen=True)
class Shard:
    """One tar of a release."""

    name: str
    split: str
    task: str
    samples: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """What a release is: read with `load_manifest`, written by `publish`."""

    folder: str
    release_id: str
    shards: tuple[Shard, ...]
    facts: dict[str, Any]  # recipe, fingerprints, funnel, shortage

    def path(self, shard: Shard) -> str:
        """Where the shard's tar is."""
        return f"{self.folder}/{shard.name}"

    def pairs(self) -> dict[str, dict[str, int]]:
        """Pairs by task and split."""
        return count_pairs(self.shards)


def count_pairs(shards: Sequence[Shard]) -> dict[str, dict[str, int]]:
    """Pairs by task and split of some shards."""
    counts: dict[str, dict[str, int]] = {}
    for shard in shards:
        by_split = counts.setdefault(shard.task, {})
        by_split[shard.split] = by_split.get(shard.split, 0) + shard.samples
    return counts


def publish(
    store: Store,
    lease: Lease,
    packed: Sequence[Row],
    facts: dict[str, Any],
    before: Callable[[str], None] = lambda release_id: None,
) -> str:
    """Publish packed shards as one release; returns the manifest's name in the lake.

    The release's id is a hash of what it holds, so publishing the same release again changes nothing.
    `before` is called with the id of a release that is new when all of it but the manifest is there.
    """
    if not packed:
        raise UsageError("there is nothing to release: no pair was made")
    shards = sorted(
        (
            Shard(**{k: row[k] for k in Shard.__dataclass_fields__ if k != "name"}, name=row["shard_name"])
            for row in packed
        ),
        key=lambda shard: shard.name,
    )
    body = {"format": FORMAT, "pairs": count_pairs(shards), "shards": [asdict(s) for s in shards], **facts}
    release_id = hashlib.sha256(_dump(body)).hexdigest()[:12]
    folder = f"releases/{release_id}"
    if not store.exists(f"{folder}/manifest.json"):
        for row in packed:
            store.share(row["tar_path"], f"{folder}/{row['shard_name']}")
        verify_shards(store.url + "/" + folder, shards)
        before(release_id)
        lease.check(store)
        store.write(f"{folder}/manifest.json", _dump({"release_id": release_id, **body}))
    if release_id not in published(store):
        store.create(f"{PUBLISHED}/{lease.number:08d}-{release_id}.json", _dump({"release_id": release_id}))
    return f"{folder}/manifest.json"


def published(store: Store) -> list[str]:
    """Ids of a lake's releases in the order they were first published (by the number of the run's lease)."""
    names = store.list(PUBLISHED, ".json")
    return [name.removesuffix(".json").rsplit("-", 1)[-1] for name in names]


def _dump(body: dict[str, Any]) -> bytes:
    return json.dumps(body, sort_keys=True, indent=1, ensure_ascii=False).encode() + b"\n"


def load_manifest(path: str) -> Manifest:
    """Read a manifest; raises UsageError when `path` is not one."""
    try:
        body = json.loads(read_source(path))
    except FileNotFoundError as error:
        raise UsageError(f"no release manifest at {path}") from error
    except (IsADirectoryError, ValueError) as error:
        raise UsageError(f"{path} is not a release manifest (expected a manifest.json)") from error
    if not isinstance(body, dict) or body.get("format") != FORMAT:
        raise UsageError(f"{path} is not a release manifest of format {FORMAT}")
    shards = tuple(Shard(**shard) for shard in body.pop("shards"))
    return Manifest(path.rsplit("/", 1)[0] if "/" in path else ".", body.pop("release_id"), shards, body)


def verify(path: str) -> Manifest:
    """Re-read every byte of a release; raises ReleaseCorrupt naming the first shard that differs."""
    manifest = load_manifest(path)
    verify_shards(manifest.folder, manifest.shards)
    body = {**manifest.facts, "shards": [asdict(shard) for shard in manifest.shards]}
    if hashlib.sha256(_dump(body)).hexdigest()[:12] != manifest.release_id:
        raise ReleaseCorrupt(f"{path}: its content does not match its release id {manifest.release_id}")
    return manifest


def verify_shards(folder: str, shards: Sequence[Shard]) -> None:
    """Check size, checksum and every sample of the shards in `folder`; raises ReleaseCorrupt."""
    seen: set[str] = set()
    for shard in shards:
        path = f"{folder}/{shard.name}"
        _verify_bytes(path, shard)
        ids = [pair.pair_id for pair in read_pairs([path])]
        if len(ids) != shard.samples:
            raise ReleaseCorrupt(f"{path} holds {len(ids)} samples, the manifest says {shard.samples}")
        if twice := seen.intersection(ids) or len(ids) != len(set(ids)):
            raise ReleaseCorrupt(f"{path}: pairs appear twice: {twice}")
        seen.update(ids)


def _verify_bytes(path: str, shard: Shard) -> None:
    digest, size = hashlib.sha256(), 0
    try:
        with open_source(path) as file:
            while block := file.read(2**20):
                digest.update(block)
                size += len(block)
    except FileNotFoundError as error:
        raise ReleaseCorrupt(f"{path} is missing") from error
    if size != shard.bytes or digest.hexdigest() != shard.sha256:
        raise ReleaseCorrupt(
            f"{path}: {size} bytes with sha256 {digest.hexdigest()[:12]}…, "
            f"the manifest says {shard.bytes} with {shard.sha256[:12]}…"
        )
