"""Writes shards: WebDataset tars whose bytes depend on nothing but their pairs."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Iterable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import IO, Any, ClassVar, NamedTuple

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


_PIECE = 1 << 20  # bytes copied at once


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

        def pack(group: Row) -> Iterable[Row]:
            columns = [group[name] for name in self.needs]
            members = [dict(zip(self.needs, values, strict=True)) for values in zip(*columns, strict=True)]
            members.sort(key=lambda member: member["position"])
            samples = (sample(member, workspace) for member in members)
            path, written = workspace.save_by(f"{group['key']}.tar", lambda file: write_tar(file, samples))
            first = members[0]
            return [
                {
                    "key": group["key"],
                    "parent": group["key"],
                    "shard_name": first["shard_name"],
                    "split": first["split"],
                    "task": first["task"],
                    "samples": len(members),
                    "tar_path": path,
                    **written._asdict(),
                }
            ]

        return each(pack)


def sample(pair: Row, workspace: Workspace) -> dict[str, Any]:
    """The members of one WebDataset sample; reads the media of the pair's sides."""
    facts = {name: pair[name] for name in FACTS}
    members: dict[str, Any] = {"__key__": pair["pair_id"]}
    members["json"] = facts_json(facts)
    for column, extension in MEDIA.items():
        if pair[column] is not None:
            members[extension] = workspace.read(pair[column])
    return members


def facts_json(facts: Row) -> bytes:
    """The JSON member of a sample."""
    return json.dumps(facts, sort_keys=True, ensure_ascii=False).encode()


class Written(NamedTuple):
    """What was written to a file."""

    bytes: int
    sha256: str


def write_tar(file: IO[bytes], samples: Iterable[dict[str, Any]]) -> Written:
    """Write WebDataset samples (`__key__`, and bytes by extension) as a USTAR archive.

    Its bytes depend on nothing but the samples, and are those that the webdataset package would write.
    """
    with ThreadPoolExecutor(1) as beside:
        through = _Measured(file, beside)
        with (
            io.BufferedWriter(through, _PIECE) as pieces,
            tarfile.TarFile(fileobj=pieces, mode="w", format=tarfile.USTAR_FORMAT, copybufsize=_PIECE) as tar,
        ):
            for members in samples:
                for extension in sorted(members.keys() - {"__key__"}):
                    entry = tarfile.TarInfo(f"{members['__key__']}.{extension}")  # its time and owner are zero
                    entry.size, entry.mode = len(members[extension]), 0o444
                    tar.addfile(entry, io.BytesIO(members[extension]))
    return Written(through.size, through.digest.hexdigest())


class _Measured(io.RawIOBase):
    """Passes on to a file what is written; counts it, and hashes it beside that."""

    def __init__(self, file: IO[bytes], beside: Executor) -> None:
        self.digest = hashlib.sha256()
        self.size = 0
        self._file, self._beside = file, beside
        self._hashed: Future[None] | None = None

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        if self._hashed:
            self._hashed.result()  # no more than one piece waits
        piece = bytes(data)  # what is handed in is overwritten by the next
        self._hashed = self._beside.submit(self.digest.update, piece)
        self.size += len(piece)
        return self._file.write(piece)

    def tell(self) -> int:
        return self.size
