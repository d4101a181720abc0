"""UVRB's evaluation: scores by hand and by chance, each side embedded once, resumed after a kill, in two processes."""

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import small_uvrb
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from rank_processes import on_ranks
from small_uvrb import NAMES, SCORED, Counting, NoiseEmbedder, evaluate_as_rank, evaluate_small, open_cache

from eval.uvrb.datasets import named
from eval.uvrb.embedding import BATCH_BYTES, BATCH_SIDES, Known, batches, embed_missing
from eval.uvrb.evaluate import evaluate, score_dataset
from eval.uvrb.records import Benchmark, Query
from infra.errors import RunFailed, UsageError
from shards.records import Side
from train.gve import Gve


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("uvrb")
    small_uvrb.write_small_uvrb(root)
    return root


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gve")
    small_uvrb.save_tiny_gve(folder)
    return folder


def made_benchmark(
    name: str, positives: Sequence[Sequence[int]], corpus: int, candidates: Sequence[Sequence[int]] = ()
) -> Benchmark:
    """A dataset without files: queries q0, q1, ... and videos v000, v001, ..."""
    ids = [f"v{row:03d}" for row in range(corpus)]
    queries = tuple(Query(f"q{row:03d}", "") for row in range(len(positives)))
    return Benchmark(
        dataset=named([name])[0],
        queries=queries,
        corpus={name: f"{name}.mp4" for name in ids},
        positives={f"q{row:03d}": tuple(ids[p] for p in right) for row, right in enumerate(positives)},
        candidates={f"q{row:03d}": tuple(ids[c] for c in among) for row, among in enumerate(candidates)},
        files=small_uvrb.Folder(Path()),
    )


def axes(*rows: int, dim: int = 4) -> NDArray[np.float32]:
    return np.eye(dim, dtype=np.float32)[list(rows)]


def test_planted_vectors_give_scores_by_hand() -> None:
    """Videos on axes 0, 1, 1, 2, 3; of the equal scores of the others, the lower row comes first."""
    corpus = axes(0, 1, 1, 2, 3)
    benchmark = made_benchmark("MSRVTT", [[0], [2], [1, 2], [4, 0]], 5)
    scores = score_dataset(benchmark, axes(0, 1, 1, 2), corpus)
    assert scores.first[:2] == (("v000", "v001", "v002", "v003", "v004"), ("v001", "v002", "v000", "v003", "v004"))
    assert scores.first[3][:3] == ("v003", "v000", "v001")
    assert scores.rank == (1, 2, 1, 2)
    assert scores.query_scores == (1, 0, 0.5, 0)
    assert scores.score == pytest.approx(1.5 / 4)
    assert scores.recall == pytest.approx({1: 1.5 / 4, 5: 1, 10: 1})
    assert scores.hit == pytest.approx({1: 0.5, 5: 1, 10: 1})
    second, fifth = 1 / np.log2(3), 1 / np.log2(6)
    assert scores.ndcg_10 == pytest.approx((1 + second + 1 + (second + fifth) / (1 + second)) / 4)
    assert scores.chance == pytest.approx(1 / 5)
    assert (scores.queries, scores.corpus, scores.metric) == (4, 5, "R@1")
    assert scores.right[2] == ("v001", "v002")


def test_a_query_with_candidates_is_ranked_among_them_alone() -> None:
    corpus = axes(0, 1, 1, 2, 3)
    benchmark = made_benchmark("MS-TI", [[2], [3], [0, 4]], 5, [[2, 3], [3, 2, 0, 4], [4, 0, 1]])
    scores = score_dataset(benchmark, axes(1, 1, 1), corpus)
    assert scores.first == (("v002", "v003"), ("v002", "v000", "v003", "v004"), ("v001", "v000", "v004"))
    assert scores.rank == (1, 3, 2)
    assert scores.query_scores == (1, 0, 0)
    assert scores.chance == pytest.approx((1 / 2 + 1 / 4 + 2 / 3) / 3)
    assert scores.recall[5] == 1


@pytest.mark.parametrize("name", ["MSRVTT", "CMRB", "MS-TI"])
def test_noise_scores_at_chance(name: str) -> None:
    """1,200 queries over 40 videos, with one to three right ones; four standard errors."""
    rng = np.random.default_rng(3)
    positives = [rng.choice(40, rng.integers(1, 4), replace=False).tolist() for _ in range(1200)]
    among = [[*right, *(row for row in range(40) if row not in right)][:10] for right in positives]
    vectors = rng.normal(size=(1240, 16)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    benchmark = made_benchmark(name, positives, 40, among if name == "MS-TI" else [])
    scores = score_dataset(benchmark, vectors[:1200], vectors[1200:])
    error = np.std(scores.query_scores) / np.sqrt(1200)
    assert scores.score == pytest.approx(scores.chance, abs=4 * error)
    assert scores.interval[0] <= scores.score <= scores.interval[1]


def test_each_distinct_side_is_embedded_once_and_only_queries_carry_an_instruction(data: Path, tmp_path: Path) -> None:
    embedder = NoiseEmbedder()
    report = evaluate_small(data, tmp_path, tmp_path, embedder)
    videos = [(side, said) for side, said in embedder.asked if side.video is not None]
    assert len(videos) == len(set(videos)) == 12  # of three datasets with the same videos
    assert {said for _, said in videos} == {""}
    asked = {
        dataset.instruction: [s for s, said in embedder.asked if said == dataset.instruction]
        for dataset in named(NAMES)
    }
    assert [len(sides) for sides in asked.values()] == [12, 6, 8]
    assert [scores.queries for scores in report.datasets] == [12, 6, 8]
    assert report.scores.keys() == set(NAMES)
    again = NoiseEmbedder()
    assert evaluate_small(data, tmp_path, tmp_path, again) == report
    assert again.asked == []


def test_a_killed_evaluation_goes_on_and_reports_the_same(data: Path, model: Path, tmp_path: Path) -> None:
    whole = Counting(Gve.load(model))
    report = evaluate_small(data, model, tmp_path / "whole", whole)
    assert whole.sides == 12 + 6 + 8 + 12
    command = [sys.executable, small_uvrb.__file__, *map(str, (data, model, tmp_path / "killed")), "3"]
    killed = subprocess.run(command, env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}, check=False)
    assert killed.returncode == -9
    rest = Counting(Gve.load(model))
    assert evaluate_small(data, model, tmp_path / "killed", rest) == report
    assert rest.batches == whole.batches - 2
    assert 0 < rest.sides < whole.sides
    assert kept(tmp_path / "killed") == kept(tmp_path / "whole")


def kept(cache: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in (cache / SCORED.model_id).iterdir()}


def test_two_processes_report_what_one_does_and_share_the_work(data: Path, model: Path, tmp_path: Path) -> None:
    report = evaluate_small(data, model, tmp_path / "one")
    (first, own), (second, other) = on_ranks(2, partial(evaluate_as_rank, data, model, tmp_path / "two"))
    assert own == other == report
    assert first + second == 12 + 6 + 8 + 12
    assert min(first, second) > 0
    assert kept(tmp_path / "two") == kept(tmp_path / "one")


def test_what_is_damaged_is_embedded_again(data: Path, tmp_path: Path) -> None:
    report = evaluate_small(data, tmp_path, tmp_path, NoiseEmbedder())
    file = max((tmp_path / SCORED.model_id).iterdir(), key=lambda path: path.stat().st_size)
    file.write_bytes(file.read_bytes()[:-5])
    told: list[str] = []
    embedder = NoiseEmbedder()
    cache = open_cache(tmp_path, embedder, told.append)
    assert evaluate(small_uvrb.read_small_uvrb(data), embedder, cache, SCORED) == report
    assert [file.name in line for line in told] == [True]
    assert len(embedder.asked) == 12


def test_a_video_that_cannot_be_decoded_is_named(data: Path, model: Path, tmp_path: Path) -> None:
    class Broken(small_uvrb.Folder):
        def read(self, name: str) -> bytes:
            return b"no video" if name == "videos/v05.mp4" else super().read(name)

    [benchmark] = small_uvrb.read_small_uvrb(data, ["MSRVTT"])
    benchmark = replace(benchmark, files=Broken(data / "MSRVTT"))
    gve = Gve.load(model)
    with pytest.raises(UsageError, match=r"MSRVTT, video v05 cannot be embedded: .*"):
        embed_missing([benchmark], gve, open_cache(tmp_path, gve))


def test_vectors_that_are_no_unit_vectors_are_not_kept(data: Path, tmp_path: Path) -> None:
    class Wrong(NoiseEmbedder):
        def embed(self, sides: Sequence[Side], instruction: str = "") -> NDArray[np.float32]:
            return super().embed(sides, instruction) * np.float32("nan")

    with pytest.raises(RunFailed, match="length one"):
        evaluate_small(data, tmp_path, tmp_path, Wrong())
    assert not (tmp_path / SCORED.model_id).exists()


SOME = st.builds(
    Known,
    key=st.integers(0, 40).map(lambda n: n.to_bytes(32, "big")),
    instruction=st.just(""),
    kind=st.sampled_from(["text", "video"]),
    letters=st.integers(0, 5),
    media_bytes=st.sampled_from([0, BATCH_BYTES // 3, 2 * BATCH_BYTES]),
)


@given(st.lists(SOME, max_size=100) | st.lists(SOME.map(lambda k: replace(k, media_bytes=0, letters=1)), max_size=100))
def test_batches_hold_each_distinct_side_once_and_are_bounded(known: list[Known]) -> None:
    made = batches(known)
    rows = [row for batch in made for row in batch]
    assert sorted(rows) == sorted({known.index(side) for side in {k.key: k for k in reversed(known)}.values()})
    for batch in made:
        assert 0 < len(batch) <= BATCH_SIDES
        assert len({known[row].kind for row in batch}) == 1
        assert len(batch) == 1 or sum(known[row].media_bytes for row in batch) <= BATCH_BYTES
        assert [known[row].letters for row in batch] == sorted(known[row].letters for row in batch)
