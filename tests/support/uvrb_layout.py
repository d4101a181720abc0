"""Datasets of UVRB written in the public layout, with media that only begin like media: nothing here decodes them."""

import json
import shutil
import tarfile
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from eval.uvrb.datasets import named

VIDEO = b"\x00\x00\x00\x18ftypisom" + bytes(300)
JPEG = b"\xff\xd8\xff\xe0" + bytes(300)
TABLES = ("queries", "corpus", "instances")


def write_dataset(root: Path, name: str, size: int = 3) -> Path:
    """A dataset of `size` queries and videos, each with media of its own; query i is answered by video i."""
    folder = root / name
    (dataset,) = named([name])
    queries, corpus, instances = [], [], []
    for number in range(size):
        sides = {"T": ("text", f"text {number}"), "I": ("image", f"q{number}.jpg"), "V": ("video", f"q{number}.mp4")}
        queries.append({"id": f"q{number}", **dict(sides[letter] for letter in dataset.query)})
        corpus.append({"id": f"v{number}", "video": f"videos/clip{number}.mp4"})
        instances.append({"qid": f"q{number}", "pos": [f"v{number}"]})
        if dataset.candidates:
            instances[-1]["neg"] = [f"v{other}" for other in range(size) if other != number]
        write(folder / f"videos/clip{number}.mp4", VIDEO + b"%d" % number)
        if "I" in dataset.query:
            write(folder / f"images/q{number}.jpg", JPEG + b"%d" % number)
        if "V" in dataset.query:
            write(folder / f"videos/q{number}.mp4", VIDEO + b"query %d" % number)
    for table, rows in zip(TABLES, (queries, corpus, instances), strict=True):
        write_rows(folder, table, rows)
    return folder


def write_rows(folder: Path, table: str, rows: Iterable[Mapping[str, Any]]) -> None:
    """One table of a dataset."""
    write(folder / f"jsonl/{table}.jsonl", "".join(json.dumps(row) + "\n" for row in rows).encode())


def rows_of(folder: Path, table: str) -> list[dict[str, Any]]:
    """The rows of one table of a dataset."""
    return [json.loads(line) for line in (folder / f"jsonl/{table}.jsonl").read_text().splitlines()]


def write(path: Path, data: bytes) -> None:
    """A file, and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def as_zip(folder: Path, method: int = zipfile.ZIP_STORED, within: str = "") -> Path:
    """A folder as the archive beside it that stands in for it; the folder is deleted."""
    path = folder.with_name(folder.name + ".zip")
    with zipfile.ZipFile(path, "w", method) as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, within + file.relative_to(folder).as_posix())
    shutil.rmtree(folder)
    return path


def as_tar(folder: Path, within: str = "") -> Path:
    """As `as_zip`."""
    path = folder.with_name(folder.name + ".tar")
    with tarfile.open(path, "w") as archive:
        archive.add(folder, within or ".")
    shutil.rmtree(folder)
    return path
