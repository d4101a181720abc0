"""Reading for training: every pair once in a seeded order, shared out, left and taken up again, bad ones left out."""

import tarfile
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from published_release import pair_row, release
from s3_server import S3Server

from infra.errors import ReleaseCorrupt, RowError, UsageError
from infra.store import Store
from shards.cache import ShardCache
from shards.files import Shard
from shards.layout import Layout
from shards.manifest import Manifest, load_manifest
from shards.order import Order
from shards.reader import read_pairs
from shards.records import Pair
from shards.samples import Samples
from shards.stream import BadSamples, PairStream

LAYOUT = Layout(shard_bytes=8000, val_share=0.3)


def shard(name: str, samples: int) -> Shard:
    return Shard(name, samples, name, "train", "T2V", samples)


@st.composite
def orders(draw: st.DrawFn) -> Order:
    sizes = draw(st.lists(st.integers(0, 30), min_size=1, max_size=6))
    shards = tuple(shard(f"{number}.tar", size) for number, size in enumerate(sizes))
    return Order(shards, draw(st.integers(0, 5)), draw(st.integers(0, 5)), draw(st.integers(1, 40)), 0, 1)


@given(orders(), st.integers(1, 7))
def test_of_uneven_parts_none_is_left_out_and_the_first_have_one_pair_more(order: Order, parts: int) -> None:
    readers = [replace(order, part=part, parts=parts, even=False) for part in range(parts)]
    sizes = [len(reader) for reader in readers]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] - sizes[-1] <= 1
    seen = [place for reader in readers for place in reader.places()]
    assert Counter(seen) == Counter((shard, n) for shard in order.shards for n in range(shard.samples))


@given(orders(), st.integers(1, 7))
def test_readers_share_the_pairs_equally_and_none_is_read_twice(order: Order, parts: int) -> None:
    readers = [list(replace(order, part=part, parts=parts).places()) for part in range(parts)]
    total = sum(shard.samples for shard in order.shards)
    assert {len(places) for places in readers} == {total // parts}
    seen = Counter(place for places in readers for place in places)
    assert set(seen.values()) <= {1}
    everything = {(shard, n) for shard in order.shards for n in range(shard.samples)}
    assert set(seen) <= everything
    assert parts > 1 or set(seen) == everything


@given(orders(), st.integers(0, 100))
def test_an_order_can_be_entered_anywhere(order: Order, start: int) -> None:
    assert list(order.places(start)) == list(order.places())[start:]


@given(orders())
def test_no_more_than_a_window_is_shuffled_at_once(order: Order) -> None:
    """So the shards that are open at once are those of one window: pairs of a block follow each other."""
    shards, starts = order._run
    begin = dict(zip(shards, starts.tolist(), strict=True))
    for block in range(len(order) // order.window + 1):
        numbers = sorted(begin[shard] + position for shard, position in order.block(block))
        assert numbers == list(range(block * order.window, min(len(order), (block + 1) * order.window)))


def test_orders_differ_by_seed_epoch_and_part() -> None:
    shards = tuple(shard(f"{number}.tar", 50) for number in range(8))
    kinds = [Order(shards, seed, epoch, 100, part, 2) for seed in (1, 2) for epoch in (0, 1) for part in (0, 1)]
    assert len({tuple(order.places()) for order in kinds}) == len(kinds)
    assert len({shard for shard, _ in kinds[0].places()}) == 4  # a reader opens its own shards only


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    return load_manifest(release(tmp_path / "lake", [pair_row(number) for number in range(60)], LAYOUT))


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(3) as threads:
        yield threads


def train_shards(manifest: Manifest) -> tuple[Shard, ...]:
    return tuple(shard for shard in manifest.shards if shard.split == "train")


def stream(
    manifest: Manifest,
    pool: ThreadPoolExecutor,
    cache: Path,
    window: int = 20,
    prepare: Callable[[Pair], str] = lambda pair: pair.pair_id,
    ahead: int = 16,
) -> PairStream[str]:
    samples = Samples(manifest, ShardCache(cache, 10**9))
    return PairStream(samples, Order(train_shards(manifest), 1, 0, window), prepare, pool, BadSamples(), ahead)


def test_a_stream_gives_what_the_tars_hold_once_each(
    manifest: Manifest, pool: ThreadPoolExecutor, tmp_path: Path
) -> None:
    held = {pair.pair_id: pair for pair in read_pairs(map(manifest.path, train_shards(manifest)))}
    samples = Samples(manifest, ShardCache(tmp_path, 0))
    order = Order(train_shards(manifest), 1, 0, 20)
    found = list(PairStream(samples, order, lambda pair: pair, pool, BadSamples()))
    assert {pair.pair_id: pair for pair in found} == held
    assert len(found) == len(held) > 30
    assert [pair.pair_id for pair in found] != list(held)


@pytest.mark.parametrize("left_at", [0, 1, 7, 20, 33])
def test_a_stream_goes_on_where_it_was_left(
    manifest: Manifest, pool: ThreadPoolExecutor, tmp_path: Path, left_at: int
) -> None:
    def prepare(pair: Pair) -> str:
        if int(pair.query_id[1:]) % 5 == 0:
            raise RowError("unlucky", f"{pair.query_id} is a multiple of five")
        return pair.pair_id

    whole = list(stream(manifest, pool, tmp_path, prepare=prepare))
    first = stream(manifest, pool, tmp_path, prepare=prepare)
    begun = list(islice(first, left_at))
    second = stream(manifest, pool, tmp_path, prepare=prepare)
    second.load_state_dict(first.state_dict())
    rest = list(second)
    assert begun + rest == whole
    assert first.bad.counts["unlucky"] + second.bad.counts["unlucky"] == len(second.order) - len(whole) > 0
    assert "multiple of five" in (first.bad.first | second.bad.first)["unlucky"]


def test_the_state_of_another_reader_is_refused(manifest: Manifest, pool: ThreadPoolExecutor, tmp_path: Path) -> None:
    reader = stream(manifest, pool, tmp_path)
    with pytest.raises(UsageError, match="cannot go on"):
        reader.load_state_dict(reader.state_dict() | {"epoch": 3})


@pytest.mark.parametrize("ahead", [0, 1, 3, 4, 16, 22])
def test_what_is_under_way_is_bounded(manifest: Manifest, tmp_path: Path, ahead: int) -> None:
    prepared: list[str] = []

    def prepare(pair: Pair) -> str:
        prepared.append(pair.pair_id)
        return pair.pair_id

    with ThreadPoolExecutor(3) as pool:
        reader = stream(manifest, pool, tmp_path, prepare=prepare, ahead=ahead)
        next(iter(reader))
    assert max(1, ahead - 3) <= len(prepared) <= max(1, ahead) < len(reader.order)


def damage(path: Path, kind: str) -> None:
    """Damage a tar after its third sample: within a member's JSON, within a header, or by cutting it off."""
    with tarfile.open(path) as tar:
        member = [entry for entry in tar if entry.name.endswith(".json")][3]
    place = {"json": member.offset_data, "header": member.offset + 10, "cut": member.offset_data + 5}[kind]
    data = bytearray(path.read_bytes())
    data[place] ^= 0xFF
    path.write_bytes(bytes(data[:place] if kind == "cut" else data))


@pytest.mark.parametrize("kind", ["json", "header", "cut"])
def test_bad_samples_are_left_out_and_counted(
    manifest: Manifest, pool: ThreadPoolExecutor, tmp_path: Path, kind: str
) -> None:
    whole = list(stream(manifest, pool, tmp_path))
    hurt = train_shards(manifest)[1]
    own = [pair.pair_id for pair in read_pairs([manifest.path(hurt)])]
    damage(Path(manifest.path(hurt)), kind)
    reader = stream(manifest, pool, tmp_path)
    lost = {own[3]} if kind == "json" else set(own[3:])
    assert list(reader) == [pair_id for pair_id in whole if pair_id not in lost]
    assert reader.bad.counts == {"corrupt_sample": len(lost)}
    assert hurt.name in reader.bad.first["corrupt_sample"]


def test_a_missing_shard_ends_the_reading(manifest: Manifest, pool: ThreadPoolExecutor, tmp_path: Path) -> None:
    Path(manifest.path(train_shards(manifest)[0])).unlink()
    with pytest.raises(ReleaseCorrupt, match="is missing"):
        list(stream(manifest, pool, tmp_path))


def test_a_tar_with_a_foreign_member_ends_the_reading(
    manifest: Manifest, pool: ThreadPoolExecutor, tmp_path: Path
) -> None:
    with tarfile.open(manifest.path(train_shards(manifest)[0]), "a") as tar:
        tar.addfile(tarfile.TarInfo("weights.pkl"))
    with pytest.raises(ReleaseCorrupt, match=r"weights\.pkl"):
        list(stream(manifest, pool, tmp_path))


class TestBucket:
    """Shards in an object store are fetched once and checked."""

    @pytest.fixture
    def far(self, s3: S3Server) -> Manifest:
        return load_manifest(release(f"{s3.bucket()}/lake", [pair_row(number) for number in range(60)], LAYOUT))

    def test_a_shard_is_fetched_once_and_then_read_here(
        self, far: Manifest, s3: S3Server, pool: ThreadPoolExecutor, tmp_path: Path
    ) -> None:
        cache = tmp_path / "cache"
        first = list(stream(far, pool, cache))
        assert {file.stem for file in cache.iterdir()} == {shard.sha256 for shard in train_shards(far)}
        s3.requests.clear()
        assert list(stream(far, pool, cache)) == first
        assert not [request for request in s3.requests if ".tar" in request]

    def test_a_shard_with_other_bytes_is_refused(self, far: Manifest, pool: ThreadPoolExecutor, tmp_path: Path) -> None:
        hurt = train_shards(far)[1]
        store = Store(far.folder)
        store.write(hurt.name, store.read(hurt.name)[:-1] + b"x")
        with pytest.raises(ReleaseCorrupt, match=f"{hurt.name} came with sha256"):
            list(stream(far, pool, tmp_path / "cache"))
        assert not list((tmp_path / "cache").glob(f"{hurt.sha256}*"))
        assert not list((tmp_path / "cache").glob(".fetching*"))

    def test_copies_used_longest_ago_make_room(self, far: Manifest, tmp_path: Path) -> None:
        one, two, three = train_shards(far)[:3]
        cache = ShardCache(tmp_path, one.bytes + two.bytes + three.bytes - 1)
        for shard in (one, two, one, three):
            kept = cache.local(far.path(shard), shard)
            assert kept.stat().st_size == shard.bytes
        assert {file.stem for file in tmp_path.iterdir()} == {one.sha256, three.sha256}

    def test_a_missing_shard_is_named(self, far: Manifest, pool: ThreadPoolExecutor, tmp_path: Path) -> None:
        Store(far.folder).fs.rm_file(Store(far.folder).full(train_shards(far)[0].name))
        with pytest.raises(ReleaseCorrupt, match="is missing"):
            list(stream(far, pool, tmp_path))


def test_local_shards_are_not_copied(manifest: Manifest, pool: ThreadPoolExecutor, tmp_path: Path) -> None:
    list(stream(manifest, pool, tmp_path / "cache"))
    assert not (tmp_path / "cache").exists()
