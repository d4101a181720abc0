"""What others' tools make of a release: DuckDB, tar, webdataset, datasets, Croissant's validator."""

import contextlib
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import duckdb
import mlcroissant
import pyarrow.parquet as pq
import pytest
import yaml
from datasets import load_dataset
from published_release import pair_row, release

from shards.card import caption_author, card, licence_id, size_category
from shards.files import Shard
from shards.index import ROW_GROUP, count_licences, index_rows, write_index
from shards.layout import Layout
from shards.manifest import load_manifest
from shards.reader import read_pairs

PAIRS = 20  # of each of two tasks


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a release that tests only read."""
    rows = [pair_row(number, task) for number in range(PAIRS) for task in ("T2V", "TI2V")]
    rows[0] |= {"source": "https://user:secret@host/videos/clip%201.mp4?token=abc#t=1"}
    return Path(release(tmp_path_factory.mktemp("lake"), rows, Layout(shard_bytes=8000, val_share=0.3))).parent


@pytest.fixture(scope="module")
def shards(folder: Path) -> tuple[Shard, ...]:
    return load_manifest(str(folder / "manifest.json")).shards


def query(folder: Path, sql: str) -> list[tuple[Any, ...]]:
    with contextlib.chdir(folder), duckdb.connect() as db:
        return db.execute(sql).fetchall()


def test_the_index_lists_the_pairs_as_the_shards_hold_them(folder: Path, shards: tuple[Shard, ...]) -> None:
    held = [
        (shard.name, place, pair.pair_id, pair.task, shard.split, pair.video_id, pair.query.text)
        for shard in shards
        for place, pair in enumerate(read_pairs([str(folder / shard.name)]))
    ]
    assert len(held) == 2 * PAIRS
    columns = "shard, position, pair_id, task, split, video_id, query_text"
    assert query(folder, f"SELECT {columns} FROM 'index.parquet'") == held
    assert held == sorted(held)


def test_the_index_answers_what_the_lake_knew_of_a_clip(folder: Path) -> None:
    pair_id = pair_row(7)["pair_id"]
    [(source, width, captions, scores)] = query(
        folder, f"SELECT source, width, captions, scores FROM 'index.parquet' WHERE pair_id = '{pair_id}'"
    )
    assert (source, width) == ("2.mp4", 640)
    assert captions == dict(
        zip(
            ("summary", "detailed", "abstract", "keywords", "partial"),
            (f"{letter} of 7" for letter in "abcde"),
            strict=True,
        )
    )
    assert scores == {"motion": 0.7, "near_duplicate_distance": 0.25}
    [(count,)] = query(folder, "SELECT count(*) FROM 'index.parquet' WHERE scores['motion'] < 0.5")
    assert count == 10
    [(without,)] = query(folder, "SELECT count(*) FROM 'index.parquet' WHERE scores['near_duplicate_distance'] IS NULL")
    assert without == PAIRS


def test_columns_that_the_lake_has_not_are_left_out(folder: Path) -> None:
    names = pq.read_schema(folder / "index.parquet").names
    assert "fps" not in names
    assert "license" not in names


def test_nothing_tells_where_the_videos_lay(folder: Path) -> None:
    for name in ("index.parquet", "README.md", "croissant.json"):
        data = (folder / name).read_bytes()
        assert b"/home" not in data
        assert b"secret" not in data
        assert b"abc#" not in data
    [(source,)] = query(folder, "SELECT DISTINCT source FROM 'index.parquet' WHERE source LIKE 'clip%'")
    assert source == "clip%201.mp4"


def test_licences_are_counted_by_source_video(tmp_path: Path, folder: Path) -> None:
    rows = [
        pair_row(number) | {"license": licence}
        for number, licence in enumerate([None, None, None, "cc-by-4.0", "cc-by-4.0", "cc-by-4.0", "MIT"])
    ]
    path = Path(release(tmp_path, rows, Layout(val_share=0)))
    assert count_licences(path.with_name("index.parquet")) == {"MIT": 1, "cc-by-4.0": 1, "unknown": 1}
    assert count_licences(folder / "index.parquet") == {"unknown": 7}
    text = path.with_name("README.md").read_text()
    assert "license: other\n" in text
    assert "| MIT | 1 |\n| cc-by-4.0 | 1 |\n| unknown | 1 |" in text


def test_row_groups_are_cut_at_fixed_places(tmp_path: Path) -> None:
    with duckdb.connect() as db:
        db.execute(
            f"CREATE TABLE out_layout AS SELECT i::VARCHAR AS pair_id, 'a.tar' AS shard_name, i AS position "
            f"FROM range({2 * ROW_GROUP + 5}) t(i) ORDER BY hash(i)"
        )
        write_index(index_rows(db), tmp_path / "one.parquet")
        db.execute("SET threads = 1")
        odd_batches = db.sql("SELECT pair_id, shard_name AS shard, position FROM out_layout ORDER BY position")
        write_index(odd_batches.to_arrow_reader(3000), tmp_path / "other.parquet")
    groups = pq.ParquetFile(tmp_path / "one.parquet").metadata
    assert [groups.row_group(i).num_rows for i in range(groups.num_row_groups)] == [ROW_GROUP, ROW_GROUP, 5]
    assert (tmp_path / "one.parquet").read_bytes() == (tmp_path / "other.parquet").read_bytes()


@pytest.mark.parametrize("task", ["T2V", "TI2V"])
def test_datasets_streams_it_without_code_of_ours(folder: Path, tmp_path: Path, task: str) -> None:
    files = {split: str(folder / f"{split}-{task}-*.tar") for split in ("train", "val")}
    streams = load_dataset("webdataset", data_files=files, streaming=True, cache_dir=str(tmp_path))
    found = [row for stream in streams.values() for row in stream.decode(False)]
    assert {row["json"]["pair_id"] for row in found} == {pair_row(n, task)["pair_id"] for n in range(PAIRS)}
    assert all(row["__key__"] == row["json"]["pair_id"] for row in found)
    assert all(row["target.mp4"]["bytes"] for row in found)
    pictures = load_dataset("webdataset", data_files=files, streaming=True, cache_dir=str(tmp_path))["train"]
    if task == "TI2V":
        assert next(iter(pictures.select_columns(["query.jpg"])))["query.jpg"].size == (56, 56)


def test_datasets_finds_tasks_and_splits_by_the_card(folder: Path, tmp_path: Path, shards: tuple[Shard, ...]) -> None:
    for task in ("T2V", "TI2V"):
        streams = load_dataset(str(folder), task, streaming=True, cache_dir=str(tmp_path))
        for split, stream in streams.items():
            expected = sum(shard.samples for shard in shards if (shard.task, shard.split) == (task, split))
            assert sum(1 for _ in stream.decode(False)) == expected


def test_the_snippets_of_the_card_work(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    blocks = re.findall(r"```(\w+)\n(.*?)```", (folder / "README.md").read_text(), re.DOTALL)
    assert [language for language, _ in blocks] == ["python", "python", "bash", "sql", "bibtex"]
    by_language = dict(blocks)
    with contextlib.chdir(folder):
        for language, code in blocks:
            if language == "python":
                exec(code, {})
        told = capsys.readouterr().out
        listed = subprocess.run(["bash", "-c", by_language["bash"]], check=True, capture_output=True, text=True).stdout
    first = pair_ids(folder, "train-T2V-000000.tar")
    assert [told.count(f"\n{pair_id} ") + told.startswith(pair_id) for pair_id in first] == [2] * len(first)
    assert listed.splitlines() == [f"{pair_id}.{end}" for pair_id in first for end in ("json", "target.mp4")]
    counts, _ = by_language["sql"].strip().split("\n")
    assert sum(pairs for _, _, pairs in query(folder, counts)) == 2 * PAIRS


def pair_ids(folder: Path, shard: str) -> list[str]:
    return [pair.pair_id for pair in read_pairs([str(folder / shard)])]


def test_croissant_is_valid_and_its_records_can_be_read(folder: Path, shards: tuple[Shard, ...]) -> None:
    dataset = mlcroissant.Dataset(str(folder / "croissant.json"))
    assert not dataset.metadata.ctx.issues.errors
    assert {re.search(r"schema.org/(\w+)", text).group(1) for text in dataset.metadata.ctx.issues.warnings} == {
        "datePublished",
        "version",
    }
    files = {file.name: file.sha256 for file in dataset.metadata.file_objects}
    assert files.items() >= {shard.name: shard.sha256 for shard in shards}.items()
    assert files.keys() == {"index.parquet", *(shard.name for shard in shards)}
    records = list(dataset.records("pairs"))
    assert len(records) == 2 * PAIRS
    [record] = [r for r in records if r["pairs/pair_id"] == pair_row(7)["pair_id"].encode()]
    assert record["pairs/query_text"] == "wörds 7".encode()
    assert record["pairs/captions"]["pairs/captions/keywords"] == b"d of 7"
    assert record["pairs/scores"] == [
        {"pairs/scores/name": b"motion", "pairs/scores/value": 0.7},
        {"pairs/scores/name": b"near_duplicate_distance", "pairs/scores/value": 0.25},
    ]


def test_every_column_has_its_field(folder: Path) -> None:
    fields = json.loads((folder / "croissant.json").read_text())["recordSet"][0]["field"]
    assert [field["name"] for field in fields] == pq.read_schema(folder / "index.parquet").names


def test_the_card_counts_and_tells_what_it_was_made_of() -> None:
    made = [
        Shard(f"{split}-{task}-000000.tar", 10, "0" * 64, split, task, samples)
        for split, task, samples in (("train", "T2V", 1200), ("val", "T2V", 34), ("train", "I2V", 5))
    ]
    facts = {
        "funnel": [{"name": "probe", "in": 3000, "out": 2000, "dropped": 900, "quarantined": 100}],
        "shortage": {"I2V": 7, "V2V": 2},
        "recipe": {"captions": {"generator": {"kind": "openai", "model": "/models/secret-place/Qwen-VL/"}}},
        "decontamination": [{"evaluation_set": "msrvtt"}, {"evaluation_set": "msrvtt"}],
    }
    text = card(made, facts, {"cc-by-4.0": 1, "unknown": 2000}, ("pair_id",)).decode()
    _, header, body = text.split("---\n", 2)
    assert yaml.safe_load(header)["size_categories"] == ["1K<n<10K"]
    assert yaml.safe_load(header)["license"] == "other"
    assert "| T2V | 1,200 | 34 | 0 |\n| I2V | 5 | 0 | 0 |" in body
    assert "1,239 pairs in 3 shards" in body
    assert "missing are 7 I2V, 2 V2V pairs" in body
    assert "| probe | 3,000 | 2,000 | 900 | 100 |" in body
    assert "| cc-by-4.0 | 1 |\n| unknown | 2,000 |" in body
    assert "the model Qwen-VL, not" in body
    assert "secret-place" not in body
    assert "evaluation sets msrvtt were" in body


def test_header_facts() -> None:
    assert [licence_id(dict.fromkeys(names, 1)) for names in ([], ["unknown"], ["CC-BY-4.0"], ["mine"])] == [
        "unknown",
        "unknown",
        "cc-by-4.0",
        "other",
    ]
    assert [size_category(pairs) for pairs in (1, 1000, 1_549_000)] == ["n<1K", "1K<n<10K", "1M<n<10M"]
    assert caption_author({"captions": {"generator": {"kind": "measured", "model": ""}}}) == "measured"
    assert caption_author({}) == ""
