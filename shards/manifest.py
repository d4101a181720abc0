"""A release: shards, what describes them, and the manifest that is written last and makes them one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa

from infra.errors import ReleaseCorrupt, UsageError
from infra.faults import writing
from infra.lease import Lease
from infra.stage import Row
from infra.store import Store, read_source
from shards.card import CARD, card, licence_id
from shards.croissant import CROISSANT, croissant
from shards.files import ReleaseFile, Shard, check_bytes, count_pairs, local_file
from shards.index import INDEX, check_index, count_licences, write_index
from shards.negatives import check_negatives
from shards.reader import read_pairs

FORMAT = "uvr-release/1"
MANIFEST = "manifest.json"
PUBLISHED = "published"  # folder of a lake; one file for each release, named in their order


@dataclass(frozen=True)
class Manifest:
    """What a release is: read with `load_manifest`, written by `publish`."""

    folder: str
    release_id: str
    shards: tuple[Shard, ...]
    files: tuple[ReleaseFile, ...]  # the others: index, card, metadata; none in releases from before there were
    facts: dict[str, Any]  # recipe, fingerprints, funnel, shortage

    def path(self, shard: Shard) -> str:
        """Where the shard's tar is."""
        return f"{self.folder}/{shard.name}"

    def index(self) -> str:
        """Where the index is; raises UsageError when the release is from before releases had one."""
        if INDEX not in [file.name for file in self.files]:
            raise UsageError(f"release {self.release_id} has no {INDEX}: `uvr run` on its lake makes one that has")
        return f"{self.folder}/{INDEX}"

    def pairs(self) -> dict[str, dict[str, int]]:
        """Pairs by task and split."""
        return count_pairs(self.shards)


def publish(
    store: Store,
    lease: Lease,
    packed: Sequence[Row],
    index: pa.RecordBatchReader,
    facts: dict[str, Any],
    before: Callable[[str], None] = lambda release_id: None,
) -> str:
    """Publish packed shards and their index as one release; returns the manifest's name in the lake.

    The release's id is a hash of what it holds, so publishing the same release again changes nothing.
    Card and metadata are among what it holds, so neither of them can tell the id.
    `before` is called with the id of a release that is new when all of it but the manifest is there.
    """
    if not packed:
        raise UsageError("there is nothing to release: no pair was made")
    shards = sorted((_shard(row) for row in packed), key=lambda shard: shard.name)
    with TemporaryDirectory(prefix="uvr-release-") as folder:
        with writing(folder):
            files = _write_companions(Path(folder), shards, index, facts)
        body = {
            "format": FORMAT,
            "pairs": count_pairs(shards),
            "shards": [asdict(shard) for shard in shards],
            "files": [asdict(file) for file in files],
            **facts,
        }
        release_id = _content_id(body)
        release = f"releases/{release_id}"
        if not store.exists(f"{release}/{MANIFEST}"):
            for row in packed:
                store.share(row["tar_path"], f"{release}/{row['shard_name']}")
            for file in files:
                store.put(f"{release}/{file.name}", Path(folder, file.name))
            verify_files(store.url + "/" + release, shards, files)
            before(release_id)
            lease.check(store)
            store.write(f"{release}/{MANIFEST}", _dump({"release_id": release_id, **body}))
    if release_id not in published(store):
        store.create(f"{PUBLISHED}/{lease.number:08d}-{release_id}.json", _dump({"release_id": release_id}))
    return f"{release}/{MANIFEST}"


def _shard(row: Row) -> Shard:
    known = {field.name: row[field.name] for field in fields(Shard) if field.name != "name"}
    return Shard(name=row["shard_name"], **known)


def _write_companions(
    folder: Path, shards: Sequence[Shard], index: pa.RecordBatchReader, facts: dict[str, Any]
) -> list[ReleaseFile]:
    """Write what stands beside the shards into a local folder: index, card and Croissant metadata."""
    columns = write_index(index, folder / INDEX)
    licences = count_licences(folder / INDEX)
    (folder / CARD).write_bytes(card(shards, facts, licences, columns))
    metadata = croissant(licence_id(licences), shards, local_file(folder / INDEX), columns)
    (folder / CROISSANT).write_bytes(metadata)
    return [local_file(folder / name) for name in sorted((CARD, CROISSANT, INDEX))]


def published(store: Store) -> list[str]:
    """Ids of a lake's releases in the order they were first published (by the number of the run's lease)."""
    names = store.list(PUBLISHED, ".json")
    return [name.removesuffix(".json").rsplit("-", 1)[-1] for name in names]


def manifests(store: Store) -> list[str]:
    """Where the manifests of a lake's releases are, by id; a release that is not whole yet has none."""
    names = [f"{name}/{MANIFEST}" for name in store.list("releases")]
    return [store.location(name) for name in names if store.exists(name)]


def _dump(body: dict[str, Any]) -> bytes:
    return json.dumps(body, sort_keys=True, indent=1, ensure_ascii=False).encode() + b"\n"


def _content_id(body: dict[str, Any]) -> str:
    """The id of a release from its manifest without the id."""
    return hashlib.sha256(_dump(body)).hexdigest()[:12]


def load_manifest(path: str) -> Manifest:
    """Read a manifest; raises UsageError when `path` is not one, ReleaseCorrupt when it is a damaged one."""
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
        if body["format"] != FORMAT:
            raise ValueError(f"its format is not {FORMAT}")
        shards = tuple(Shard(**shard) for shard in body.pop("shards"))
        files = tuple(ReleaseFile(**file) for file in body.pop("files", ()))
        release_id = body.pop("release_id")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        if PurePosixPath(path).name == MANIFEST:
            raise ReleaseCorrupt(f"{path} is damaged, or no release manifest: {error!r}") from error
        raise UsageError(f"{path} is not a release manifest (expected a {MANIFEST}): {error!r}") from error
    return Manifest(path.rsplit("/", 1)[0] if "/" in path else ".", release_id, shards, files, body)


def verify(path: str) -> Manifest:
    """Re-read every byte of a release; raises ReleaseCorrupt naming the first file that differs.

    What is not the release's own is not looked at: verdicts and pictures that were put beside it later.
    """
    data = _read(path)
    manifest = _parse(data, path)
    body = json.loads(data)
    release_id = body.pop("release_id")
    if _dump({"release_id": release_id, **body}) != data or _content_id(body) != release_id:
        raise ReleaseCorrupt(f"{path}: its content hashes to {_content_id(body)}, its release id is {release_id}")
    verify_files(manifest.folder, manifest.shards, manifest.files)
    return manifest


def verify_files(folder: str, shards: Sequence[Shard], files: Sequence[ReleaseFile]) -> None:
    """Check size and checksum of every file in `folder`, every sample, and the index; raises ReleaseCorrupt."""
    pairs = verify_shards(folder, shards)
    for file in files:
        check_bytes(f"{folder}/{file.name}", file)
    if INDEX in [file.name for file in files]:
        check_index(f"{folder}/{INDEX}", pairs)


def verify_shards(folder: str, shards: Sequence[Shard]) -> dict[str, list[str]]:
    """Check size, checksum and every sample of the shards in `folder`; returns each one's pair ids in order.

    Raises ReleaseCorrupt.
    """
    seen: set[str] = set()
    held: dict[str, list[str]] = {}
    named: dict[str, list[str]] = {}
    for shard in shards:
        path = f"{folder}/{shard.name}"
        check_bytes(path, shard)
        ids = []
        for pair in read_pairs([path]):
            ids.append(pair.pair_id)
            named.setdefault(shard.name, []).extend(pair.negatives)
        if len(ids) != shard.samples:
            raise ReleaseCorrupt(f"{path} holds {len(ids)} samples, the manifest says {shard.samples}")
        if twice := seen.intersection(ids) or len(ids) != len(set(ids)):
            raise ReleaseCorrupt(f"{path}: pairs appear twice: {twice}")
        seen.update(ids)
        held[shard.name] = ids
    check_negatives(folder, shards, held, named)
    return held
