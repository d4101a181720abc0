"""UVRB as tasks of MTEB, and an embedder as its model: the numbers are those of our own evaluation."""

import shutil
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import small_uvrb
from numpy.typing import NDArray
from small_uvrb import NoiseEmbedder, open_cache, write_small_uvrb
from uvrb_layout import rows_of, write_dataset, write_rows

from eval.uvrb.datasets import DATASETS
from eval.uvrb.evaluate import evaluate
from eval.uvrb.layout import read_benchmark
from eval.uvrb.records import DatasetScores
from infra.errors import RunFailed, UsageError
from infra.media.decode import decode_image, sample_frames
from infra.media.encode import encode_image
from shards.records import Side
from train.gve import Gve

mteb = pytest.importorskip("mteb", reason="the extra `mteb` is not installed")
from datasets import Dataset  # noqa: E402
from mteb.abstasks.retrieval import AbsTaskRetrieval  # noqa: E402
from mteb.mocks import mock_tasks  # noqa: E402
from mteb.types import PromptType  # noqa: E402

from eval.uvrb.mteb_model import EmbedderModel, encoded_columns, sides_of  # noqa: E402
from eval.uvrb.mteb_tasks import uvrb_task, uvrb_tasks  # noqa: E402

FORMATS = {"MSRVTT": "t2v", "MS-TI": "it2v", "MS-TV": "vt2v", "MSRVTT-I2V": "i2v", "LoVR-C2V": "v2v"}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small UVRB, and with clips in the place of pictures its other two formats of query."""
    root = tmp_path_factory.mktemp("uvrb")
    write_small_uvrb(root)
    for shown, moving in (("MS-TI", "MS-TV"), ("MSRVTT-I2V", "LoVR-C2V")):
        shutil.copytree(root / shown, root / moving)
        rows = rows_of(root / moving, "queries")
        for row in rows:
            row["video"] = f"videos/{Path(row.pop('image')).stem}.mp4"
        write_rows(root / moving, "queries", rows)
    return root


def scores_of(task: Any, model: Any) -> dict[str, Any]:
    """What MTEB gives for one task."""
    (result,) = mteb.evaluate(model, task, cache=None, show_progress_bar=False, co2_tracker=False).task_results
    (scores,) = result.scores["test"]
    return scores


def assert_same(ours: DatasetScores, theirs: dict[str, Any]) -> None:
    """MTEB rounds to five decimals."""
    expected = {f"recall_at_{k}": value for k, value in ours.recall.items()}
    expected |= {f"hit_rate_at_{k}": value for k, value in ours.hit.items()}
    expected |= {"ndcg_at_10": ours.ndcg_10, "main_score": ours.score}
    found = {name: theirs[name] for name in expected}
    assert found == pytest.approx({name: round(value, 5) for name, value in expected.items()}, abs=1e-6)


def test_a_tiny_gve_scores_the_same_in_mteb_for_all_five_formats(data: Path, tmp_path: Path) -> None:
    small_uvrb.save_tiny_gve(tmp_path / "gve")
    gve = Gve.load(tmp_path / "gve")
    benchmarks = read_benchmark(str(data))
    report = evaluate(benchmarks, gve, open_cache(tmp_path / "cache", gve), small_uvrb.SCORED)
    model = EmbedderModel(gve, "tiny", small_uvrb.SCORED.model_id)
    tasks = uvrb_tasks(str(data))
    assert {task.metadata.name: task.metadata.category for task in tasks} == {
        f"UVRB-{name}": category for name, category in FORMATS.items()
    }
    for ours, task in zip(report.datasets, tasks, strict=True):
        assert_same(ours, scores_of(task, model))
        assert not task.data_loaded
    assert len({scores.score for scores in report.datasets}) > 2  # the model neither knows all nor nothing


def test_several_right_videos_score_the_same(data: Path, tmp_path: Path) -> None:
    shutil.copytree(data / "MSRVTT", tmp_path / "MSRVTT")
    rows = rows_of(data / "MSRVTT", "instances")
    for number, row in enumerate(rows):
        row["pos"] = [other["pos"][0] for other in rows[number : number + 1 + number % 3]]
    write_rows(tmp_path / "MSRVTT", "instances", rows)
    embedder = NoiseEmbedder()
    (benchmark,) = read_benchmark(str(tmp_path))
    ours = evaluate([benchmark], embedder, open_cache(tmp_path / "cache", embedder), small_uvrb.SCORED).datasets[0]
    assert 0 < ours.recall[5] < 1
    assert_same(ours, scores_of(uvrb_task(benchmark), EmbedderModel(embedder, "noise", "1")))


def test_an_embedder_is_asked_the_same_and_scores_the_same(data: Path, tmp_path: Path) -> None:
    """Only queries carry the instruction, and media come as they are encoded; each query has a ranking of its own."""
    ours, theirs = NoiseEmbedder(), NoiseEmbedder()
    report = evaluate(read_benchmark(str(data)), ours, open_cache(tmp_path, ours), small_uvrb.SCORED)
    for scores, task in zip(report.datasets, uvrb_tasks(str(data)), strict=True):
        assert_same(scores, scores_of(task, EmbedderModel(theirs, "noise", "1")))
    assert set(theirs.asked) == set(ours.asked)


def test_every_dataset_is_a_task_of_its_own(tmp_path: Path) -> None:
    for dataset in DATASETS:
        write_dataset(tmp_path, dataset.name)
    tasks = uvrb_tasks(str(tmp_path))
    assert len({type(task) for task in tasks}) == len(DATASETS)
    for dataset, task in zip(DATASETS, tasks, strict=True):
        metadata = task.metadata
        assert isinstance(task, AbsTaskRetrieval)
        assert metadata.name == f"UVRB-{dataset.name}"
        assert metadata.prompt == {"query": dataset.instruction}
        assert metadata.get_modalities(PromptType.document) == ["video"]
        assert (
            metadata.main_score
            == {
                "R@1": "recall_at_1",
                "R@10": "recall_at_10",
                "P@1": "precision_at_1",
            }[dataset.metric]
        )
        assert metadata.type == ("Any2AnyReranking" if dataset.candidates else "Any2AnyRetrieval")
        task.load_data()
        split = task.dataset["default"]["test"]
        assert set(split["queries"].column_names) == {"id", *metadata.get_modalities(PromptType.query)}
        assert (split["top_ranked"] is not None) == (dataset.candidates is not None)
        task.unload_data()


def test_candidates_are_a_querys_own(tmp_path: Path) -> None:
    write_dataset(tmp_path, "MS-TI")
    (task,) = uvrb_tasks(str(tmp_path))
    task.load_data()
    split = task.dataset["default"]["test"]
    instances = rows_of(tmp_path / "MS-TI", "instances")
    assert split["relevant_docs"] == {row["qid"]: {row["pos"][0]: 1} for row in instances}
    assert {query: set(among) for query, among in split["top_ranked"].items()} == {
        row["qid"]: {*row["pos"], *row["neg"]} for row in instances
    }


def test_other_data_have_another_revision(tmp_path: Path) -> None:
    folder = write_dataset(tmp_path, "MSRVTT")

    def revision() -> str:
        (task,) = uvrb_tasks(str(tmp_path))
        return str(task.metadata.revision)

    revisions = [revision(), revision()]
    assert revisions[0] == revisions[1]
    rows = rows_of(folder, "queries")
    rows[0]["text"] = "another"
    write_rows(folder, "queries", rows)
    revisions.append(revision())
    video = folder / "videos/clip0.mp4"
    video.write_bytes(video.read_bytes() + b"longer")
    revisions.append(revision())
    rows = rows_of(folder, "instances")
    rows[0]["pos"] = ["v1"]
    write_rows(folder, "instances", rows)
    revisions.append(revision())
    assert len(set(revisions)) == 4


def test_what_lies_in_an_archive_is_copied_while_it_is_needed(tmp_path: Path) -> None:
    folder = write_dataset(tmp_path / "plain", "MSRVTT-I2V")
    (tmp_path / "packed").mkdir()
    with zipfile.ZipFile(tmp_path / "packed/MSRVTT-I2V.zip", "w") as archive:
        for file in folder.rglob("*.*"):
            archive.write(file, f"MSRVTT-I2V/{file.relative_to(folder)}")
    found = []
    for kind in ("plain", "packed"):
        (task,) = uvrb_tasks(str(tmp_path / kind))
        task.load_data()
        split = task.dataset["default"]["test"]
        columns = [encoded_columns(split[side], "a task") for side in ("queries", "corpus")]
        paths = [
            Path(row["path"]) for rows, name in zip(columns, ("image", "video"), strict=True) for row in rows[name]
        ]
        found.append([sides_of(rows[:]) for rows in columns])
        task.unload_data()
        assert [path.exists() for path in paths] == [kind == "plain"] * 6
    assert found[0] == found[1]


def test_frames_become_a_video_of_one_a_second(data: Path, tmp_path: Path) -> None:
    shutil.copytree(data / "MSRVTT", tmp_path / "MSRVTT")
    pictures, _ = sample_frames(str(data / "MSRVTT/videos/v00.mp4"), 4)
    frames = tmp_path / "MSRVTT/videos_frames/v00"
    frames.mkdir(parents=True)
    for number, picture in enumerate(pictures):
        (frames / f"{number}.jpg").write_bytes(encode_image(picture, 95))
    (tmp_path / "MSRVTT/videos/v00.mp4").unlink()
    (task,) = uvrb_tasks(str(tmp_path))
    task.load_data()
    corpus = encoded_columns(task.dataset["default"]["test"]["corpus"], "a task")
    shown, times = sample_frames(corpus[0]["video"]["path"], 4)
    task.unload_data()
    assert times.tolist() == [0, 1, 2, 3]
    assert np.abs(shown.astype(int) - pictures).mean() < 6


MOCKS = {
    "MockSTSTask": ("text", False),
    "MockVisualSTSTask": ("image", False),
    "MockAny2AnyRetrievalI2TTask": ("image text", True),
    "MockVideoRetrievalT2V": ("text video", True),
    "MockVideoZeroshotClassificationTask": ("text video", False),
    "MockImageTextPairClassificationTask": ("image text", False),
}


@pytest.mark.parametrize("name", MOCKS)
def test_a_model_takes_mtebs_other_tasks(name: str) -> None:
    """Tasks that MTEB is tested with: texts, pictures and clips are asked, only documents go without instruction."""
    embedder = NoiseEmbedder()
    assert scores_of(getattr(mock_tasks, name)(), EmbedderModel(embedder, "noise", "1"))
    kinds, has_documents = MOCKS[name]
    found = {kind for side, _ in embedder.asked for kind, part in vars(side).items() if part is not None}
    assert found == set(kinds.split())
    assert ("" in {said for _, said in embedder.asked}) == has_documents
    for side, _ in embedder.asked:
        assert side.image is None or decode_image(side.image).ndim == 3
        assert side.video is None or len(sample_frames(side.video, 2)[0]) == 2


def test_columns_of_other_types_are_refused() -> None:
    rows = Dataset.from_dict({"id": ["a"], "video": [[1, 2]]})
    with pytest.raises(UsageError, match=r"a task: a video is .*, not Video"):
        encoded_columns(rows, "a task")
    with pytest.raises(UsageError, match="a task has none of text, image, video but id"):
        encoded_columns(rows.select_columns(["id"]), "a task")


def test_vectors_that_are_no_unit_vectors_fail_the_run() -> None:
    class Doubled(NoiseEmbedder):
        def embed(self, sides: Sequence[Side], instruction: str = "") -> NDArray[np.float32]:
            return 2 * super().embed(sides, instruction)

    with pytest.raises(RunFailed, match="length one"):
        scores_of(mock_tasks.MockSTSTask(), EmbedderModel(Doubled(), "noise", "1"))
