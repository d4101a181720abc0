"""Abilities from dataset scores: the published tables to three decimals, misprints flagged, what is missing said."""

import json
from pathlib import Path
from statistics import fmean

import numpy as np
import pytest
from typer.testing import CliRunner

from eval.uvrb import tables
from eval.uvrb.abilities import ABILITIES, ability_scores, correlations
from eval.uvrb.datasets import DATASETS, named
from eval.uvrb.tables import PRINTED_AVERAGE, PRINTED_WITHIN, published, read_table
from flows.cli import app
from infra.errors import UsageError

TABLE = Path(tables.__file__).with_name("published_datasets.csv")
# What the paper printed and its own tables do not give (model, cell): one average, and all that one cell enters.
KNOWN = {
    ("GME-2B", "average"),
    *(("VLM2Vec-V2", cell) for cell in ("TXT", "CG", "average", "dataset average")),
}


def cli(*arguments: str) -> dict:
    result = CliRunner().invoke(app, ["abilities", *arguments, "--json"], catch_exceptions=False)
    assert result.exit_code == 0
    return json.loads(result.stdout)


def test_the_benchmark_has_sixteen_datasets_of_five_kinds_of_query():
    assert len(DATASETS) == 16
    assert {dataset.query for dataset in DATASETS} == {"T", "TI", "TV", "I", "V"}
    assert {dataset.metric for dataset in DATASETS} == {"R@1", "R@10", "P@1"}
    assert sum(dataset.queries for dataset in DATASETS) == 39_658
    for dataset in DATASETS:
        assert (dataset.corpus is None) == (dataset.metric == "P@1") == (dataset.candidates is not None)


def test_every_published_ability_is_reproduced_but_the_misprints():
    found = cli(str(TABLE))
    _, printed = published()
    assert list(found) == list(printed)
    assert len(found) == 16
    off = set()
    for model, cells in printed.items():
        for name, value in cells.items():
            key = "average" if name == PRINTED_AVERAGE else name
            if abs(found[model][key] - value) > PRINTED_WITHIN:
                off.add((model, key))
        if abs(found[model]["dataset_average"] - published()[0][model][PRINTED_AVERAGE]) > PRINTED_WITHIN:
            off.add((model, "dataset average"))
    assert off == KNOWN
    assert {(model, cell["cell"]) for model, row in found.items() for cell in row["misprints"]} == KNOWN


def test_a_row_that_is_not_the_published_one_is_held_against_nothing(tmp_path: Path):
    rows = TABLE.read_text().splitlines()
    changed = [line.replace("GME-2B,0.390", "GME-2B,0.391") for line in rows]
    path = tmp_path / "scores.csv"
    path.write_text("\n".join(changed))
    assert cli(str(path))["GME-2B"]["misprints"] == []


def test_an_ability_is_the_mean_of_its_parts_not_of_their_datasets():
    scores = {dataset.name: number / 100 for number, dataset in enumerate(DATASETS)}
    found = ability_scores(scores).abilities
    assert found["PR"] == pytest.approx(fmean((0.07, 0.08, 0.09)))
    assert found["FG"] == pytest.approx(fmean((fmean((0.03, 0.04)), fmean((0.05, 0.06)), 0.08)))
    assert found["TXT"] == pytest.approx(fmean((0.01, found["FG"], 0.105)))
    assert list(found) == list(ABILITIES)


def test_missing_datasets_leave_out_averages_and_are_named():
    found = ability_scores({"CRB-S": 0.4, "MSRVTT": 0.2})
    assert found.abilities == {"TXT": pytest.approx(0.3), "CG": 0.2, "FG": 0.4, "S": 0.4}
    assert found.average is None
    assert found.dataset_average is None
    assert found.missing["S"] == ("VDC-O",)
    assert found.missing["CMP"] == ("MS-TI", "MS-TV")


def test_correlations_agree_with_numpy_and_leave_out_what_does_not_vary():
    rng = np.random.default_rng(5)
    models = [{"a": float(x), "b": float(y), "c": 0.5} for x, y in rng.random((9, 2))]
    found = correlations(models)
    wanted = np.corrcoef([m["a"] for m in models], [m["b"] for m in models])[0, 1]
    assert found["a"]["b"] == found["b"]["a"] == pytest.approx(wanted)
    assert found["a"]["a"] == pytest.approx(1)
    assert found["a"]["c"] is None
    assert correlations(models[:2])["a"]["b"] is None


def test_correlations_of_the_published_models():
    found = cli(str(TABLE), "--correlations")
    assert found["PR"]["average"] == pytest.approx(0.97, abs=0.005)  # section 4.3 prints 0.97
    assert found["S"]["FG"] == pytest.approx(0.97, abs=0.005)  # and 0.39, which its tables do not give
    assert set(found) == {dataset.name for dataset in DATASETS} | set(ABILITIES) | {"average", "dataset average"}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "first column"),
        ("name,MSRVTT\nx,0.1\n", "first column"),
        ("model,MSRVTT\n", "no model"),
        ("model,MSVD\nx,0.1\n", "no dataset of UVRB: MSVD"),
        ("model,MSRVTT,MSRVTT\nx,0.1,0.1\n", "stands twice"),
        ("model,MSRVTT\nx,0.1\nx,0.2\n", "line 3"),
        ("model,MSRVTT\nx,43.1\n", "'43.1', not a share"),
        ("model,MSRVTT\nx,nan\n", "'nan', not a share"),
        ("model,MSRVTT,DiDeMo\nx,0.1\n", "line 2: 3 cells"),
        ("model,MSRVTT\nx,0.1,0.2\n", "line 2: 2 cells"),
    ],
)
def test_a_bad_table_is_told_in_one_line(tmp_path: Path, text: str, told: str):
    path = tmp_path / "scores.csv"
    path.write_text(text)
    with pytest.raises(UsageError, match=told) as error:
        read_table(str(path))
    assert "\n" not in str(error.value)


def test_a_table_that_is_not_there_or_no_text(tmp_path: Path):
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00model")
    for name in ("absent.csv", "binary.csv"):
        with pytest.raises(UsageError, match=name):
            read_table(str(tmp_path / name))


def test_an_unknown_dataset_is_told_with_what_it_may_have_been():
    assert [dataset.name for dataset in named(["PEV-K", "MSRVTT"])] == ["MSRVTT", "PEV-K"]
    with pytest.raises(UsageError, match="did you mean MSRVTT"):
        named(["MSRVT"])
