"""`uvr eval` on data laid out as UVRB: what it writes, what it tells apart, how it runs under torchrun and Ray."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import small_uvrb
from rank_processes import free_port

from eval.uvrb.files import read_report
from flows.evaluation import is_uvrb


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """The data, the model, and the report of the model as it is."""
    root = tmp_path_factory.mktemp("evaluated")
    small_uvrb.write_small_uvrb(root / "data")
    small_uvrb.save_tiny_gve(root / "model")
    done = uvr(root / "data", root / "model", root / "out", root / "cache")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == str(root / "out" / "uvrb.html")
    return root / "data", root / "model", root / "out"


def uvr(
    data: Path, model: Path, out: Path, cache: Path, *more: str, ranks: int = 1, cwd: Path | None = None
) -> "subprocess.CompletedProcess[str]":
    launcher = [sys.executable]
    if ranks > 1:
        launcher += ["-m", "torch.distributed.run", f"--nproc-per-node={ranks}", "--master-addr=127.0.0.1"]
        launcher += [f"--master-port={free_port()}", "--max-restarts=0"]
    arguments = ["--data", str(data), "--model", str(model), "--out", str(out), "--cache", str(cache), *more]
    return subprocess.run(
        [*launcher, "-m", "flows.cli", "eval", *arguments],
        env=os.environ | {"OMP_NUM_THREADS": "1"},  # as torchrun sets it: more would round sums differently
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
    )


def test_it_writes_every_report(places: tuple[Path, Path, Path]) -> None:
    _, model, out = places
    report = read_report(str(out / "uvrb.json"))
    assert [scores.dataset for scores in report.datasets] == ["MSRVTT", "MS-TI", "MSRVTT-I2V"]
    assert (report.model, report.frames, report.tokens) == (str(model), 4, 4)
    assert {path.name for path in out.iterdir()} == {"uvrb.json", "uvrb.md", "uvrb.csv", "uvrb.html"}


def test_torchrun_gives_the_same_bytes(places: tuple[Path, Path, Path], tmp_path: Path) -> None:
    data, model, out = places
    done = uvr(data, model, tmp_path / "out", tmp_path / "cache", ranks=2)
    assert done.returncode == 0, done.stderr
    assert small_uvrb.digest_of(tmp_path / "out") == small_uvrb.digest_of(out)


@pytest.mark.slow
def test_ray_workers_give_the_same_bytes(places: tuple[Path, Path, Path], tmp_path: Path) -> None:
    data, model, out = places
    there = Path(data.name)  # a relative path means the same to workers
    done = uvr(there, model, tmp_path / "out", tmp_path / "cache", "--workers", "2", cwd=data.parent)
    assert done.returncode == 0, done.stderr
    assert small_uvrb.digest_of(tmp_path / "out") == small_uvrb.digest_of(out)


def test_other_frames_are_another_model_which_is_compared(places: tuple[Path, Path, Path], tmp_path: Path) -> None:
    data, model, out = places
    more = ["--frames", "6", "--tokens", "9", "--datasets", "MSRVTT", "--against", str(out / "uvrb.json")]
    done = uvr(data, model, tmp_path / "out", tmp_path / "cache", *more)
    assert done.returncode == 0, done.stderr
    report, before = (read_report(str(folder / "uvrb.json")) for folder in (tmp_path / "out", out))
    assert (report.frames, report.tokens, len(report.datasets)) == (6, 9, 1)
    assert report.model_id != before.model_id
    comparison = json.loads((tmp_path / "out" / "against.json").read_text())
    assert [one["name"] for one in comparison["datasets"]] == ["MSRVTT"]
    assert comparison["left_out"] == ["MS-TI", "MSRVTT-I2V"]


def test_videos_are_classified_by_a_label_set(places: tuple[Path, Path, Path], tmp_path: Path) -> None:
    data, model, _ = places
    videos = sorted((data / "MSRVTT" / "videos").iterdir())[:4]
    rows = "".join(f"{video},{label}\n" for video, label in zip(videos, ("up", "down", "up", "down"), strict=True))
    (tmp_path / "moves.csv").write_text(f"path,label\n{rows}")
    more = ["--datasets", "MSRVTT", "--labels", str(tmp_path / "moves.csv")]
    done = uvr(data, model, tmp_path / "out", tmp_path / "cache", *more)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "out" / "labels.json").read_text())["moves"]
    assert (found["videos"], found["labels"], found["chance"]) == (4, 2, 0.5)
    assert found["accuracy"] in (0.0, 0.25, 0.5, 0.75, 1.0)
    assert "| moves |" in done.stdout
    assert "Zero-shot classification" in (tmp_path / "out" / "uvrb.html").read_text()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--datasets", "MSRVT"], "did you mean MSRVTT?"),
        (["--tokens", "1"], "a frame of this model at least 4 tokens"),
        (["--against", "nowhere.json"], "no report of UVRB at nowhere.json"),
        (["--beside", "nowhere.json"], "no report of UVRB at nowhere.json"),
        (["--labels", "nowhere.csv"], "nowhere.csv cannot be read as a table"),
    ],
)
def test_wrong_usage_is_told_in_one_line(
    places: tuple[Path, Path, Path], tmp_path: Path, more: list[str], said: str
) -> None:
    data, model, _ = places
    done = uvr(data, model, tmp_path / "out", tmp_path / "cache", *more)
    assert done.returncode == 2
    assert said in done.stderr.splitlines()[-1]
    assert not (tmp_path / "out").exists()


def test_uvrb_is_told_from_a_release(tmp_path: Path) -> None:
    assert not is_uvrb(str(tmp_path))
    (tmp_path / "LoVR-V.tar").write_bytes(b"")
    assert is_uvrb(str(tmp_path))
    (tmp_path / "manifest.json").write_text("{}")
    assert not is_uvrb(str(tmp_path))
    assert not is_uvrb(str(tmp_path / "manifest.json"))


def test_options_of_uvrb_are_refused_for_a_release(tmp_path: Path) -> None:
    done = uvr(tmp_path, tmp_path, tmp_path / "out", tmp_path / "cache", "--frames", "16")
    assert done.returncode == 2
    assert "holds no dataset of UVRB" in done.stderr
