"""Shards: layout, deterministic bytes, what plain readers see, what verification catches."""

import hashlib
import io
import json
import re
import tarfile
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import webdataset
from hypothesis import given
from hypothesis import strategies as st
from published_release import FRAME, NOTHING, pair_row, release

from infra.errors import ReleaseCorrupt, UsageError
from infra.stage import Row
from infra.store import Store
from shards.index import INDEX, check_index
from shards.layout import Layout, cut_evenly
from shards.manifest import load_manifest, published, verify, verify_shards
from shards.reader import parse_pair, read_pairs
from shards.records import SPLITS
from shards.split import Split
from shards.writer import FACTS, write_tar

LAYOUT = Layout(shard_bytes=8000, val_share=0.3, test_share=0.2)


@pytest.fixture
def manifest(tmp_path: Path) -> str:
    return release(tmp_path / "lake", [pair_row(i) for i in range(30)], LAYOUT)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A release that tests leave as they found it."""
    return release(tmp_path_factory.mktemp("whole"), [pair_row(i) for i in range(3)], Layout(val_share=0))


def test_a_release_is_the_same_bytes_wherever_it_is_made(tmp_path: Path, manifest: str) -> None:
    moved = [pair_row(i) | {"source": f"/mnt/elsewhere/{i // 3}.mp4"} for i in reversed(range(30))]
    again = release(tmp_path / "other", moved, LAYOUT)
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
    videos: dict[str, set[str]] = {split: set() for split in SPLITS}
    for shard in opened.shards:
        videos[shard.split] |= {pair.video_id for pair in read_pairs([opened.path(shard)])}
    assert all(videos.values())
    assert sum(map(len, videos.values())) == len(set().union(*videos.values()))


@pytest.mark.parametrize("damage", ["cut", "remove", "recount"])
def test_verify_names_what_is_wrong(manifest: str, damage: str) -> None:
    shard = sorted(Path(manifest).parent.glob("*.tar"))[1]
    data = shard.read_bytes()
    shard.unlink()  # it shares its bytes with the lake's copy
    if damage == "cut":
        shard.write_bytes(data[:-512])
    elif damage == "recount":
        shard.write_bytes(data)
        Path(manifest).write_text(re.sub(r'"samples": \d+', '"samples": 99', Path(manifest).read_text(), count=1))
    with pytest.raises(ReleaseCorrupt, match=r"\.tar" if damage != "recount" else r"manifest\.json"):
        verify(manifest)


def test_verify_finds_an_index_of_other_pairs(manifest: str) -> None:
    """Were a wrong index published, with its own hash in the manifest, its rows would tell."""
    opened = load_manifest(manifest)
    index = f"{opened.folder}/{INDEX}"
    pairs = verify_shards(opened.folder, opened.shards)
    check_index(index, pairs)
    first, *others = sorted(pairs)
    for wrong in (
        {**pairs, first: pairs[first][::-1]},
        {name: pairs[name] for name in others},
        {**pairs, "x.tar": ["p"]},
    ):
        with pytest.raises(ReleaseCorrupt, match=r"index\.parquet does not list"):
            check_index(index, wrong)


def test_a_release_from_before_there_was_an_index_is_still_whole(manifest: str) -> None:
    body = json.loads(Path(manifest).read_text())
    del body["files"], body["release_id"]
    text = json.dumps(body, sort_keys=True, indent=1, ensure_ascii=False) + "\n"
    body["release_id"] = hashlib.sha256(text.encode()).hexdigest()[:12]
    Path(manifest).write_text(json.dumps(body, sort_keys=True, indent=1, ensure_ascii=False) + "\n")
    assert verify(manifest).files == ()


def test_a_flipped_bit_is_found_wherever_it_is(manifest: str) -> None:
    names = sorted(path.name for path in Path(manifest).parent.iterdir())
    assert {"README.md", "croissant.json", "index.parquet", "manifest.json"} < set(names)
    for name in names:
        path = Path(manifest).with_name(name)
        data = path.read_bytes()
        for place in (0, len(data) // 3, len(data) // 2, len(data) - 1):
            path.unlink()  # a shard shares its bytes with the lake's copy
            path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
            with pytest.raises(ReleaseCorrupt, match=re.escape(f"/{name}")):
                verify(manifest)
        path.write_bytes(data)
    verify(manifest)


@given(st.data())
def test_no_bit_of_a_manifest_can_flip_unseen(whole: str, data: st.DataObject) -> None:
    path = Path(whole)
    held = path.read_bytes()
    place, bit = data.draw(st.integers(0, len(held) - 1)), data.draw(st.integers(0, 7))
    try:
        path.write_bytes(held[:place] + bytes([held[place] ^ (1 << bit)]) + held[place + 1 :])
        with pytest.raises(ReleaseCorrupt, match=r"manifest\.json"):
            verify(whole)
    finally:
        path.write_bytes(held)


def test_a_sample_without_its_media_is_corrupt(tmp_path: Path) -> None:
    path = tmp_path / "x.tar"
    body = json.dumps({name: pair_row(1).get(name) for name in FACTS}).encode()
    with tarfile.open(path, "w") as tar:
        entry = tarfile.TarInfo("abc.json")
        entry.size = len(body)
        tar.addfile(entry, io.BytesIO(body))
    with pytest.raises(ReleaseCorrupt, match="sample abc has no query image"):
        list(read_pairs([str(path)]))


def with_negatives(rows: list[Row], named: dict[int, int]) -> list[Row]:
    """The rows, some of which name another as the one whose target is their hard negative."""
    told = {n: {"negatives": [rows[other]["pair_id"]], "negative_cosines": [0.25]} for n, other in named.items()}
    return [row | told.get(n, {}) for n, row in enumerate(rows)]


def test_a_release_names_hard_negatives_and_older_ones_name_none(tmp_path: Path) -> None:
    rows = with_negatives([pair_row(n) for n in range(9)], {0: 4, 4: 8})
    manifest = release(tmp_path / "lake", rows, Layout(val_share=0, shard_bytes=3000))
    opened = verify(manifest)
    assert len(opened.shards) > 2, "a negative may lie in another shard"
    pairs = {pair.pair_id: pair for shard in opened.shards for pair in read_pairs([opened.path(shard)])}
    named = {row["pair_id"]: tuple(row["negatives"]) for row in rows}
    assert {pair_id: pair.negatives for pair_id, pair in pairs.items()} == named
    index = pq.read_table(opened.index(), columns=["pair_id", "negatives", "negative_cosines"]).to_pylist()
    assert {row["pair_id"]: tuple(row["negatives"]) for row in index} == named
    assert {len(row["negatives"]): row["negative_cosines"] for row in index} == {0: [], 1: [0.25]}
    facts = {"pair_id": "old", "task": "T2T", "video_id": "v", "query_id": "q", "target_id": "t"}
    old = json.dumps(facts | {"query_text": "a", "target_text": "b"}).encode()
    assert parse_pair({"json": old}, "old.tar").negatives == ()


def test_a_negative_that_is_no_pair_of_the_task_and_split_is_found(tmp_path: Path) -> None:
    rows = [*(pair_row(n) for n in range(30)), *(pair_row(n, "I2V") | {"query_image": FRAME} for n in range(30))]
    layout = Layout(val_share=0.3)
    split_of = layout.split().of_all({row["video_id"] for row in rows})
    splits = [split_of[row["video_id"]] for row in rows]
    other_split = next(n for n in range(30) if splits[n] != splits[0])
    other_task = next(n for n in range(31, 60) if splits[n] == splits[0])
    for number, wrong in enumerate((other_split, other_task)):
        with pytest.raises(ReleaseCorrupt, match=f"names a negative that is no pair .*{rows[wrong]['pair_id']}"):
            release(tmp_path / str(number), with_negatives(rows, {0: wrong}), layout)
    gone = rows[0] | {"negatives": ["nobody"], "negative_cosines": [0.5]}
    with pytest.raises(ReleaseCorrupt, match="nobody"):
        release(tmp_path / "gone", [gone, *rows[1:]], layout)


def test_a_shard_is_what_the_webdataset_package_would_write() -> None:
    samples = [
        {"__key__": "abc", "json": b"{}", "query.jpg": b"x" * 700, "target.mp4": b"y" * 100_000},
        {"__key__": "abd", "json": b"{1}", "target.mp4": b"z" * 512},
    ]
    ours, theirs = io.BytesIO(), io.BytesIO()
    written = write_tar(ours, samples)
    with webdataset.TarWriter(theirs, encoder=False, mtime=0, user="", group="") as writer:
        for members in samples:
            writer.write(members)
    assert ours.getvalue() == theirs.getvalue()
    assert written == (len(ours.getvalue()), hashlib.sha256(ours.getvalue()).hexdigest())


def hostile_tar(path: Path, *entries: tuple[str, bytes]) -> str:
    """A tar with members of these names, types and no bytes."""
    with tarfile.open(path, "w") as tar:
        for name, kind in entries:
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = kind, "a.json"
            tar.addfile(entry)
    return str(path)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("../a.json", tarfile.REGTYPE),
        ("/etc/a.json", tarfile.REGTYPE),
        ("below/../../a.json", tarfile.REGTYPE),
        ("..\\a.json", tarfile.REGTYPE),
        (".json", tarfile.REGTYPE),
        ("b.json", tarfile.SYMTYPE),
        ("b.query.jpg", tarfile.LNKTYPE),
        ("b.json", tarfile.CHRTYPE),
        ("b.json", tarfile.FIFOTYPE),
        ("b.json", tarfile.DIRTYPE),
        *((f"a.{extension}", tarfile.REGTYPE) for extension in ("pkl", "pickle", "pyd", "target.pth", "mp4.pyd", "")),
    ],
)
def test_a_tar_with_another_kind_of_member_is_refused(tmp_path: Path, name: str, kind: bytes) -> None:
    path = hostile_tar(tmp_path / "x.tar", ("a.json", tarfile.REGTYPE), (name, kind))
    with pytest.raises(ReleaseCorrupt, match=re.escape(repr(name.rstrip("/")))):
        list(read_pairs([path]))


def test_other_files_are_no_manifest(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{}")
    for path in (tmp_path / "a.json", tmp_path / "missing.json", tmp_path):
        with pytest.raises(UsageError, match="manifest"):
            load_manifest(str(path))


@given(st.sets(st.text("abcdef", min_size=1), max_size=60), st.text("ghi", min_size=1), st.floats(0.05, 0.7))
def test_a_video_keeps_its_split_when_others_come(videos: set[str], newcomer: str, share: float) -> None:
    split = Split(1, share, test_share=0.2)
    before, after = split.of_all(videos), split.of_all(videos | {newcomer})
    moved = [video for video in videos if before[video] != after[video]]
    assert not moved or list(before.values()).count("val") <= 1
    assert "val" in after.values() or not videos


def test_a_test_split_takes_no_video_from_val() -> None:
    """Releases from before there was one had two splits, at the same ranks."""
    videos = [f"v{number}" for number in range(1000)]
    two, three = Split(42, 0.1).of_all(videos), Split(42, 0.1, 0.05).of_all(videos)
    assert {(two[video], three[video]) for video in videos} == {("val", "val"), ("train", "train"), ("train", "test")}
    assert Counter(three.values()) == {"train": 854, "val": 107, "test": 39}


def test_a_release_of_few_videos_has_something_to_be_judged_by_and_may_have_no_test() -> None:
    splits = Layout().split().of_all(["v0", "v1", "v2"])
    assert sorted(splits.values()) == ["train", "train", "val"]
    with pytest.raises(UsageError, match="no shares"):
        Layout(val_share=0.6, test_share=0.5)


@given(st.dictionaries(st.integers(0, 40), st.integers(1, 9)), st.integers(1, 20))
def test_every_pair_has_one_place_in_shards_of_about_one_size(sizes: dict[int, int], shard_bytes: int) -> None:
    rows = [pair_row(n, "T2T" if n % 2 else "V2V") | {"sample_bytes": size} for n, size in sizes.items()]
    texts = {"key": "pair_id", "task": "task", "video_id": "video_id"}
    columns = {name: pa.array([row[source] for row in rows], pa.string()) for name, source in texts.items()}
    table = pa.table({**columns, "sample_bytes": pa.array([row["sample_bytes"] for row in rows], pa.int64())})
    places = [p for p in Layout(shard_bytes=shard_bytes).compute(table, NOTHING) if isinstance(p, dict)]
    assert sorted(p["key"] for p in places) == sorted(row["pair_id"] for row in rows)
    size_of = {row["pair_id"]: row["sample_bytes"] for row in rows}
    shards: dict[str, list[int]] = {}
    for place in sorted(places, key=lambda p: (p["shard_name"], p["position"])):
        assert place["position"] == len(shards.setdefault(place["shard_name"], []))
        shards[place["shard_name"]].append(size_of[place["key"]])
    assert all(sum(held) <= shard_bytes + max(held) for held in shards.values())


def lay_out(sizes: dict[int, int], released: pa.Table, layout: Layout) -> pa.Table:
    """The places of some pairs, with their tasks: what the layout remembers of them."""
    rows = {row["pair_id"]: row for row in (pair_row(n, "T2T" if n % 2 else "V2V") for n in sizes)}
    size_of = {pair_row(n, "T2T" if n % 2 else "V2V")["pair_id"]: size for n, size in sizes.items()}
    schema = pa.schema([(name, pa.string()) for name in ("key", "task", "video_id")] + [("sample_bytes", pa.int64())])
    table = pa.Table.from_pylist(
        [
            {"key": key, "task": row["task"], "video_id": row["video_id"], "sample_bytes": size_of[key]}
            for key, row in sorted(rows.items())
        ],
        schema,
    )
    placed = [p | {"task": rows[p["key"]]["task"]} for p in layout.compute(table, released) if isinstance(p, dict)]
    return pa.Table.from_pylist(sorted(placed, key=lambda p: p["key"]), NOTHING.schema)


def shards_of(places: pa.Table) -> dict[str, list[str]]:
    """Pair ids in order by shard name; places that are none of a whole shard fail."""
    found: dict[str, list[str]] = {}
    for place in places.sort_by([("shard_name", "ascending"), ("position", "ascending")]).to_pylist():
        assert place["position"] == len(found.setdefault(place["shard_name"], []))
        found[place["shard_name"]].append(place["key"])
    return found


PAIRS_BY_SIZE = st.dictionaries(st.integers(0, 30), st.integers(1, 9))


@given(st.lists(PAIRS_BY_SIZE, min_size=2, max_size=5), st.integers(1, 30))
def test_released_pairs_keep_their_places_while_their_shard_is_whole(many: list[dict[int, int]], most: int) -> None:
    """Of any history: every pair has one place, and laying out the same again right after changes nothing."""
    layout, released = Layout(shard_bytes=most, val_share=0.3), NOTHING
    before, names = dict[str, list[str]](), set[str]()
    for sizes in many:
        places = lay_out(sizes, released, layout)
        shards = shards_of(places)
        assert sorted(key for members in shards.values() for key in members) == sorted(places["key"].to_pylist())
        released = pa.concat_tables([released, places])
        assert lay_out(sizes, released, layout) == places
        name_of = {key: name for name, members in shards.items() for key in members}
        for name, members in before.items():
            if all(name_of.get(key, "").split("-")[0] == name.split("-")[0] for key in members):
                assert {name_of[key] for key in members} <= names, "of a shard that is whole no pair is in a new one"
        before, names = shards, names | shards.keys()


def test_what_is_new_and_what_is_left_goes_into_new_shards() -> None:
    layout = Layout(shard_bytes=4, val_share=0, test_share=0)
    first = lay_out(dict.fromkeys(range(0, 20, 2), 1), NOTHING, layout)
    whole = shards_of(first)
    assert {name: len(members) for name, members in whole.items()} == {
        "train-V2V-000000.tar": 3, "train-V2V-000001.tar": 4, "train-V2V-000002.tar": 3,
    }  # fmt: skip
    more = shards_of(lay_out(dict.fromkeys(range(0, 24, 2), 1), first, layout))
    assert whole.items() < more.items()
    assert {name: len(more[name]) for name in more.keys() - whole.keys()} == {"train-V2V-000003.tar": 2}
    lost = next(n for n in range(0, 20, 2) if pair_row(n, "V2V")["pair_id"] == whole["train-V2V-000001.tar"][2])
    less = lay_out(dict.fromkeys({*range(0, 20, 2)} - {lost}, 1), first, layout)
    assert shards_of(less) == {
        "train-V2V-000000.tar": whole["train-V2V-000000.tar"],
        "train-V2V-000002.tar": whole["train-V2V-000002.tar"],
        "train-V2V-000003.tar": [key for place, key in enumerate(whole["train-V2V-000001.tar"]) if place != 2],
    }
    back = lay_out(dict.fromkeys(range(0, 20, 2), 1), pa.concat_tables([first, less]), layout)
    assert shards_of(back) == whole, "the whole shard again, not what was left of it"


def test_shards_can_be_cut_anew() -> None:
    layout = Layout(shard_bytes=4, val_share=0)
    first = lay_out({0: 4}, NOTHING, layout)
    small = pa.concat_tables([first, lay_out({0: 4, 2: 1, 4: 1}, first, layout)])
    anew = lay_out({0: 4, 2: 1, 4: 1}, small, Layout(shard_bytes=100, val_share=0, keep_shards=False))
    assert len(shards_of(anew)) == 1
    assert lay_out({0: 4, 2: 1, 4: 1}, pa.concat_tables([small, anew]), layout) == anew


@given(st.lists(st.integers(1, 50), min_size=1, max_size=60), st.integers(1, 200))
def test_shards_are_within_one_sample_of_each_other(sizes: list[int], most: int) -> None:
    edges = cut_evenly(sizes, most)
    held = [sizes[first:last] for first, last in pairwise(edges)]
    assert [size for shard in held for size in shard] == sizes
    assert all(held)
    wanted = sum(sizes) / max(1, -(-sum(sizes) // most))
    assert all(abs(sum(shard) - wanted) <= max(sizes) for shard in held) or len(held) < -(-sum(sizes) // most)
