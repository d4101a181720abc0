"""Reads a release: its manifest and the pairs in its shards."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterable, Iterator
from typing import Any

from infra.errors import ReleaseCorrupt
from infra.store import open_source
from shards.records import Pair, Side

# What each task's sides are made of, as member extensions of a sample (T is in the JSON).
SIDES = {
    "T2T": (("text",), ("text",)),
    "T2I": (("text",), ("image",)),
    "T2V": (("text",), ("video",)),
    "TI2V": (("text", "image"), ("video",)),
    "TV2V": (("text", "video"), ("video",)),
    "I2V": (("image",), ("video",)),
    "V2V": (("video",), ("video",)),
}
EXTENSIONS = {"image": "jpg", "video": "mp4"}
MEMBERS = frozenset({"json", "query.jpg", "query.mp4", "target.jpg", "target.mp4"})  # all that a sample may hold


def read_pairs(paths: Iterable[str]) -> Iterator[Pair]:
    """The pairs of some shards, in the order they were written.

    Raises ReleaseCorrupt when a tar is damaged, holds a member that no release has (a link, a path that leads
    elsewhere, anything but JSON, JPEG and MP4), or a sample lacks what its task needs.
    """
    for path in paths:
        for key, members in read_samples(path):
            yield parse_pair(members, f"{path}: sample {key}")


def parse_pair(members: dict[str, bytes], where: str) -> Pair:
    """One sample's members (extension -> bytes) as a Pair; raises ReleaseCorrupt naming `where`."""
    if "json" not in members:
        raise ReleaseCorrupt(f"{where} has no json member")
    try:
        facts = json.loads(members["json"])
        query_parts, target_parts = SIDES[facts["task"]]
        return Pair(
            pair_id=facts["pair_id"],
            task=facts["task"],
            video_id=facts["video_id"],
            query_id=facts["query_id"],
            target_id=facts["target_id"],
            query=_side("query", query_parts, facts, members, where),
            target=_side("target", target_parts, facts, members, where),
            negatives=tuple(facts.get("negatives", ())),  # releases from before there were any do not name them
        )
    except (ValueError, KeyError, TypeError) as error:
        raise ReleaseCorrupt(f"{where} has a json member that does not describe a pair: {error!r}") from error


def _side(role: str, parts: tuple[str, ...], facts: dict[str, Any], members: dict[str, bytes], where: str) -> Side:
    found: dict[str, Any] = {}
    for part in parts:
        value = facts[f"{role}_text"] if part == "text" else members.get(f"{role}.{EXTENSIONS[part]}")
        if not value:
            raise ReleaseCorrupt(f"{where} has no {role} {part}, which {facts['task']} needs")
        found[part] = value
    return Side(**found)


def name_parts(name: str, is_file: bool, path: str) -> tuple[str, str]:
    """Key and extension of a member; raises ReleaseCorrupt for one that other tools might follow or execute."""
    stem, _, extension = name.partition(".")
    if not is_file:
        raise ReleaseCorrupt(f"{path}: member {name!r} is a link, a folder or a device; a shard holds plain files only")
    if not stem or "/" in name or "\\" in name:
        raise ReleaseCorrupt(f"{path}: member {name!r} is no plain file name; do not unpack this tar")
    if extension not in MEMBERS:
        raise ReleaseCorrupt(f"{path}: member {name!r} is none of .{', .'.join(sorted(MEMBERS))}")
    return stem, extension


def read_samples(path: str) -> Iterator[tuple[str, dict[str, bytes]]]:
    """Key and members of each sample; a key ends at the first dot, as in webdataset."""
    key, members = "", dict[str, bytes]()
    try:
        with open_source(path) as file, tarfile.open(fileobj=file, mode="r|") as tar:
            for entry in tar:
                stem, extension = name_parts(entry.name, entry.isfile(), path)
                if stem != key and members:
                    yield key, members
                    members = {}
                key = stem
                data = tar.extractfile(entry)
                members[extension] = data.read() if data else b""
    except tarfile.TarError as error:
        raise ReleaseCorrupt(f"{path} is not a readable tar: {error}") from error
    if members:
        yield key, members
