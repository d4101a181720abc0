"""The sample UVRB: every answer follows from the ground truth, only the right ability finds it, and nothing leaks."""

from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from sample_truth import (
    FactModel,
    RandomModel,
    by_id,
    chance,
    lines,
    load,
    one_frame,
    query_scores,
    ranked_scores,
    seen_table,
    true_table,
)
from typer.testing import CliRunner

from eval.sample_uvrb.analogue import Analogue, Dial
from eval.sample_uvrb.benchmark import ANALOGUES, draw_benchmark
from eval.sample_uvrb.stage import HEIGHT, WIDTH
from eval.sample_uvrb.truth import facts, moving_legs, name
from eval.sample_uvrb.write import MARK, padded, query_id, render_medium, whole, write_benchmark
from eval.uvrb.datasets import DATASETS, named
from eval.uvrb.records import Benchmark
from flows.cli import app
from infra.errors import UsageError
from infra.media.decode import decode_image, sample_frames
from infra.media.encode import encode_image
from infra.sample_world.path import on_screen
from infra.sample_world.render import render
from infra.sample_world.spec import VideoSpec

DIAL = Dial(queries=16, difficulty=0.75, seed=42)
NAMES = tuple(ANALOGUES)
SURE = 3.5  # standard errors that a mean may be off by chance


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sample")
    write_benchmark(str(folder), DIAL)
    return folder


@pytest.fixture(scope="module")
def drawn() -> dict[str, Analogue]:
    return {analogue.name: analogue for analogue in draw_benchmark(DIAL)}


@pytest.fixture(params=NAMES)
def dataset(request: pytest.FixtureRequest, folder: Path) -> Benchmark:
    return load(folder / request.param)


def is_near(scores: np.ndarray, expected: float) -> bool:
    """Whether the mean of shares is what is expected of it; their variance is at most that of hits."""
    return bool(abs(scores.mean() - expected) <= SURE * np.sqrt(expected * (1 - expected) / scores.size))


def test_all_datasets_are_there_with_their_kinds_of_query(folder: Path) -> None:
    assert [dataset.name for dataset in DATASETS] == list(NAMES)
    for name_ in NAMES:
        dataset = load(folder / name_)
        letters = {"T": "text", "I": "image", "V": "video"}
        for query in dataset.queries:
            given = {letter for letter, part in letters.items() if getattr(query, part)}
            assert given == set(dataset.dataset.query)
        assert len(dataset.queries) == (4 if name_ == "LoVR-V" else 16)
        assert bool(dataset.candidates) == (dataset.dataset.metric == "P@1")


@pytest.mark.parametrize("difficulty", [0.0, 0.5, 1.0])
def test_every_answer_follows_from_the_ground_truth(difficulty: float) -> None:
    """One right video where one is asked for, a few where ten results count; the tables say the same."""
    for analogue in draw_benchmark(replace(DIAL, difficulty=difficulty)):
        dataset = named([analogue.name])[0]
        assert len(set(analogue.videos)) == len(analogue.videos)
        for asked in analogue.asked:
            right = analogue.positives(asked)
            assert len(right) == 1 if dataset.k == 1 else 2 <= len(right) <= dataset.k
            assert len(asked.candidates) == (dataset.candidates or 0)


def test_the_tables_say_what_the_ground_truth_says(folder: Path, drawn: dict[str, Analogue]) -> None:
    for name_, analogue in drawn.items():
        dataset = load(folder / name_)
        right = {query_id(name_, asked): analogue.positives(asked) for asked in analogue.asked}
        assert {query: {whole(spec).id for spec in specs} for query, specs in right.items()} == {
            query: set(found) for query, found in dataset.positives.items()
        }


def test_one_who_knows_the_truth_is_always_right(dataset: Benchmark, folder: Path) -> None:
    oracle = FactModel(true_table(dataset, folder / dataset.dataset.name))
    assert query_scores(dataset, oracle).tolist() == [1.0] * len(dataset.queries)


def test_one_who_knows_nothing_is_at_chance(dataset: Benchmark) -> None:
    scores = np.stack([query_scores(dataset, RandomModel(seed)) for seed in range(12)])
    assert is_near(scores, chance(dataset))


def test_the_truth_of_other_videos_is_worth_nothing(dataset: Benchmark, folder: Path) -> None:
    table = true_table(dataset, folder / dataset.dataset.name)
    model = FactModel(table)
    queries = model.embed([dataset.query_side(query) for query in dataset.queries], "find")
    corpus = model.embed([dataset.target_side(one) for one in sorted(dataset.corpus)])
    assert ranked_scores(dataset, queries, corpus).mean() == 1.0
    rng = np.random.default_rng(1)
    scores = [ranked_scores(dataset, queries, corpus[rng.permutation(len(corpus))]) for _ in range(30)]
    assert is_near(np.stack(scores), chance(dataset))


@pytest.mark.parametrize("u", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("name_", ["CRB-T", "CMRB"])
def test_no_single_frame_tells_order_or_camera(name_: str, u: float, folder: Path, drawn: dict[str, Analogue]) -> None:
    dataset = load(folder / name_)
    table = seen_table(dataset, folder / name_, by_id(drawn[name_], lambda spec: one_frame(spec, u)))
    scores = np.stack([query_scores(dataset, FactModel(table, 0.01, seed)) for seed in range(12)])
    assert is_near(scores, chance(dataset))


@pytest.mark.parametrize("u", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("name_", ["CRB-S", "VDC-O"])
def test_a_single_frame_tells_everything_about_space(
    name_: str, u: float, folder: Path, drawn: dict[str, Analogue]
) -> None:
    dataset = load(folder / name_)
    table = seen_table(dataset, folder / name_, by_id(drawn[name_], lambda spec: one_frame(spec, u)))
    assert query_scores(dataset, FactModel(table)).mean() == 1.0


def test_events_without_their_order_leave_as_many_videos_as_orders(folder: Path, drawn: dict[str, Analogue]) -> None:
    dataset = load(folder / "CRB-T")
    table = {key: frozenset(fact.split(": ")[-1] for fact in found)
             for key, found in true_table(dataset, folder / "CRB-T").items()}  # fmt: skip
    alike = Counter(
        tuple(sorted((name(thing), leg.motion) for thing in spec.shots[0].things for leg in moving_legs(thing)))
        for spec in drawn["CRB-T"].videos
    )
    scores = np.stack([query_scores(dataset, FactModel(table, 0.01, seed)) for seed in range(12)])
    assert is_near(scores, len(alike) / alike.total())
    assert len(alike) / alike.total() < 0.4


def test_orders_of_the_same_events_begin_and_end_with_the_same_picture(drawn: dict[str, Analogue]) -> None:
    videos = [[frame.tobytes() for frame in render(spec)] for spec in drawn["CRB-T"].videos]
    begins = Counter(frames[0] for frames in videos)
    assert min(list(begins.values())[:-1]) == DIAL.family
    assert all(a[-1] == b[-1] and a != b for a, b in pairwise(videos) if a[0] == b[0])


def test_half_way_a_scene_looks_the_same_whatever_the_camera_does() -> None:
    videos = ANALOGUES["CMRB"](replace(DIAL, difficulty=1.0)).videos
    for group in (videos[start : start + 7] for start in range(0, len(videos), 7)):
        shots = [spec.shots[0] for spec in group]
        assert len({shot.camera for shot in shots}) == 7
        assert len({tuple((thing.colour, thing.shape) for thing in shot.things) for shot in shots}) == 1
        placed = [[on_screen(shot, thing, 0.5, WIDTH / HEIGHT) for thing in shot.things] for shot in shots]
        assert all(np.allclose(one, placed[0]) for one in placed)


def test_composed_candidates_lack_one_half_each() -> None:
    """At full difficulty one in six of the right scene is right, and one in five of the right ending."""
    for name_ in ("MS-TI", "MS-TV"):
        for asked in ANALOGUES[name_](replace(DIAL, difficulty=1.0)).asked:
            right = next(spec for spec in asked.candidates if asked.is_answered_by(spec))
            begins, ends = _halves(right)
            same = Counter((_halves(spec)[0] == begins, _halves(spec)[1] == ends) for spec in asked.candidates)
            assert same == {(True, True): 1, (True, False): 5, (False, True): 4}


def _halves(spec: VideoSpec) -> tuple[object, str]:
    """How a video begins, and the motion it ends with."""
    shot, *_ = spec.shots
    thing = shot.things[0]
    return (shot.background, thing.colour, thing.shape, thing.x, thing.y, thing.legs[:-1]), thing.legs[-1].motion


def test_candidates_of_one_scene_begin_with_the_picture_or_clip_that_is_given(
    folder: Path, drawn: dict[str, Analogue]
) -> None:
    for name_, shared in (("MS-TI", 1), ("MS-TV", 12)):
        asked = drawn[name_].asked[0]
        right = next(spec for spec in asked.candidates if asked.is_answered_by(spec))
        others = [spec for spec in asked.candidates if _halves(spec)[0] == _halves(right)[0]]
        begun = [[frame.tobytes() for frame in render(spec)][:shared] for spec in others]
        assert len(begun) > 2
        assert all(one == begun[0] for one in begun)


@pytest.mark.parametrize("name_", ["MSRVTT", "CRB-G", "VDC-D", "PEV-K", "DiDeMo", "LoVR-V"])
def test_the_harder_the_nearer(name_: str) -> None:
    """The share of facts that a video has in common with the one most like it grows with the difficulty."""
    likeness = [np.mean(_likeness(ANALOGUES[name_](replace(DIAL, difficulty=d)).videos)) for d in (0.0, 0.5, 1.0)]
    assert likeness == sorted(likeness)
    assert likeness[2] > likeness[0] + 0.1


def _likeness(videos: tuple[VideoSpec, ...]) -> list[float]:
    found = [facts(spec) for spec in videos]
    return [max(len(a & b) / len(a | b) for b in found if b is not a) for a in found]


def test_files_of_a_kind_have_one_size_and_one_length(dataset: Benchmark) -> None:
    corpus = list(dataset.corpus.values())
    clips = [query.video for query in dataset.queries if query.video]
    images = [query.image for query in dataset.queries if query.image]
    for names in filter(None, (corpus, clips, images)):
        data = [dataset.files.read(one) for one in names]
        assert len({len(one) for one in data}) == 1
        assert len({facts_of_file(one, names is images) for one in data}) == 1


def facts_of_file(data: bytes, is_image: bool) -> tuple[object, ...]:
    """Size of the picture and, of a video, the time of its last frame."""
    if is_image:
        return decode_image(data).shape
    frames, times = sample_frames(data, 8)
    return (*frames.shape, float(times[-1]))


def test_ids_and_order_tell_nothing(folder: Path) -> None:
    """Who takes the n-th video for the n-th query, by id or by place in the table, is right as often as by chance."""
    hits, expected = [], []
    for seed in range(4):
        for analogue in draw_benchmark(replace(DIAL, seed=seed)):
            if named([analogue.name])[0].metric != "R@1":
                continue
            corpus = sorted(whole(spec).id for spec in analogue.videos)
            right = {query_id(analogue.name, asked): analogue.positives(asked)[0] for asked in analogue.asked}
            places = [corpus.index(whole(right[query]).id) for query in sorted(right)]
            guesses = [row * len(corpus) // len(places) for row in range(len(places))]
            hits += [place == guess for place, guess in zip(places, guesses, strict=True)]
            expected += [1 / len(corpus)] * len(places)
    assert is_near(np.array(hits, float), float(np.mean(expected)))
    for name_ in NAMES:
        for table, key in (("queries", "id"), ("corpus", "id"), ("instances", "qid")):
            ids = [row[key] for row in lines(folder / f"{name_}/jsonl/{table}.jsonl")]
            assert ids == sorted(set(ids))


def test_padding_leaves_pictures_as_they_are(drawn: dict[str, Analogue]) -> None:
    spec = drawn["MSRVTT"].videos[0]
    picture, video = encode_image(next(render(spec))), render_medium(whole(spec))
    assert len(padded(picture, 9000, True)) == 9000
    assert np.array_equal(decode_image(padded(picture, 9000, True)), decode_image(picture))
    assert np.array_equal(sample_frames(padded(video, len(video) + 8, False), 8)[0], sample_frames(video, 8)[0])


def test_shared_videos_are_the_same_and_written_once(folder: Path) -> None:
    for first, second in (("MSRVTT", "MSRVTT-I2V"), ("LoVR-V", "LoVR-C2V")):
        one, other = load(folder / first), load(folder / second)
        assert one.corpus == other.corpus
        for path in one.corpus.values():
            assert (folder / first / path).samefile(folder / second / path)


def test_the_same_dial_gives_the_same_bytes(tmp_path: Path) -> None:
    small = Dial(queries=8, difficulty=0.5, seed=1)
    trees = []
    for workers in (1, 2):
        write_benchmark(str(tmp_path / str(workers)), small, workers)
        files = sorted(path for path in (tmp_path / str(workers)).rglob("*") if path.is_file())
        trees.append({str(path.relative_to(tmp_path / str(workers))): path.read_bytes() for path in files})
    assert trees[0] == trees[1]
    write_benchmark(str(tmp_path / "1"), small)
    with pytest.raises(UsageError, match="holds another sample"):
        write_benchmark(str(tmp_path / "1"), replace(small, seed=2))
    done = CliRunner().invoke(
        app, ["benchmark", "sample", "--out", str(tmp_path / "1"), "--queries", "8", "--seed", "1"]
    )
    assert (done.exit_code, done.stdout) == (0, f"{tmp_path / '1'}\n")
    assert MARK in trees[0]


def test_too_many_queries_are_refused() -> None:
    with pytest.raises(UsageError, match="ask for fewer"):
        ANALOGUES["LoVR-TH"](replace(DIAL, queries=200))
