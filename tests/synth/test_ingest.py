"""Listing inputs: folders, globs, manifests; every entry is accounted for."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from late_server import Server

from infra.errors import UsageError
from infra.stage import Drop, Fault
from synth.ingest import list_sources


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a.mp4", "deep/er/b.WEBM", "notes.txt", "[c] d.mkv"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return tmp_path


def names(videos: str) -> list[str]:
    return sorted(Path(row["source"]).name for row in list_sources(videos) if isinstance(row, dict))


def test_folder_glob_and_file(folder: Path) -> None:
    assert names(str(folder)) == ["[c] d.mkv", "a.mp4", "b.WEBM"]
    assert names(f"{folder}/*.mp4") == ["a.mp4"]
    assert names(f"{folder}/[c] d.mkv") == ["[c] d.mkv"]


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_manifests(folder: Path, kind: str) -> None:
    entries = [
        {"path": "a.mp4", "caption": "a cat"},
        {"path": "missing.mp4", "caption": ""},
        {"path": str(folder / "deep/er/b.WEBM"), "caption": ""},
        {"path": "a.mp4", "caption": "again"},
        {"path": "", "caption": "nothing"},
    ]
    manifest = folder / f"list.{kind}"
    if kind == "csv":
        manifest.write_text("path,caption\n" + "\n".join(f"{e['path']},{e['caption']}" for e in entries))
    elif kind == "jsonl":
        manifest.write_text("\n".join(json.dumps(e) for e in entries))
    else:
        pq.write_table(pa.Table.from_pylist(entries), manifest)
    found = list_sources(str(manifest))
    rows = [row for row in found if isinstance(row, dict)]
    assert [(Path(row["source"]).name, row["weak_caption"]) for row in rows] == [("a.mp4", "a cat"), ("b.WEBM", None)]
    assert [row.reason for row in found if isinstance(row, Fault)] == ["missing_file", "no_path"]
    assert [row.reason for row in found if isinstance(row, Drop)] == ["listed_twice"]


@pytest.mark.parametrize("column", ["license", "licence"])
def test_a_manifest_may_name_licences(folder: Path, column: str) -> None:
    manifest = folder / "list.csv"
    manifest.write_text(f"path,{column}\na.mp4,cc-by-4.0\ndeep/er/b.WEBM,\n")
    rows = [row for row in list_sources(str(manifest)) if isinstance(row, dict)]
    assert [row["license"] for row in rows] == ["cc-by-4.0", None]


def test_entries_on_servers_are_told_apart(tmp_path: Path) -> None:
    """A file, none, one that may not be read, and two on a server that is down: only the last may pass."""
    up, down = Server({"/a.mp4": b"abc"}), Server({})
    urls = [f"{up.url}/a.mp4", f"{up.url}/none.mp4", f"{up.url}/secret.mp4", f"{down.url}/x.mp4", f"{down.url}/y.mp4"]
    manifest = tmp_path / "list.csv"
    manifest.write_text("\n".join(["path", *urls]))
    with up.serving():
        found = list_sources(str(manifest))
    assert [row["source"] for row in found if isinstance(row, dict)] == urls[:1]
    faults = [row.reason for row in found if isinstance(row, Fault)]
    assert faults == ["missing_file", "missing_file", "unreachable", "unreachable"]


def test_a_changed_file_is_a_new_source(folder: Path) -> None:
    before = list_sources(f"{folder}/a.mp4")
    (folder / "a.mp4").write_bytes(b"longer")
    after = list_sources(f"{folder}/a.mp4")
    assert isinstance(before[0], dict)
    assert isinstance(after[0], dict)
    assert before[0]["key"] != after[0]["key"]


def test_nothing_found_is_wrong_usage(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("picture\nx.jpg\n")
    (tmp_path / "bad.jsonl").write_text("{")
    for videos, message in (
        ("", "no videos"),
        ("list.csv", "no path column"),
        ("bad.jsonl", "not JSONL"),
        ("no.csv", "no manifest"),
    ):
        with pytest.raises(UsageError, match=message):
            list_sources(str(tmp_path / videos))
