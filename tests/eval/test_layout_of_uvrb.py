"""UVRB's public layout: read alike from folders and archives; every fault is one line and exit code 2."""

import json
import pickle
import shutil
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from bad_layouts import BAD
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner
from uvrb_layout import JPEG, VIDEO, as_tar, as_zip, write, write_dataset, write_rows

from eval.uvrb.assemble import CORPUS, INSTANCES, QUERIES, assemble
from eval.uvrb.datasets import DATASETS, named
from eval.uvrb.layout import problems, read, read_benchmark, sizes
from eval.uvrb.media import DatasetFiles
from eval.uvrb.records import Benchmark
from eval.uvrb.rows import Problem
from flows.cli import app, main
from infra.errors import RowError, UsageError
from infra.media.frames import PackedFrames
from shards.records import Side


def check(root: Path, *options: str) -> tuple[int, list[str]]:
    """Exit code of `uvr benchmark check`, and the lines that it prints."""
    result = CliRunner().invoke(app, ["benchmark", "check", str(root), *options], catch_exceptions=False)
    return result.exit_code, result.stdout.splitlines()


def sides(benchmark: Benchmark) -> tuple[list[Side], list[Side]]:
    """All that a model would be shown of a dataset: queries, then the corpus."""
    queries = [benchmark.query_side(query) for query in benchmark.queries]
    return queries, [benchmark.target_side(name) for name in benchmark.corpus]


def tables(benchmark: Benchmark) -> tuple[object, ...]:
    return benchmark.queries, dict(benchmark.corpus), dict(benchmark.positives), dict(benchmark.candidates)


def test_a_dataset_is_read_with_its_media(tmp_path: Path):
    write_dataset(tmp_path, "MS-TI")
    (found,) = read_benchmark(str(tmp_path))
    assert [query.query_id for query in found.queries] == ["q0", "q1", "q2"]
    assert found.queries[1].image == "images/q1.jpg"
    assert found.corpus == {f"v{number}": f"videos/clip{number}.mp4" for number in range(3)}
    assert found.positives == {f"q{number}": (f"v{number}",) for number in range(3)}
    assert found.query_side(found.queries[1]) == Side("text 1", JPEG + b"1")
    assert found.target_side("v2") == Side(video=VIDEO + b"2")


def test_where_a_candidate_stands_does_not_tell_whether_it_is_right(tmp_path: Path):
    write_dataset(tmp_path, "MS-TV")
    (found,) = read_benchmark(str(tmp_path))
    assert set(found.candidates.values()) == {("v0", "v1", "v2")}
    write_dataset(tmp_path, "MSRVTT")
    assert not read_benchmark(str(tmp_path), ["MSRVTT"])[0].candidates


@pytest.mark.parametrize(
    "pack",
    [
        as_zip,
        as_tar,
        lambda folder: as_zip(folder, zipfile.ZIP_DEFLATED),
        lambda folder: as_zip(folder, within=f"{folder.name}/"),
        lambda folder: as_tar(folder, within=folder.name),
        lambda folder: [as_tar(media) for media in folder.iterdir() if media.name != "jsonl"],
        lambda folder: [as_zip(media, within=f"{media.name}/") for media in folder.iterdir() if media.name != "jsonl"],
    ],
    ids=["zip", "tar", "deflated", "zip of the folder", "tar of the folder", "tars of media", "zips of media"],
)
@pytest.mark.parametrize("name", ["MS-TI", "LoVR-C2V"])
def test_an_archive_is_read_as_the_folder_is(tmp_path: Path, name: str, pack: Callable[[Path], object]):
    folder = write_dataset(tmp_path, name)
    (folder / "videos/clip1.mp4").unlink()
    for frame in (1, 2, 10):
        write(folder / f"videos_frames/clip1/frame_{frame}.jpg", JPEG + b"frame %d" % frame)
    (wanted,) = read_benchmark(str(tmp_path))
    wanted_sides = sides(wanted)
    pack(folder)
    (found,) = read_benchmark(str(tmp_path))
    assert tables(found) == tables(wanted)
    assert sides(found) == wanted_sides
    assert sides(pickle.loads(pickle.dumps(found))) == wanted_sides, "workers read it too"


def test_a_tar_with_headers_about_the_next_member_is_read(tmp_path: Path):
    folder = write_dataset(tmp_path, "MSRVTT", 1)
    long = "videos/" + "long name " * 20 + "é.mp4"
    write_rows(folder, "corpus", [{"id": "v0", "video": long}])
    write(folder / long, VIDEO + b"long")
    for form in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
        with tarfile.open(tmp_path / "MSRVTT.tar", "w", format=form) as archive:
            archive.add(folder, "MSRVTT")
        (found,) = read_benchmark(str(_alone(tmp_path / "MSRVTT.tar")))
        assert found.target_side("v0").video == VIDEO + b"long"


def _alone(archive: Path) -> Path:
    """A new folder that holds nothing but an archive."""
    folder = archive.with_name(f"alone-{archive.stat().st_mtime_ns}")
    folder.mkdir()
    return Path(shutil.copy(archive, folder)).parent


def test_media_go_by_bare_names_or_by_names_with_their_folder(tmp_path: Path):
    folder = write_dataset(tmp_path, "MSRVTT")
    names = ["clip0.mp4", "./videos/clip1.mp4", "deep/er/clip2.mp4"]
    write(folder / "videos_frames/deep/er/clip2/1.PNG", b"\x89PNG\r\n\x1a\n")
    write_rows(folder, "corpus", [{"id": f"v{number}", "video": name} for number, name in enumerate(names)])
    (found,) = read_benchmark(str(tmp_path))
    assert list(found.corpus.values()) == ["videos/clip0.mp4", "videos/clip1.mp4", "videos_frames/deep/er/clip2"]


def test_frames_are_in_the_order_of_their_numbers(tmp_path: Path):
    folder = write_dataset(tmp_path, "MSRVTT", 1)
    (folder / "videos/clip0.mp4").unlink()
    for name in ("f_10.jpg", "f_9.jpg", "f_010.jpg", "._f_1.jpg", "note.txt"):
        write(folder / "videos_frames/clip0" / name, JPEG + name.encode())
    (found,) = read_benchmark(str(tmp_path))
    packed = PackedFrames(found.target_side("v0").video or b"")
    assert [packed.read(number)[len(JPEG) :] for number in range(len(packed))] == [
        b"f_9.jpg",
        b"f_010.jpg",
        b"f_10.jpg",
    ]


def test_ids_may_be_whole_numbers_and_lines_may_be_blank_or_marked(tmp_path: Path):
    folder = write_dataset(tmp_path, "MSRVTT", 1)
    write(folder / QUERIES, '\ufeff{"id": 7, "text": "a\u2028b"}\r\n\n'.encode())
    write_rows(folder, "instances", [{"qid": "7", "pos": ["v0"], "neg": None}])
    (found,) = read_benchmark(str(tmp_path))
    assert found.positives == {"7": ("v0",)}
    assert found.queries[0].text == "a\u2028b"


def test_datasets_that_are_not_there_are_told_and_are_no_problem(tmp_path: Path):
    write_dataset(tmp_path, "MSRVTT")
    write_dataset(tmp_path, "CRB-G")
    write(tmp_path / "unknown/evil.pkl", b"never opened")
    found = read(str(tmp_path))
    assert [benchmark.dataset.name for benchmark in found.benchmarks] == ["MSRVTT", "CRB-G"]
    assert set(found.missing) == {dataset.name for dataset in DATASETS} - {"MSRVTT", "CRB-G"}
    code, lines = check(tmp_path, "--datasets", "CRB-G, PEV-K")
    assert code == 0
    assert lines == [
        "CRB-G: 3 queries, 3 videos, 3 positives; not the published size: "
        "3 queries, published with 1000; 3 videos, published with 1000",
        "not there: PEV-K",
    ]


def test_sizes_are_told_only_where_they_differ(tmp_path: Path):
    write_dataset(tmp_path, "LoVR-C2V", 467)
    write_dataset(tmp_path, "MS-TI", 400)
    write_dataset(tmp_path, "MS-TV", 10)
    by_name = {found.dataset.name: sizes(found) for found in read_benchmark(str(tmp_path))}
    assert by_name == {
        "LoVR-C2V": None,
        "MS-TI": "400 candidates of a query, published with 10",
        "MS-TV": "10 queries, published with 400",
    }


def test_the_check_prints_one_json_document(tmp_path: Path):
    folder = write_dataset(tmp_path, "MSRVTT")
    write_dataset(tmp_path, "DiDeMo")
    (folder / "videos/clip2.mp4").write_bytes(b"")
    code, lines = check(tmp_path, "--json")
    document = json.loads("\n".join(lines))
    assert code == 2
    assert [(row["name"], row["queries"], row["corpus"], row["positives"]) for row in document["datasets"]] == [
        ("DiDeMo", 3, 3, 3)
    ]
    assert "PEV-K" in document["missing"]
    assert document["problems"] == [
        {
            "dataset": "MSRVTT",
            "file": CORPUS,
            "line": 3,
            "id": "v2",
            "what": "videos/clip2.mp4 is empty: fetch it again",
        }
    ]


@pytest.mark.parametrize(("name", "spoil", "told"), BAD.values(), ids=BAD.keys())
def test_what_is_wrong_is_one_line_and_exit_code_2(
    tmp_path: Path, name: str, spoil: Callable[[Path], object], told: str
):
    spoil(write_dataset(tmp_path, name))
    code, lines = check(tmp_path, "--datasets", name)
    assert code == 2
    assert len(lines) == 1
    assert lines[0].startswith(f"problem: {name}: {told}") or f", {told}" in lines[0]
    with pytest.raises(UsageError) as error:
        read_benchmark(str(tmp_path))
    assert f"problem: {error.value}" == lines[0]


def test_media_that_this_user_may_not_read_are_told(tmp_path: Path):
    folder = write_dataset(tmp_path, "MSRVTT", 1)
    (folder / "videos/clip0.mp4").unlink()
    (folder / "videos/clip0.mp4").symlink_to("clip0.mp4")  # to itself, which even root cannot open
    (problem,) = problems(str(tmp_path))
    assert str(problem).startswith(f"MSRVTT: {CORPUS}, line 1, id 'v0': 'videos/clip0.mp4' cannot be read (Too many")


def test_of_many_problems_the_first_are_told_and_how_many_more_there_are(tmp_path: Path):
    folder = write_dataset(tmp_path, "MSRVTT", 9)
    shutil.rmtree(folder / "videos")
    with pytest.raises(UsageError) as error:
        read_benchmark(str(tmp_path))
    lines = str(error.value).splitlines()
    assert len(lines) == 6
    assert lines[-1].startswith("and 4 more problems")
    assert len(problems(str(tmp_path))) == 9


def test_a_file_that_many_rows_name_is_one_problem(tmp_path: Path):
    folder = write_dataset(tmp_path, "MSRVTT-I2V", 5)
    write_rows(folder, "queries", [{"id": f"q{number}", "image": "none.jpg"} for number in range(5)])
    assert len(problems(str(tmp_path))) == 1


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda root: None, "holds none of MSRVTT"),
        (lambda root: root.rmdir(), "is no folder"),
        (lambda root: write_dataset(root.parent, root.name), "is one dataset itself"),
    ],
)
def test_where_no_dataset_is_the_layout_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], make: object, told: str
):
    root = tmp_path / "MSRVTT"
    root.mkdir()
    make(root)
    monkeypatch.setattr(sys, "argv", ["uvr", "benchmark", "check", str(root)])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2
    assert told in capsys.readouterr().err


def test_bytes_that_rotted_in_an_archive_are_not_given_to_a_model(tmp_path: Path):
    path = as_zip(write_dataset(tmp_path, "MSRVTT", 1))
    data = path.read_bytes()
    path.write_bytes(data.replace(VIDEO + b"0", VIDEO + b"1"))
    (found,) = read_benchmark(str(tmp_path))
    with pytest.raises(RowError, match="damaged"):
        found.target_side("v0")


class Memory:
    """Files that are kept in memory."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files

    def size(self, name: str) -> int | None:
        return len(self.files[name]) if name in self.files else None

    def head(self, name: str, count: int) -> bytes:
        return self.files[name][:count]

    def read(self, name: str) -> bytes:
        return self.files[name]

    def names(self, folder: str) -> list[str]:
        return []


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["q", "v", "", "../x", "\ud800"])
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=2)
)
ROWS = st.dictionaries(st.sampled_from(["id", "qid", "text", "video", "image", "pos", "neg"]), VALUES)
LINES = (ROWS.map(json.dumps).map(str.encode) | st.binary(max_size=12)).map(lambda line: line + b"\n")


@given(st.lists(st.lists(LINES, max_size=3).map(b"".join), min_size=3, max_size=3), st.sampled_from(DATASETS))
def test_whatever_the_tables_hold_is_a_benchmark_or_problems_of_one_line(contents: list[bytes], dataset):
    files = dict(zip((QUERIES, CORPUS, INSTANCES), contents, strict=True))
    found = assemble(dataset, DatasetFiles(Memory(files), {}))
    assert isinstance(found, Benchmark) or found
    for problem in [] if isinstance(found, Benchmark) else found:
        assert isinstance(problem, Problem)
        assert len(str(problem).splitlines()) == 1
        assert str(problem).encode()


def test_an_unknown_dataset_is_refused(tmp_path: Path):
    with pytest.raises(UsageError, match="did you mean MSRVTT"):
        read_benchmark(str(tmp_path), ["MSRVT"])
    assert named(["MSRVTT"])
