"""The files a release is made of, and whether they hold what was published."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from infra.errors import ReleaseCorrupt
from infra.store import open_source


@dataclass(frozen=True)
class ReleaseFile:
    """One file of a release."""

    name: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Shard(ReleaseFile):
    """One tar of a release; its bytes lie in the release's own folder or in that of an earlier one."""

    split: str
    task: str
    samples: int
    home: str = ""  # id of the release in whose folder the bytes lie; "": this one

    @property
    def place(self) -> str:
        """Where the tar is, seen from the release's folder."""
        return f"../{self.home}/{self.name}" if self.home else self.name


def shard_path(folder: str, shard: Shard) -> str:
    """Where a shard of the release in `folder` (a path or URL) is; an object store knows no `..`."""
    if not shard.home:
        return f"{folder}/{shard.name}"
    return f"{sibling(folder, shard.home)}/{shard.name}"


def sibling(folder: str, release_id: str) -> str:
    """The folder of another release of the lake, or of whatever holds the release in `folder`."""
    above, slash, own = folder.rpartition("/")
    if own in (".", ".."):
        return f"{folder}/../{release_id}"
    return f"{above}/{release_id}" if slash else release_id


def local_file(path: Path) -> ReleaseFile:
    """The file on the local disk at `path`, under its own name."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return ReleaseFile(path.name, path.stat().st_size, digest)


def count_pairs(shards: Sequence[Shard]) -> dict[str, dict[str, int]]:
    """Pairs by task and split of some shards."""
    counts: dict[str, dict[str, int]] = {}
    for shard in shards:
        by_split = counts.setdefault(shard.task, {})
        by_split[shard.split] = by_split.get(shard.split, 0) + shard.samples
    return counts


def check_bytes(path: str, expected: ReleaseFile) -> None:
    """Read a file whole; raises ReleaseCorrupt naming it when it is missing or holds something else."""
    digest, size = hashlib.sha256(), 0
    try:
        with open_source(path) as file:
            while block := file.read(2**20):
                digest.update(block)
                size += len(block)
    except FileNotFoundError as error:
        raise ReleaseCorrupt(f"{path} is missing") from error
    if size != expected.bytes or digest.hexdigest() != expected.sha256:
        raise ReleaseCorrupt(
            f"{path}: {size} bytes with sha256 {digest.hexdigest()[:12]}…, "
            f"the manifest says {expected.bytes} with {expected.sha256[:12]}…"
        )
