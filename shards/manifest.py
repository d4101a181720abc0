"""A release's manifest: what it holds, where that lies, and whether it is still as it was published."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from infra.errors import ReleaseCorrupt, UsageError
from infra.store import Store, read_source
from shards.files import ReleaseFile, Shard, check_bytes, count_pairs, shard_path
from shards.index import INDEX, check_index
from shards.reader import read_pairs
from shards.withdrawal import Tombstone, refuse_withdrawn

FORMAT = "uvr-release/2"
FORMATS = ("uvr-release/1", FORMAT)  # of the first, all shards lie in the release's own folder
MANIFEST = "manifest.json"
PUBLISHED = "published"  # folder of a lake; one file for each release, named in their order


@dataclass(frozen=True)
class Manifest:
    """What a release is: read with `load_manifest`, written by `shards.publish`."""

    folder: str
    release_id: str
    shards: tuple[Shard, ...]
    files: tuple[ReleaseFile, ...]  # the others: index, card, metadata; none in releases from before there were
    facts: dict[str, Any]  # recipe, fingerprints, funnel, shortage
    parents: tuple[str, ...] = ()  # ids of the releases in whose folders some of the shards lie
    tombstones: tuple[Tombstone, ...] = ()  # source videos that were removed from the lake so far

    def path(self, shard: Shard) -> str:
        """Where the shard's tar is."""
        return shard_path(self.folder, shard)

    def index(self) -> str:
        """Where the index is; raises UsageError when the release is from before releases had one."""
        if INDEX not in [file.name for file in self.files]:
            raise UsageError(f"release {self.release_id} has no {INDEX}: `uvr run` on its lake makes one that has")
        return f"{self.folder}/{INDEX}"

    def pairs(self) -> dict[str, dict[str, int]]:
        """Pairs by task and split."""
        return count_pairs(self.shards)


def published(store: Store) -> list[str]:
    """Ids of a lake's releases in the order they were first published (by the number of the run's lease)."""
    names = store.list(PUBLISHED, ".json")
    return [name.removesuffix(".json").rsplit("-", 1)[-1] for name in names]


def manifests(store: Store) -> list[str]:
    """Where the manifests of a lake's releases are, by id; a release that is not whole yet has none."""
    names = [f"{name}/{MANIFEST}" for name in store.list("releases")]
    return [store.location(name) for name in names if store.exists(name)]


def history(store: Store) -> Iterator[Manifest]:
    """A lake's published releases in their order, withdrawn ones among them, one at a time; deleted ones are not."""
    for release_id in published(store):
        if store.exists(name := manifest_name(release_id)):
            yield read_manifest(store.location(name))


def manifest_name(release_id: str) -> str:
    """The name of a release's manifest in its lake."""
    return f"releases/{release_id}/{MANIFEST}"


def lake_of(release: Manifest) -> Store:
    """The lake that a release stands in; raises UsageError when it stands elsewhere."""
    lake, _, place = Store(release.folder).url.rpartition("/releases/")
    if not lake or place != release.release_id:
        raise UsageError(f"{release.folder} is not LAKE/releases/{release.release_id}, so it has no lake")
    return Store(lake)


def dump(body: dict[str, Any]) -> bytes:
    """A manifest, or what is written beside it, as bytes."""
    return json.dumps(body, sort_keys=True, indent=1, ensure_ascii=False).encode() + b"\n"


def content_id(body: dict[str, Any]) -> str:
    """The id of a release from its manifest without the id."""
    return hashlib.sha256(dump(body)).hexdigest()[:12]


def load_manifest(path: str) -> Manifest:
    """Read a manifest of a release that may be used.

    Raises UsageError when `path` is not one, ReleaseWithdrawn, ReleaseCorrupt when it is a damaged one.
    """
    manifest = read_manifest(path)
    refuse_withdrawn(manifest.folder, manifest.release_id)
    return manifest


def read_manifest(path: str) -> Manifest:
    """Read a manifest, of a withdrawn release too; raises UsageError and ReleaseCorrupt as `load_manifest` does."""
    return _parse(_read(path), path)


def _read(path: str) -> bytes:
    try:
        return read_source(path)
    except FileNotFoundError as error:
        raise UsageError(f"no release manifest at {path}") from error
    except IsADirectoryError as error:
        raise UsageError(f"{path} is a folder, not a release manifest (expected a {MANIFEST})") from error


def _parse(data: bytes, path: str) -> Manifest:
    try:
        body = json.loads(data)
        if body.pop("format") not in FORMATS:
            raise ValueError(f"its format is none of {', '.join(FORMATS)}")
        shards = tuple(Shard(**shard) for shard in body.pop("shards"))
        files = tuple(ReleaseFile(**file) for file in body.pop("files", ()))
        tombstones = tuple(
            Tombstone(**{**entry, "shards": tuple(entry["shards"])}) for entry in body.pop("tombstones", ())
        )
        parents = tuple(body.pop("parents", ()))
        release_id = body.pop("release_id")
        body.pop("pairs", None)  # counted from the shards
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        if PurePosixPath(path).name == MANIFEST:
            raise ReleaseCorrupt(f"{path} is damaged, or no release manifest: {error!r}") from error
        raise UsageError(f"{path} is not a release manifest (expected a {MANIFEST}): {error!r}") from error
    folder = path.rsplit("/", 1)[0] if "/" in path else "."
    return Manifest(folder, release_id, shards, files, body, parents, tombstones)


def verify(path: str) -> Manifest:
    """Re-read every byte of a release; raises ReleaseCorrupt naming the first file that differs, ReleaseWithdrawn.

    What is not the release's own is not looked at: verdicts and pictures that were put beside it later.
    """
    data = _read(path)
    manifest = _parse(data, path)
    refuse_withdrawn(manifest.folder, manifest.release_id)
    body = json.loads(data)
    release_id = body.pop("release_id")
    if dump({"release_id": release_id, **body}) != data or content_id(body) != release_id:
        raise ReleaseCorrupt(f"{path}: its content hashes to {content_id(body)}, its release id is {release_id}")
    pairs = verify_shards(manifest.folder, manifest.shards)
    for file in manifest.files:
        check_bytes(f"{manifest.folder}/{file.name}", file)
    if INDEX in [file.name for file in manifest.files]:
        check_index(f"{manifest.folder}/{INDEX}", pairs)
    return manifest


def verify_shards(folder: str, shards: Sequence[Shard]) -> dict[str, list[str]]:
    """Check size, checksum and every sample of shards of the release in `folder`; returns each one's pair ids in order.

    Raises ReleaseCorrupt.
    """
    seen: set[str] = set()
    held: dict[str, list[str]] = {}
    for shard in shards:
        path = shard_path(folder, shard)
        check_bytes(path, shard)
        ids = [pair.pair_id for pair in read_pairs([path])]
        if len(ids) != shard.samples:
            raise ReleaseCorrupt(f"{path} holds {len(ids)} samples, the manifest says {shard.samples}")
        if twice := seen.intersection(ids) or len(ids) != len(set(ids)):
            raise ReleaseCorrupt(f"{path}: pairs appear twice: {twice}")
        seen.update(ids)
        held[shard.name] = ids
    return held
