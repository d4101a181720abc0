"""Shards: layout, deterministic bytes, what plain readers see, what verification catches."""

import hashlib
import io
import json
import tarfile
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest
import webdataset
from hypothesis import given
from hypothesis import strategies as st

from infra.errors import ReleaseCorrupt, UsageError
from infra.lease import hold_lease
from infra.stage import Row
from infra.store import Store
from infra.workspace import LakeWorkspace
from shards.layout import Layout
from shards.manifest import load_manifest, publish, published, verify
from shards.reader import read_pairs
from shards.split import val_videos
from shards.writer import FACTS, MEDIA, Pack


def pair_row(number: int, task: str = "TI2V") -> Row:
    facts = dict.fromkeys((*FACTS, *MEDIA))
    pair_id = hashlib.sha256(f"{task}{number}".encode()).hexdigest()[:24]
    return facts | {
        "pair_id": pair_id,
        "task": task,
        "video_id": f"v{number // 3}",
        "query_id": f"q{number}",
        "target_id": f"t{number}",
        "query_text": f"wörds {number}",
        "query_image": "stages/x/media/frame.jpg",
        "target_video": "stages/x/media/clip.mp4",
    }


def release(root: Path, rows: list[Row], layout: Layout) -> str:
    """A published release of the rows, made with the stages' own functions."""
    store = Store(str(root))
    store.write("stages/x/media/frame.jpg", b"a frame")
    store.write("stages/x/media/clip.mp4", b"a clip" * 100)
    by_key = {row["pair_id"]: row for row in rows}
    table = pa.Table.from_pylist([{"key": key, **row} for key, row in sorted(by_key.items())])
    placed: dict[str, list[Row]] = {}
    for place in layout.compute(table, table.slice(0, 0)):
        assert isinstance(place, dict)
        placed.setdefault(place["shard"], []).append({**by_key[place["key"]], **place})
    work = Pack().open(LakeWorkspace(str(root), "stages/pack"))
    groups = [{"key": key, **{n: [m[n] for m in members] for n in Pack.needs}} for key, members in placed.items()]
    packed = [row for row in work(groups) if isinstance(row, dict)]
    with hold_lease(store) as lease:
        return str(root / publish(store, lease, packed, {"recipe": {}}))


@pytest.fixture
def manifest(tmp_path: Path) -> str:
    return release(tmp_path / "lake", [pair_row(i) for i in range(30)], Layout(shard_pairs=8, val_share=0.3))


def test_a_release_is_the_same_bytes_wherever_it_is_made(tmp_path: Path, manifest: str) -> None:
    again = release(
        tmp_path / "other", [pair_row(i) for i in reversed(range(30))], Layout(shard_pairs=8, val_share=0.3)
    )
    for path in Path(manifest).parent.iterdir():
        assert path.read_bytes() == (Path(again).parent / path.name).read_bytes(), path.name


def test_releases_are_known_in_the_order_of_their_first_publication(manifest: str) -> None:
    store = Store(str(Path(manifest).parents[2]))
    [only] = published(store)
    assert only == load_manifest(manifest).release_id
    store.write("published/00000009-later.json", b"{}")
    store.write("published/00000004-between.json", b"{}")
    assert published(store) == [only, "between", "later"]


def test_plain_webdataset_and_plain_tar_read_it(manifest: str) -> None:
    verify(manifest)
    opened = load_manifest(manifest)
    urls = [opened.path(shard) for shard in opened.shards]
    samples = list(webdataset.WebDataset(urls, shardshuffle=False))
    assert len(samples) == 30
    assert {frozenset(k for k in s if not k.startswith("__")) for s in samples} == {
        frozenset({"json", "query.jpg", "target.mp4"})
    }
    assert sorted(json.loads(s["json"])["pair_id"] for s in samples) == sorted(p.pair_id for p in read_pairs(urls))
    with tarfile.open(urls[0]) as tar:
        names = tar.getnames()
        assert {(m.mtime, m.uid, m.gid, m.uname) for m in tar.getmembers()} == {(0, 0, 0, "")}
    assert all(len(name) < 100 and name.isascii() for name in names)


def test_splits_share_no_source_video(manifest: str) -> None:
    opened = load_manifest(manifest)
    videos: dict[str, set[str]] = {"train": set(), "val": set()}
    for shard in opened.shards:
        videos[shard.split] |= {pair.video_id for pair in read_pairs([opened.path(shard)])}
    assert videos["train"]
    assert videos["val"]
    assert not videos["train"] & videos["val"]


@pytest.mark.parametrize("damage", ["flip", "cut", "remove", "recount"])
def test_verify_names_what_is_wrong(manifest: str, damage: str) -> None:
    shard = sorted(Path(manifest).parent.glob("*.tar"))[1]
    data = shard.read_bytes()
    shard.unlink()  # it shares its bytes with the lake's copy
    if damage == "flip":
        shard.write_bytes(data[:700] + bytes([data[700] ^ 1]) + data[701:])
    elif damage == "cut":
        shard.write_bytes(data[:-512])
    elif damage == "recount":
        shard.write_bytes(data)
        Path(manifest).write_text(Path(manifest).read_text().replace('"samples": 8', '"samples": 7', 1))
    with pytest.raises(ReleaseCorrupt, match=r"\.tar" if damage != "recount" else "7"):
        verify(manifest)


def test_a_sample_without_its_media_is_corrupt(tmp_path: Path) -> None:
    path = tmp_path / "x.tar"
    body = json.dumps({name: pair_row(1).get(name) for name in FACTS}).encode()
    with tarfile.open(path, "w") as tar:
        entry = tarfile.TarInfo("abc.json")
        entry.size = len(body)
        tar.addfile(entry, io.BytesIO(body))
    with pytest.raises(ReleaseCorrupt, match="sample abc has no query image"):
        list(read_pairs([str(path)]))


def test_other_files_are_no_manifest(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{}")
    for path in (tmp_path / "a.json", tmp_path / "missing.json", tmp_path):
        with pytest.raises(UsageError, match="manifest"):
            load_manifest(str(path))


@given(st.sets(st.text("abcdef", min_size=1), max_size=60), st.text("ghi", min_size=1), st.floats(0.05, 0.9))
def test_a_video_keeps_its_split_when_others_come(videos: set[str], newcomer: str, share: float) -> None:
    before = val_videos(videos, share, 1)
    after = val_videos(videos | {newcomer}, share, 1)
    assert before & after == before or len(before) == 1
    assert len(after) >= 1 or not videos


@given(st.lists(st.integers(0, 40), unique=True, max_size=40), st.integers(1, 9))
def test_every_pair_has_one_place(numbers: list[int], shard_pairs: int) -> None:
    rows = [pair_row(n, "T2T" if n % 2 else "V2V") for n in numbers]
    table = pa.table({name: [row[source] for row in rows] for name, source in
                      (("key", "pair_id"), ("task", "task"), ("video_id", "video_id"))},
                     schema=pa.schema([(n, pa.string()) for n in ("key", "task", "video_id")]))  # fmt: skip
    places = [p for p in Layout(shard_pairs=shard_pairs).compute(table, table.slice(0, 0)) if isinstance(p, dict)]
    assert sorted(p["key"] for p in places) == sorted(row["pair_id"] for row in rows)
    sizes = Counter(p["shard_name"] for p in places)
    assert all(size <= shard_pairs for size in sizes.values())
    assert len({(p["shard"], p["position"]) for p in places}) == len(rows)
