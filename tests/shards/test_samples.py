"""Samples by shard and position: what tarfile reads, of a damaged tar what lies before that, no foreign members."""

import io
import json
import os
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.errors import ReleaseCorrupt, RowError
from shards.cache import ShardCache
from shards.files import Shard
from shards.manifest import Manifest
from shards.reader import read_pairs
from shards.records import Pair
from shards.samples import Samples
from shards.ustar import Member, read_headers
from shards.writer import write_tar

SAMPLES = 4
HEADER = 512  # bytes
SIZE = slice(124, 136)  # where a header tells the size of what follows


def tar_of_pairs() -> bytes:
    """A shard of pairs of frame and clip."""
    file, samples = io.BytesIO(), list[dict[str, object]]()
    for number in range(SAMPLES):
        facts = {"pair_id": f"p{number}", "task": "I2V", "video_id": "v", "query_id": "q", "target_id": "t"}
        media = {"query.jpg": b"j" * (300 * number + 1), "target.mp4": b"m" * 700}
        samples.append({"__key__": f"p{number}", "json": json.dumps(facts).encode(), **media})
    write_tar(file, samples)
    return file.getvalue()


WHOLE = tar_of_pairs()
with tarfile.open(fileobj=io.BytesIO(WHOLE)) as opened:
    HEADERS = [entry.offset for entry in opened]


def read_all(path: Path, data: bytes) -> Iterator[Pair | RowError]:
    """What is read of the samples of a tar of these bytes."""
    path.write_bytes(data)
    shard = Shard(path.name, len(data), "", "train", "I2V", SAMPLES)
    samples = Samples(Manifest(str(path.parent), "id", (shard,), (), {}), ShardCache(path.parent, 0))
    for position in range(SAMPLES):
        try:
            yield samples.read(shard, position)
        except RowError as error:
            yield error


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("samples") / "x.tar"


@pytest.fixture(scope="module")
def pairs(path: Path) -> list[Pair]:
    """The pairs as tarfile reads them."""
    path.write_bytes(WHOLE)
    return list(read_pairs([str(path)]))


def check_lost(found: list[Pair | RowError], pairs: list[Pair], first: int) -> None:
    """The pairs before the first lost one are there; the others are named as corrupt."""
    assert found[:first] == pairs[:first]
    for position, error in enumerate(found[first:], first):
        assert isinstance(error, RowError)
        assert error.reason == "corrupt_sample"
        assert f"x.tar: sample {position} " in error.message


def test_samples_are_what_tarfile_reads(path: Path, pairs: list[Pair]) -> None:
    assert list(read_all(path, WHOLE)) == pairs
    assert len(pairs) == SAMPLES


@given(st.sampled_from(range(len(HEADERS))), st.integers(0, HEADER - 1), st.integers(1, 255))
def test_behind_a_damaged_header_samples_are_lost(
    path: Path, pairs: list[Pair], number: int, place: int, flipped: int
) -> None:
    data = bytearray(WHOLE)
    data[HEADERS[number] + place] ^= flipped
    found = list(read_all(path, bytes(data)))
    if found != pairs:  # a blank behind a number may as well be a zero
        check_lost(found, pairs, number // 3)


@given(st.integers(0, len(WHOLE) - 1))
def test_of_a_tar_that_is_cut_off_what_lies_behind_is_lost(path: Path, pairs: list[Pair], left: int) -> None:
    found = list(read_all(path, WHOLE[:left]))
    ends = [HEADERS[3 * number + 2] + HEADER + 700 for number in range(SAMPLES)]
    check_lost(found, pairs, sum(end <= left for end in ends))


def with_header(number: int, field: slice, value: bytes) -> bytes:
    """The shard with another value in a header, which has the checksum for it."""
    header = bytearray(WHOLE[HEADERS[number] :][:HEADER])
    header[field] = value.ljust(field.stop - field.start, b"\0")
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return WHOLE[: HEADERS[number]] + header + WHOLE[HEADERS[number] + HEADER :]


@pytest.mark.parametrize("size", [b"-0000002000", b"00000000_10", b"9", b"", b"\x80\0\0\1"])
def test_a_size_that_is_no_octal_number_ends_a_tar(path: Path, pairs: list[Pair], size: bytes) -> None:
    """One below zero would lead back to where the reader was."""
    check_lost(list(read_all(path, with_header(4, SIZE, size))), pairs, 1)


@pytest.mark.parametrize(
    ("field", "value", "name"),
    [
        (slice(0, 100), b"../p1.json", "../p1.json"),
        (slice(0, 100), b"/etc/p1.json", "/etc/p1.json"),
        (slice(0, 100), b"..\\p1.json", "..\\p1.json"),
        (slice(0, 100), b"p1.pkl", "p1.pkl"),
        (slice(0, 100), b"", ""),
        (slice(0, 100), b"p1.json\xff", "p1.json\ufffd"),
        (slice(345, 500), b"../above", "../above/p1.json"),  # the folder's own field
        *((slice(156, 157), kind, "p1.json") for kind in (b"1", b"2", b"3", b"5", b"6", b"S", b"L", b"x", b"g")),
    ],
)
def test_a_tar_with_a_foreign_member_is_refused(path: Path, field: slice, value: bytes, name: str) -> None:
    with pytest.raises(ReleaseCorrupt, match=re.escape(f"x.tar: member {name!r} is ")):
        list(read_all(path, with_header(3, field, value)))


def test_a_header_that_renames_the_next_member_is_not_followed(path: Path) -> None:
    """Other tools would write the second member to the folder above."""
    renamed = tarfile.TarInfo("p1.json")
    renamed.pax_headers = {"path": "../p1.json"}
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        tar.addfile(renamed)
    with pytest.raises(ReleaseCorrupt, match="holds plain files only"):
        list(read_all(path, path.read_bytes()))


NAMES = st.text(st.characters(codec="ascii", exclude_characters="\0/"), min_size=1, max_size=100)


@given(st.lists(st.tuples(NAMES, st.integers(0, 2000), st.sampled_from([b"0", b"\0", b"2"])), max_size=6))
def test_headers_are_read_as_tarfile_reads_them(path: Path, told: list[tuple[str, int, bytes]]) -> None:
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        for name, size, kind in told:
            entry = tarfile.TarInfo(name)
            entry.type, entry.size = kind, size if kind != b"2" else 0
            tar.addfile(entry, io.BytesIO(b"x" * size))
    with tarfile.open(path) as tar:
        expected = [Member(entry.name, entry.isfile(), entry.offset_data, entry.size) for entry in tar]
    file = os.open(path, os.O_RDONLY)
    try:
        assert list(read_headers(file)) == expected
    finally:
        os.close(file)
