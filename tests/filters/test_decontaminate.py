"""Decontamination by video: clips that show what an evaluation set shows are dropped, and say why."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planted_prints import plant

from filters.decontaminate import Decontaminate
from filters.evaluation_sets import INDEX, read_sets
from infra.stage import Drop, Row

PLANTED = plant(120, seed=8, share=0.2)


def index_of(path: Path, rows: pa.Table, name: str = "msrvtt") -> str:
    texts = {"v0.mp4": ["a dog runs"]}
    index = [
        {**row, "set_name": name, "texts": texts.get(row["source"], [])}
        for row in rows.select(["source", "prints"]).to_pylist()
    ]
    pq.write_table(pa.Table.from_pylist(index, schema=INDEX), path)
    return str(path)


def outcomes(stage: Decontaminate) -> dict[str, Row | Drop]:
    clips = PLANTED.rows.append_column("video_id", PLANTED.rows["source"])
    made = stage.compute(clips, clips.slice(0, 0).select(["key"]))
    return {row.key if isinstance(row, Drop) else row["key"]: row for row in made}


def test_without_sets_everything_passes() -> None:
    found = outcomes(Decontaminate())
    assert list(found) == PLANTED.rows["key"].to_pylist()
    assert not any(isinstance(row, Drop) for row in found.values())


def test_clips_that_a_set_shows_are_dropped_with_the_set_and_its_video(tmp_path: Path) -> None:
    shown = PLANTED.copies[:6, 1].tolist()
    index = index_of(tmp_path / "index.parquet", PLANTED.rows.take(shown))
    found = outcomes(Decontaminate(sets=(index,)))
    keys, sources = (PLANTED.rows[name].to_pylist() for name in ("key", "source"))
    dropped = {key: row for key, row in found.items() if isinstance(row, Drop)}
    pairs = {keys[at]: sources[original] for copy, original in PLANTED.copies[:6].tolist() for at in (copy, original)}
    assert {key: row.detail["evaluation_source"] for key, row in dropped.items()} == pairs
    for row in dropped.values():
        assert row.reason == "in_evaluation_set"
        assert row.detail["evaluation_set"] == "msrvtt"
        assert row.detail["distance"] <= row.detail["max_distance"]


@settings(max_examples=5, deadline=None)
@given(shown=st.sets(st.integers(0, 119), min_size=1, max_size=20))
def test_no_clip_of_a_set_passes_and_more_sets_never_drop_less(
    tmp_path_factory: pytest.TempPathFactory, shown: set[int]
) -> None:
    folder = tmp_path_factory.mktemp("sets")
    one = index_of(folder / "one.parquet", PLANTED.rows.take(sorted(shown)))
    two = index_of(folder / "two.parquet", PLANTED.rows.take([0, 1]), "didemo")
    keys = PLANTED.rows["key"].to_pylist()
    some, more = (
        {key for key, row in outcomes(Decontaminate(sets=sets)).items() if isinstance(row, Drop)}
        for sets in ((one,), (one, two))
    )
    assert {keys[i] for i in shown} <= some <= more


def test_a_video_whose_film_is_inside_a_longer_one_of_the_set_is_found(tmp_path: Path) -> None:
    prints = [PLANTED.rows["prints"][i].as_py() for i in (5, 6, 7)]
    long = pa.table({"source": ["film.mp4"], "prints": [b"".join(prints)]})
    found = outcomes(Decontaminate(sets=(index_of(tmp_path / "long.parquet", long),)))
    keys = PLANTED.rows["key"].to_pylist()
    inside = found[keys[6]]
    assert isinstance(inside, Drop)
    assert inside.detail["offset_s"] == pytest.approx(len(prints[0]) / 72 / 2, abs=0.1)


def test_what_an_index_holds_decides_what_is_redone(tmp_path: Path) -> None:
    path = index_of(tmp_path / "index.parquet", PLANTED.rows.take([0]))
    before = Decontaminate(sets=(path,)).fingerprint([])
    assert Decontaminate(sets=(path,)).fingerprint([]) == before
    index_of(tmp_path / "index.parquet", PLANTED.rows.take([0, 1]))
    assert Decontaminate(sets=(path,)).fingerprint([]) != before


def test_an_index_holds_its_texts(tmp_path: Path) -> None:
    rows = PLANTED.rows.take([0, 1])
    table = read_sets([index_of(tmp_path / "index.parquet", rows)], INDEX.names)
    assert table.schema == INDEX
    assert table["texts"].to_pylist() == [["a dog runs"], []]
