"""The stage that embeds: columns, exactness, broken clips, what its fingerprint depends on, and a run on Ray."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from toy_release import draw_clip
from toy_runs import as_tuple, run_chain
from toy_stages import Clips, write_sources

from infra.errors import RowError, RunFailed, UsageError
from infra.media.encode import encode_image, encode_video
from infra.pool import Pool
from infra.stage import Row
from infra.store import Store
from infra.workspace import LakeWorkspace
from shards.records import HARD_NEGATIVE_TASKS, INSTRUCTIONS, Side
from shards.vectors import to_unit, unpack
from train.gve import Gve
from train.prober import Embed, EmbedQueries, content_digest, embed_row
from train.settings import TINY_INPUTS, TinySettings

CLIPS = {"a": ("red", "square", "left"), "b": ("blue", "disc", "up"), "c": ("green", "bar", "down")}
CAPTIONS = ["A {0} {1} moves {2}.", "{1}, {0}", "It goes {2}.", "{0}", "Something {0} that moves {2} and {2} again."]


@pytest.fixture(scope="module")
def prober(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("prober")
    Gve.tiny(CAPTIONS, TinySettings(layers=2, vocab_size=400), TINY_INPUTS, seed=0).save(folder)
    return folder


@pytest.fixture
def rows(tmp_path: Path) -> list[Row]:
    """Three clips with five captions each."""
    found = []
    for key, words in CLIPS.items():
        (tmp_path / f"{key}.mp4").write_bytes(encode_video(draw_clip(*words), fps=6))
        found.append({"key": key, "clip_path": f"{key}.mp4", "captions": [c.format(*words) for c in CAPTIONS]})
    return found


def test_columns_hold_the_vectors_of_the_model(prober: Path, rows: list[Row], tmp_path: Path) -> None:
    gve, stage = Gve.load(prober), Embed(prober=str(prober))
    made = list(stage.open(LakeWorkspace(str(tmp_path), "embed"))(rows))
    assert [row["key"] for row in made] == list(CLIPS)
    table = pa.Table.from_pylist(made, schema=pa.schema([("key", pa.string()), *Embed.schema]))
    videos = gve.embed([Side(video=(tmp_path / row["clip_path"]).read_bytes()) for row in rows])
    texts = [gve.embed([Side(text=text) for text in row["captions"]], INSTRUCTIONS["T2V"]) for row in rows]
    np.testing.assert_allclose(to_unit(unpack(table["clip_vector"])), videos, atol=1e-3)
    np.testing.assert_allclose(unpack(table["text_vector"]), [t.mean(axis=0) for t in texts], atol=1e-3)
    cosines = np.array(table["caption_cosines"].to_pylist())
    np.testing.assert_allclose(cosines, np.einsum("ncd,nd->nc", texts, videos), atol=1e-5)
    assert table["vector_model"].to_pylist() == [content_digest(str(prober))] * 3


def test_queries_are_embedded_whose_tasks_get_hard_negatives(prober: Path, rows: list[Row], tmp_path: Path) -> None:
    (tmp_path / "frame.jpg").write_bytes(encode_image(draw_clip(*CLIPS["a"])[0]))
    parts = {
        "T2V": {"query_text": "A red square."},
        "TI2V": {"query_text": "It goes up.", "query_image": "frame.jpg"},
        "TV2V": {"query_text": "It goes on.", "query_video": "b.mp4"},
        "I2V": {"query_image": "frame.jpg"},
        "T2T": {"query_text": "A red square."},
    }
    nothing = dict.fromkeys(EmbedQueries.needs)
    pairs = [{"key": task, **nothing, "task": task, **given} for task, given in parts.items()]
    work = EmbedQueries(prober=str(prober)).open(LakeWorkspace(str(tmp_path), "embed_queries"))
    made = list(work(pairs))
    assert made == [row for pair in pairs for row in work([pair])], "alone as among others"
    assert [row["key"] for row in made if row["query_vector"] is not None] == list(HARD_NEGATIVE_TASKS)
    image, video = (tmp_path / "frame.jpg").read_bytes(), (tmp_path / "b.mp4").read_bytes()
    sides = [Side("A red square."), Side("It goes up.", image=image), Side("It goes on.", video=video)]
    gve = Gve.load(prober)
    for row, side in zip(made, sides, strict=False):
        (expected,) = gve.embed([side], INSTRUCTIONS[row["key"]])
        np.testing.assert_allclose(np.frombuffer(row["query_vector"], "<f2"), expected, atol=1e-3)


def test_the_fingerprint_of_queries_does_not_tell_where_the_prober_is() -> None:
    stage = EmbedQueries(prober="here", revision="v1")
    assert stage.fingerprint(["x"]) == EmbedQueries(prober="there", revision="v1").fingerprint(["x"])
    assert stage.fingerprint(["x"]) != stage.fingerprint(["y"])


def test_a_row_alone_and_among_others_has_the_same_bytes(prober: Path, rows: list[Row], tmp_path: Path) -> None:
    work = Embed(prober=str(prober)).open(LakeWorkspace(str(tmp_path), "embed"))
    assert list(work(rows)) == [made for row in rows[::-1] for made in work([row])][::-1]


def test_a_broken_clip_is_its_row_s_fault(prober: Path, rows: list[Row], tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes((tmp_path / "a.mp4").read_bytes()[:300])
    work = Embed(prober=str(prober)).open(LakeWorkspace(str(tmp_path), "embed"))
    with pytest.raises(RowError):
        list(work(rows[:1]))
    assert len(list(work(rows[1:]))) == 2


def test_a_model_whose_weights_are_no_good_ends_the_run(rows: list[Row], tmp_path: Path) -> None:
    class Broken:
        dim = 4

        def embed(self, sides: Any, instruction: str = "") -> Any:
            return np.full((len(sides), 4), np.nan, np.float32)

    with pytest.raises(RunFailed, match="not finite"):
        list(embed_row(Broken(), "r", LakeWorkspace(str(tmp_path), "embed"), rows[0]))


def test_without_a_prober_columns_are_null(rows: list[Row], tmp_path: Path) -> None:
    made = list(Embed().open(LakeWorkspace(str(tmp_path), "embed"))(rows))
    assert made[0] == {"key": "a", "parent": "a", **dict.fromkeys(Embed.schema.names)}
    assert Embed().least_unit_rows() > Embed(prober="x").least_unit_rows()


def test_the_fingerprint_is_the_content_s(prober: Path, tmp_path: Path) -> None:
    """Logs beside the model, and where it lies, do not count; its weights, its inputs and a given revision do."""
    stage = Embed(prober=str(prober))
    mark = stage.fingerprint([])
    assert mark == stage.pinned().fingerprint([]) != Embed().fingerprint([])
    assert Embed(revision="unused").fingerprint([]) == Embed().fingerprint([])
    moved = tmp_path / "moved"
    shutil.copytree(prober, moved)
    (moved / "steps.jsonl").write_text("{}")
    assert Embed(prober=str(moved)).fingerprint([]) == mark
    settings = (moved / "config.json").read_text()
    (moved / "config.json").write_text(settings.replace('"frames": 4', '"frames": 8'))
    assert Embed(prober=str(moved)).fingerprint([]) != mark
    (moved / "config.json").write_text(settings)
    weights = bytearray((moved / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (moved / "model.safetensors").write_bytes(weights)
    assert Embed(prober=str(moved)).fingerprint([]) != mark
    pinned = replace(stage, revision="v1")
    assert pinned.fingerprint([]) == Embed(prober="elsewhere", revision="v1").fingerprint([]) != mark


def test_a_folder_without_a_model_is_refused_before_the_run(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"embed\.prober"):
        Embed(prober=str(tmp_path)).fingerprint([])


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    with Pool(workers=2) as pool:
        yield pool


def test_workers_give_the_vectors_that_this_process_gives(
    prober: Path, rows: list[Row], tmp_path: Path, pool: Pool
) -> None:
    lake = tmp_path / "lake"
    write_sources(Store(str(lake)), {row["key"]: "\n".join(row["captions"]) for row in rows}, str(tmp_path))
    stage = Embed(prober=str(prober))
    tables, counts = run_chain(lake, [Clips(), stage], pool)
    assert [as_tuple(c) for c in counts] == [(3, 3, 0, 0, 0)] * 2
    here = list(stage.open(LakeWorkspace(str(tmp_path), "embed"))(rows))
    assert tables.query("SELECT clip_vector, text_vector FROM out_embed ORDER BY key") == [
        {name: row[name] for name in ("clip_vector", "text_vector")} for row in here
    ]
    assert unpack(tables.table("out_embed", ["clip_vector"])["clip_vector"]).shape == (3, 96)
