"""Writes shards: WebDataset tars whose bytes depend on nothing but their pairs."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, ClassVar

import pyarrow as pa

from infra.stage import Row, RowStage, Work, Workspace, each

FACTS = (
    "pair_id",
    "task",
    "video_id",
    "clip_id",
    "start_s",
    "end_s",
    "query_id",
    "target_id",
    "query_text",
    "target_text",
    "negatives",
    "negative_cosines",
)
MEDIA = {
    "query_image": "query.jpg",
    "query_video": "query.mp4",
    "target_image": "target.jpg",
    "target_video": "target.mp4",
}


@dataclass(frozen=True)
class Pack(RowStage):
    """Writes one shard: for each pair `<pair_id>.json` and the media its sides have.

    Members of a sample are adjacent, keys are short ASCII without dots, and the header fields that
    would tell when and by whom the tar was written are fixed.
    """

    name: ClassVar[str] = "pack"
    version: ClassVar[int] = 2
    group_by: ClassVar[str] = "shard"
    needs: ClassVar[tuple[str, ...]] = ("shard_name", "split", "position", *FACTS, *MEDIA)
    schema: ClassVar[pa.Schema] = pa.schema(
        [
            ("shard_name", pa.string()),
            ("split", pa.string()),
            ("task", pa.string()),
            ("samples", pa.int64()),
            ("bytes", pa.int64()),
            ("sha256", pa.string()),
            ("tar_path", pa.string()),
        ]
    )
    unit_rows: ClassVar[int] = 2
    deadline_s: ClassVar[float] = 1800.0

    def open(self, workspace: Workspace) -> Work:
        """The function that writes the tar of one group of pairs."""
        import webdataset  # noqa: F401 - brings torch along: seconds of the worker's start, not of its first shard

        def pack(group: Row) -> Iterable[Row]:
            columns = [group[name] for name in self.needs]
            members = [dict(zip(self.needs, values, strict=True)) for values in zip(*columns, strict=True)]
            members.sort(key=lambda member: member["position"])
            data = tar_bytes(sample(member, workspace) for member in members)
            with ThreadPoolExecutor(1) as beside:  # hashing takes as long as a fast disk does
                digest = beside.submit(hashlib.sha256, data)
                path = workspace.save(f"{group['key']}.tar", data)
            first = members[0]
            return [
                {
                    "key": group["key"],
                    "parent": group["key"],
                    "shard_name": first["shard_name"],
                    "split": first["split"],
                    "task": first["task"],
                    "samples": len(members),
                    "bytes": len(data),
                    "sha256": digest.result().hexdigest(),
                    "tar_path": path,
                }
            ]

        return each(pack)


def sample(pair: Row, workspace: Workspace) -> dict[str, Any]:
    """The members of one WebDataset sample; reads the media of the pair's sides."""
    facts = {name: pair[name] for name in FACTS}
    members: dict[str, Any] = {"__key__": pair["pair_id"]}
    members["json"] = json.dumps(facts, sort_keys=True, ensure_ascii=False).encode()
    for column, extension in MEDIA.items():
        if pair[column] is not None:
            members[extension] = workspace.read(pair[column])
    return members


def tar_bytes(samples: Iterable[dict[str, Any]]) -> bytes:
    """A USTAR archive of the samples, byte for byte the same for the same samples."""
    import webdataset  # brings torch along, which only the workers that write need

    sink = io.BytesIO()
    with webdataset.TarWriter(sink, encoder=False, mtime=0, user="", group="", format=tarfile.USTAR_FORMAT) as writer:
        for members in samples:
            writer.write(members)
    return sink.getvalue()
