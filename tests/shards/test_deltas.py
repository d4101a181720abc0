"""Releases that add to those before them: what is held is pointed to, what is new is written, and nothing twice."""

import contextlib
import json
import re
import shutil
from dataclasses import asdict
from pathlib import Path

import mlcroissant
import pytest
import webdataset
import yaml
from datasets import load_dataset
from published_release import pair_row, release
from s3_server import S3Server

from infra.errors import ReleaseCorrupt
from infra.store import Store
from shards.contact_sheet import ensure_contact_sheet
from shards.diff import compare
from shards.files import Shard, shard_path
from shards.layout import Layout
from shards.manifest import load_manifest, published, verify
from shards.preview.page import write_preview
from shards.reader import read_pairs

LAYOUT = Layout(shard_bytes=4000, val_share=0.3, test_share=0.2)
FIRST, MORE = range(30), range(42)


def publish(lake: Path | str, numbers: range | list[int], layout: Layout = LAYOUT) -> str:
    return release(lake, [pair_row(i, "T2V") for i in numbers], layout)


def files_of(lake: Path) -> dict[str, tuple[int, int]]:
    """Inode and time of every file below the releases of a lake and in its order of publication."""
    found = [path for name in ("releases", "published") for path in (lake / name).rglob("*") if path.is_file()]
    return {str(path.relative_to(lake)): (path.stat().st_ino, path.stat().st_mtime_ns) for path in found}


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A release, and one that four source videos were added to; tests only read them."""
    lake = tmp_path_factory.mktemp("two")
    return publish(lake, FIRST), publish(lake, MORE)


def test_the_same_again_is_the_same_release_and_nothing_new(tmp_path: Path) -> None:
    """The trap: a run right after finds all its shards in the only release there is, which is itself."""
    first = publish(tmp_path, FIRST)
    before = files_of(tmp_path)
    assert publish(tmp_path, FIRST) == first
    assert files_of(tmp_path) == before
    second = publish(tmp_path, MORE)
    before = files_of(tmp_path)
    assert publish(tmp_path, MORE) == second
    assert files_of(tmp_path) == before
    assert publish(tmp_path, FIRST) == first, "and one from before is the one it was, however many came since"
    assert files_of(tmp_path) == before


def test_the_same_history_gives_the_same_bytes(two: tuple[str, str], tmp_path: Path) -> None:
    assert publish(tmp_path, FIRST).endswith(f"{load_manifest(two[0]).release_id}/manifest.json")
    again = publish(tmp_path, MORE)
    for path in Path(again).parent.iterdir():
        assert path.read_bytes() == Path(two[1]).with_name(path.name).read_bytes(), path.name


def test_a_release_adds_shards_and_points_to_the_others(two: tuple[str, str]) -> None:
    first, second = map(verify, two)
    assert (first.parents, second.parents) == ((), (first.release_id,))
    by_name = {shard.name: shard for shard in second.shards}
    assert by_name.keys() > {shard.name for shard in first.shards}
    for shard in first.shards:
        assert asdict(by_name.pop(shard.name)) == asdict(shard) | {"home": first.release_id}
    tars = {path.name for path in Path(two[1]).parent.glob("*.tar")}
    assert tars == by_name.keys(), "what is its own"
    assert sum(pair.task == "T2V" for pair in read_pairs(map(second.path, second.shards))) == len(MORE)
    found = compare(first, second)
    assert (found.shards_stayed, len(found.shards_went)) == (len(first.shards), 0)
    assert found.bytes_came == sum(shard.bytes for shard in by_name.values())
    assert sum(row["came"] for row in found.pairs) == len(MORE) - len(FIRST)
    assert not sum(row["went"] + row["moved"] for row in found.pairs)


def test_plain_readers_follow_it(two: tuple[str, str], tmp_path: Path) -> None:
    second = load_manifest(two[1])
    urls = [second.path(shard) for shard in second.shards]
    assert len(list(webdataset.WebDataset(urls, shardshuffle=False))) == len(MORE)
    _, header, body = Path(two[1]).with_name("README.md").read_text().split("---\n", 2)
    assert "lie in the folders of earlier releases" in body
    [config] = yaml.safe_load(header)["configs"]
    assert any(f"../{second.parents[0]}/" in path for entry in config["data_files"] for path in entry["path"])
    streams = load_dataset(second.folder, "T2V", streaming=True, cache_dir=str(tmp_path))
    held = {split: sum(s.samples for s in second.shards if s.split == split) for split in ("train", "val", "test")}
    assert {split: sum(1 for _ in stream.decode(False)) for split, stream in streams.items()} == held
    croissant = json.loads(Path(two[1]).with_name("croissant.json").read_text())
    for file in croissant["distribution"]:
        assert Path(second.folder, file["contentUrl"]).is_file()
    dataset = mlcroissant.Dataset(f"{second.folder}/croissant.json")
    assert not dataset.metadata.ctx.issues.errors
    assert len(list(dataset.records("pairs"))) == len(MORE)


def test_the_snippets_of_its_card_work(two: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    second = load_manifest(two[1])
    first = second.shards[0]
    assert first.home, "a reader is shown a tar that lies elsewhere"
    snippets = re.findall(r"```python\n(.*?)```", Path(two[1]).with_name("README.md").read_text(), re.DOTALL)
    with contextlib.chdir(second.folder):
        for code in snippets:
            exec(code, {})
    told = capsys.readouterr().out
    assert [told.count(pair.pair_id + " ") for pair in read_pairs([second.path(first)])] == [2] * first.samples


def test_pages_and_pictures_follow_it(two: tuple[str, str], tmp_path: Path) -> None:
    second = load_manifest(two[1])
    page, left_out = write_preview(second, samples=1, out=str(tmp_path / "page.html"))
    assert Path(page).stat().st_size > 10_000
    assert not any(left_out.values())
    assert ensure_contact_sheet(second)


def test_a_shard_that_lost_pairs_is_written_under_a_new_name(tmp_path: Path) -> None:
    first = load_manifest(publish(tmp_path, FIRST))
    lost = next(pair for pair in read_pairs(map(first.path, first.shards[-1:])))
    left = [i for i in FIRST if pair_row(i, "T2V")["pair_id"] != lost.pair_id]
    second = verify(publish(tmp_path, left))
    homes = {shard.name: shard.home for shard in second.shards}
    [new] = [name for name, home in homes.items() if not home]
    assert new not in {shard.name for shard in first.shards}
    assert homes.keys() == {shard.name for shard in first.shards[:-1]} | {new}
    assert publish(tmp_path, FIRST) == f"{first.folder}/manifest.json", "when it is back, the first release again"


def test_damage_of_a_shard_elsewhere_is_found_and_named(tmp_path: Path) -> None:
    first, second = (load_manifest(publish(tmp_path, numbers)) for numbers in (FIRST, MORE))
    elsewhere = Path(first.path(first.shards[0]))
    data = elsewhere.read_bytes()
    elsewhere.unlink()
    with pytest.raises(ReleaseCorrupt, match=f"{first.release_id}/{elsewhere.name} is missing"):
        verify(f"{second.folder}/manifest.json")
    elsewhere.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(ReleaseCorrupt, match=f"{first.release_id}/{elsewhere.name}: "):
        verify(f"{second.folder}/manifest.json")


def test_a_release_whose_parent_was_deleted_is_made_whole_by_the_next_run(tmp_path: Path) -> None:
    first, second = (load_manifest(publish(tmp_path, numbers)) for numbers in (FIRST, MORE))
    shutil.rmtree(first.folder)
    again = verify(publish(tmp_path, MORE))
    assert again.release_id != second.release_id
    assert again.parents == (second.release_id,)
    assert publish(tmp_path, MORE) == f"{again.folder}/manifest.json"


def test_cut_off_after_the_manifest_it_is_the_same_release(tmp_path: Path) -> None:
    publish(tmp_path, FIRST)
    second = load_manifest(publish(tmp_path, MORE))
    [known, marker] = sorted((tmp_path / "published").iterdir())
    marker.unlink()
    assert publish(tmp_path, MORE) == f"{second.folder}/manifest.json"
    assert published(Store(str(tmp_path))) == [known.stem.rsplit("-", 1)[-1], second.release_id]


def test_a_release_without_an_index_is_no_parent(tmp_path: Path) -> None:
    """By its parents' indexes a release is checked without their shards being read."""
    first = Path(publish(tmp_path, FIRST))
    body = json.loads(first.read_text())
    first.write_text(json.dumps({name: value for name, value in body.items() if name != "files"}))
    assert verify(publish(tmp_path, MORE)).parents == ()


def test_a_manifest_from_before_there_were_parents_is_read(two: tuple[str, str], tmp_path: Path) -> None:
    body = json.loads(Path(two[0]).read_text())
    del body["parents"], body["tombstones"]
    for shard in body["shards"]:
        del shard["home"]
    (tmp_path / "manifest.json").write_text(json.dumps(body | {"format": "uvr-release/1"}))
    old = load_manifest(str(tmp_path / "manifest.json"))
    assert (old.parents, old.tombstones, {shard.home for shard in old.shards}) == ((), (), {""})
    assert old.path(old.shards[0]) == str(tmp_path / old.shards[0].name)


@pytest.mark.parametrize(
    ("folder", "expected"),
    [
        ("/lake/releases/two", "/lake/releases/one/x.tar"),
        ("s3://bucket/lake/releases/two", "s3://bucket/lake/releases/one/x.tar"),
        ("releases/two", "releases/one/x.tar"),
        ("two", "one/x.tar"),
        (".", "./../one/x.tar"),
        ("../..", "../../../one/x.tar"),
    ],
)
def test_where_the_shard_of_another_release_lies(folder: str, expected: str) -> None:
    assert shard_path(folder, Shard("x.tar", 1, "", "val", "T2V", 1, "one")) == expected
    assert shard_path(folder, Shard("x.tar", 1, "", "val", "T2V", 1)) == f"{folder}/x.tar"


def test_in_a_bucket_no_shard_of_a_parent_is_copied(s3: S3Server, two: tuple[str, str]) -> None:
    lake = f"{s3.bucket()}/lake"
    first = publish(lake, FIRST)
    s3.requests.clear()
    second = verify(publish(lake, MORE))
    assert second.release_id == load_manifest(two[1]).release_id
    own = {shard.name for shard in second.shards if not shard.home}
    written = [request for request in s3.requests if request.startswith("PUT") and "/releases/" in request]
    assert {request.rpartition("/")[2].rstrip("?") for request in written if ".tar" in request} == own
    assert publish(lake, MORE) == f"{second.folder}/manifest.json"
    assert publish(lake, FIRST) == first
