"""Source videos removed for good: a release without them, the others withdrawn, and nothing left half done."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from published_release import pair_row, release
from s3_server import S3Server

from flows import commands
from flows.removal import heed_removals, remove_videos
from infra.errors import ReleaseWithdrawn, RunFailed, UsageError
from infra.lease import hold_lease
from infra.removed import removal_reason
from infra.store import Store
from shards.diff import compare
from shards.layout import Layout
from shards.manifest import load_manifest, published, read_manifest, verify
from shards.reader import read_pairs
from shards.withdrawal import read_withdrawal
from train.loop import train
from train.settings import TrainSettings

LAYOUT = Layout(shard_bytes=4000, val_share=0.3, test_share=0.2)
WHY = "their owner asked for it"


def publish(lake: Path | str, numbers: range) -> str:
    return release(lake, [pair_row(i, "T2V") for i in numbers], LAYOUT)


def quiet(words: str) -> None:
    """Whoever removes is told nothing."""


def remove(manifest: str, *videos: str) -> str:
    return remove_videos(manifest, videos, (), WHY, quiet)


def everything(lake: Path) -> dict[str, bytes]:
    return {str(path.relative_to(lake)): path.read_bytes() for path in sorted(lake.rglob("*")) if path.is_file()}


def videos_in(lake: Path) -> set[str]:
    """The ids of the videos that any tar below the releases of a lake holds a pair of."""
    return {pair.video_id for pair in read_pairs(map(str, sorted(lake.glob("releases/*/*.tar"))))}


def videos_listed(folder: str) -> set[str]:
    return set(pq.read_table(f"{folder}/index.parquet")["video_id"].to_pylist())


@pytest.fixture
def two(tmp_path: Path) -> tuple[str, str]:
    """The manifests of a release of ten source videos and of one with four more, in one lake."""
    return publish(tmp_path, range(30)), publish(tmp_path, range(42))


def test_a_release_without_them_is_published_and_the_others_are_withdrawn(two: tuple[str, str], tmp_path: Path) -> None:
    before = [load_manifest(path) for path in two]
    manifest = remove(two[1], "v3", "v11")
    after = verify(manifest)
    assert published(Store(str(tmp_path)))[-1] == after.release_id
    assert sum(shard.samples for shard in after.shards) == 42 - 6
    assert videos_in(tmp_path) == {f"v{n}" for n in range(14)} - {"v3", "v11"}
    assert videos_listed(after.folder) == videos_in(tmp_path)
    assert "2 source videos that earlier releases held were removed" in Path(after.folder, "README.md").read_text()
    for old, holds_both in zip(before, (False, True), strict=True):
        withdrawal = read_withdrawal(old.folder)
        assert withdrawal
        assert (withdrawal.use, set(withdrawal.removed)) == (after.release_id, {"v3", "v11"} if holds_both else {"v3"})
        gone = {shard.name for shard in old.shards if not Path(old.path(shard)).exists()}
        assert gone == {place.rsplit("/", 1)[-1] for place in withdrawal.shards}
        assert not videos_listed(old.folder) & {"v3", "v11"}
    [three, eleven] = sorted(after.tombstones, key=lambda stone: stone.pairs + len(stone.video_id))
    assert (three.video_id, eleven.video_id, three.reason, three.pairs, eleven.pairs) == ("v3", "v11", WHY, 3, 3)
    assert {place.split("/")[0] for place in eleven.shards} == {before[1].release_id}


def test_what_is_removed_is_no_negative_of_others_any_more(tmp_path: Path) -> None:
    rows = [pair_row(n, "T2V") for n in range(30)]
    split = LAYOUT.split()
    mates = [n for n in range(30) if split.of(f"v{n // 3}") == "train"]
    gone, stays, asks = mates[0], mates[3], mates[6:8]
    for asking, named in zip(asks, (gone, stays), strict=True):
        rows[asking] |= {"negatives": [rows[named]["pair_id"]], "negative_cosines": [0.5]}
    after = verify(remove(release(tmp_path, rows, LAYOUT), f"v{gone // 3}"))
    pairs = {pair.pair_id: pair for pair in read_pairs(map(after.path, after.shards))}
    index = pq.read_table(after.index(), columns=["pair_id", "negatives", "negative_cosines"]).to_pylist()
    for asking, left in zip(asks, ([], [rows[stays]["pair_id"]]), strict=True):
        assert list(pairs[rows[asking]["pair_id"]].negatives) == left
        [listed] = [row for row in index if row["pair_id"] == rows[asking]["pair_id"]]
        assert (listed["negatives"], listed["negative_cosines"]) == (left, [0.5] * len(left))


def test_a_label_that_names_a_removed_clip_is_told_no_more(tmp_path: Path) -> None:
    rows = [pair_row(n, "T2V") | {"clip_id": f"c{n}", "near_duplicate_of": None, "same_text_as": ""} for n in range(30)]
    rows[3] |= {"near_duplicate_of": "c0", "same_text_as": "c9"}
    after = verify(remove(release(tmp_path, rows, LAYOUT), "v0"))
    index = pq.read_table(after.index(), columns=["clip_id", "near_duplicate_of", "same_text_as"]).to_pylist()
    [listed] = [row for row in index if row["clip_id"] == "c3"]
    assert (listed["near_duplicate_of"], listed["same_text_as"]) == (None, "c9")


def test_only_what_held_them_is_written_anew(two: tuple[str, str]) -> None:
    before = load_manifest(two[1])
    lost = {s.name for s in before.shards if "v3" in {pair.video_id for pair in read_pairs([before.path(s)])}}
    left = {s.name: [p.pair_id for p in read_pairs([before.path(s)]) if p.video_id != "v3"] for s in before.shards}
    after = load_manifest(remove(two[1], "v3"))
    homes = {shard.name: shard.home for shard in after.shards}
    assert homes.keys() >= {s.name for s in before.shards} - lost
    assert all(homes[s.name] == (s.home or before.release_id) for s in before.shards if s.name not in lost)
    new = [shard for shard in after.shards if not shard.home]
    assert not {shard.name for shard in new} & {shard.name for shard in before.shards}
    found = sorted([pair.pair_id for pair in read_pairs([after.path(shard)])] for shard in new)
    assert found == sorted(left[name] for name in lost if left[name])


def test_the_next_run_keeps_the_shards_and_the_tombstones(two: tuple[str, str], tmp_path: Path) -> None:
    after = load_manifest(remove(two[1], "v3"))
    rows = [pair_row(i, "T2V") for i in range(42) if pair_row(i, "T2V")["video_id"] != "v3"]
    again = verify(release(tmp_path, rows, LAYOUT))
    assert [(s.name, s.sha256, s.home or after.release_id) for s in after.shards] == [
        (s.name, s.sha256, s.home or again.release_id) for s in again.shards
    ]
    assert again.tombstones == after.tombstones
    assert compare(after, again).bytes_came == 0
    assert release(tmp_path, rows, LAYOUT) == f"{again.folder}/manifest.json"


def test_a_second_removal_adds_to_the_first(two: tuple[str, str], tmp_path: Path) -> None:
    first = remove(two[1], "v3")
    second = load_manifest(remove(first, "v5"))
    assert {stone.video_id for stone in second.tombstones} == {"v3", "v5"}
    withdrawal = read_withdrawal(str(Path(two[0]).parent))
    assert withdrawal
    assert (withdrawal.use, set(withdrawal.removed)) == (second.release_id, {"v3", "v5"})
    assert not videos_in(tmp_path) & {"v3", "v5"}
    with pytest.raises(ReleaseWithdrawn, match=re.escape(f"Use {second.folder}/manifest.json")):
        load_manifest(first)


def test_who_uses_a_withdrawn_release_is_told_which_to_use(two: tuple[str, str], tmp_path: Path) -> None:
    after = remove(two[1], "v3")
    told = re.escape(f"withdrawn: 1 of its source videos were removed ({WHY}). Use {after}")
    for use in (load_manifest, verify, lambda path: train(path, str(tmp_path / "model"), TrainSettings())):
        with pytest.raises(ReleaseWithdrawn, match=told):
            use(two[0])
    assert read_manifest(two[0]).release_id == load_manifest(after).parents[0]


def test_a_list_of_releases_shows_it(two: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    after = load_manifest(remove(two[1], "v3"))
    commands.release_list(str(tmp_path), as_json=True)
    rows = {row["release_id"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows[after.release_id]["withdrawn"] is None
    assert set(rows[after.release_id]["parents"]) == rows.keys() - {after.release_id}
    assert {row["withdrawn"]["use"] for name, row in rows.items() if name != after.release_id} == {after.release_id}
    commands.release_list(str(tmp_path), as_json=False)
    assert capsys.readouterr().out.count(f"withdrawn ({WHY}); use {after.release_id}") == 2


def test_pictures_beside_the_manifest_and_unfinished_releases_go_too(two: tuple[str, str], tmp_path: Path) -> None:
    folder = Path(two[0]).parent
    for name in ("contact-sheet.jpg", "preview.html", "verdict.json"):
        folder.joinpath(name).write_bytes(b"x")
    unfinished = tmp_path / "releases" / "0123456789ab" / "train-T2V-000000.tar"
    unfinished.parent.mkdir()
    unfinished.write_bytes(b"what a run that was cut off left")
    (tmp_path / "releases" / "champion.json").write_bytes(b"{}")
    remove(two[1], "v3")
    assert not unfinished.exists()
    assert {path.name for path in folder.iterdir() if path.suffix in (".jpg", ".html", ".json")} == {
        "verdict.json", "manifest.json", "croissant.json", "withdrawn.json",
    }  # fmt: skip


def test_file_names_mean_videos(two: tuple[str, str], tmp_path: Path) -> None:
    manifest = remove_videos(two[1], (), ("3.mp4",), WHY, quiet)
    assert [stone.video_id for stone in load_manifest(manifest).tombstones] == ["v3"]
    assert removal_reason(Store(str(tmp_path)), "v3") == WHY
    twice = [pair_row(i, "T2V") | {"source": "/videos/same.mp4"} for i in range(6)]
    with pytest.raises(UsageError, match=r"several source videos are called same\.mp4; say which: --video v0, v1"):
        remove_videos(release(tmp_path / "other", twice, LAYOUT), (), ("same.mp4",), WHY, quiet)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--video", "v3", "--video", "v99"), "no release of this lake holds v99"),
        (("--source", "elsewhere.mp4"), "no release of this lake holds elsewhere.mp4"),
        ((), "say which videos"),
        (("--old", "--video", "v3"), "the latest release"),
    ],
)
def test_what_cannot_be_removed_changes_nothing(
    two: tuple[str, str], tmp_path: Path, arguments: tuple[str, ...], told: str
) -> None:
    before = everything(tmp_path)
    manifest = two[0] if "--old" in arguments else two[1]
    words = [word for word in arguments if word != "--old"]
    command = [sys.executable, "-m", "flows.cli", "release", "remove", manifest, *words, "--reason", WHY]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert told in done.stderr
    assert everything(tmp_path) == before


def test_a_release_of_nothing_else_is_not_emptied(tmp_path: Path) -> None:
    manifest = publish(tmp_path, range(3))
    with pytest.raises(UsageError, match="nothing would be left"):
        remove(manifest, "v0")


def test_a_video_that_only_an_older_release_holds_is_removed_by_the_latest(tmp_path: Path) -> None:
    old = publish(tmp_path, range(30))
    latest = publish(tmp_path, range(27))
    after = verify(remove(latest, "v9"))
    assert compare(load_manifest(latest), after).bytes_came == 0
    assert [stone.video_id for stone in after.tombstones] == ["v9"]
    with pytest.raises(ReleaseWithdrawn):
        load_manifest(old)
    assert "v9" not in videos_in(tmp_path)


KILLED = """
import os, signal, sys
from flows.removal import remove_videos
steps = iter(range(int(sys.argv[2])))
def say(words):
    if next(steps, None) is None:
        os.kill(os.getpid(), signal.SIGKILL)
remove_videos(sys.argv[1], ("v3",), (), "their owner asked for it", say)
"""


@pytest.mark.parametrize("step", range(3))
def test_cut_off_anywhere_it_is_finished_by_the_same_command(two: tuple[str, str], tmp_path: Path, step: int) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, two[1], str(step)], env=os.environ, check=False)
    assert done.returncode == -signal.SIGKILL
    after = verify(remove(two[1], "v3"))
    assert len(published(Store(str(tmp_path)))) == 3
    assert "v3" not in videos_in(tmp_path)
    assert remove(two[1], "v3") == f"{after.folder}/manifest.json", "and again, when all is done"
    for path in two:
        with pytest.raises(ReleaseWithdrawn):
            load_manifest(path)


def test_a_run_heeds_a_removal_that_was_cut_off(two: tuple[str, str], tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", KILLED, two[1], "0"], env=os.environ, check=False)
    store = Store(str(tmp_path))
    assert removal_reason(store, "v3") is None
    with hold_lease(store) as lease:
        heed_removals(store, lease)
    assert removal_reason(store, "v3") == WHY
    with pytest.raises(RunFailed, match="1 source videos that were removed came back, v3 among them"):
        publish(tmp_path, range(42))


def test_in_a_bucket_too(s3: S3Server, two: tuple[str, str]) -> None:
    lake = f"{s3.bucket()}/lake"
    publish(lake, range(30))
    manifest = publish(lake, range(42))
    after = verify(remove(manifest, "v3", "v11"))
    assert after.release_id == load_manifest(remove(two[1], "v3", "v11")).release_id
    store = Store(lake)
    held = {
        pair.video_id
        for release_id in published(store)
        for name in store.list(f"releases/{release_id}", ".tar")
        for pair in read_pairs([store.location(name)])
    }
    assert held == {f"v{n}" for n in range(14)} - {"v3", "v11"}
    with pytest.raises(ReleaseWithdrawn, match=re.escape(f"Use {after.folder}/manifest.json")):
        load_manifest(manifest)
