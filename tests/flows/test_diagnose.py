"""`uvr diagnose`: from a report on disk to a recipe that the recipe's own loader takes."""

import json
import sys
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from made_scores import hits, report, sure
from reached_scores import document, made_scores
from typer.testing import CliRunner

from eval.diagnosis.diagnose import diagnose, uvrb_evidence
from eval.diagnosis.scored import published_scores, read_scores
from eval.report import to_json
from eval.uvrb.datasets import DATASETS
from flows.cli import app, main
from flows.diagnose import changed_recipe, steerable
from flows.recipe import read_recipe
from infra.errors import UsageError
from shards.records import TASKS
from synth.style import Shares

RECIPE = """
preset = "qwen2.5-vl-3b"
[pairs]
target_pairs = 1000
[pairs.weights]
V2V = 100
[captions.shares]
spatial = 0.2
temporal = 0.7
other = 0.1
[sides]
caption_weights = { partial = 2 }
"""


def uvr(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["diagnose", *arguments], catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


def write(path: Path, **shares: float) -> str:
    path.write_text(json.dumps(document(made_scores(shares))))
    return str(path)


def test_the_changed_recipe_is_the_recipe_but_for_the_changes(tmp_path: Path) -> None:
    recipe, out = tmp_path / "recipe.toml", tmp_path / "next.toml"
    recipe.write_text(RECIPE)
    told = uvr(write(tmp_path / "uvrb.json", S=0.4, CMP=0.4, PR=0.4), "--recipe", str(recipe), "--out", str(out))
    assert told.splitlines()[-1] == str(out)
    before, after = read_recipe(str(recipe)), read_recipe(str(out))
    assert after.captions.shares == Shares(spatial=0.234, temporal=0.67, other=0.096)  # 2/9 more of 0.2
    kinds = {"summary": 0.9, "detailed": 0.9, "abstract": 0.9, "keywords": 1.1, "partial": 2.2}  # 2/9 more of 3 in 6
    assert after.sides.all_caption_weights == kinds
    weights = after.pairs.all_weights
    assert (weights["T2V"] > 879, weights["TI2V"] > 89, weights["V2V"] < 100) == (True, True, True)
    assert sum(weights.values()) == sum(before.pairs.all_weights.values()) == 1549 - 36 + 100
    same = replace(after, captions=before.captions, pairs=before.pairs, sides=before.sides)
    assert same == before
    text = out.read_text()
    assert set(tomllib.loads(text)) == {"preset", "pairs", "captions", "sides"}
    assert "# captions.shares, spatial profile: S is " in text
    assert "# sides.caption_weights, short captions: PR is " in text


def test_without_weakness_the_recipe_stays(tmp_path: Path) -> None:
    recipe, out = tmp_path / "recipe.toml", tmp_path / "next.toml"
    recipe.write_text(RECIPE)
    told = uvr(write(tmp_path / "uvrb.json"), "--recipe", str(recipe), "--out", str(out))
    assert "Nothing is surely weak: no change." in told
    assert read_recipe(str(out)) == read_recipe(str(recipe))
    assert tomllib.loads(uvr(write(tmp_path / "uvrb.json")).split("# No change")[1].split("\n", 1)[1]) == {}


def test_every_change_at_once_gives_a_recipe_that_loads() -> None:
    recipe = read_recipe(None, ["embed.prober=somewhere"])
    shares = dict.fromkeys((d.ability for d in DATASETS), 0.4) | {"VIS": 0.9, "LC": 0.3}
    for near in (0.2, 0.8):
        evidence = uvrb_evidence(made_scores(shares, queries=10_000, near=near))
        found = diagnose(evidence, steerable(recipe), 1.0)
        assert len(found.changes) >= 3
        tomllib.loads(changed_recipe(None, found, "a model"))


def test_json_is_one_document(tmp_path: Path) -> None:
    found = json.loads(uvr(write(tmp_path / "uvrb.json", VIS=0.3), "--json", "--out", str(tmp_path / "next.toml")))
    assert [change["rule"] for change in found["changes"]] == ["visual pairs"]
    assert found["recipe"] == (tmp_path / "next.toml").read_text()
    assert tomllib.loads(found["recipe"])["pairs"]["weights"] == found["settings"]["pairs.weights"]


def test_held_out_scores_are_read_too(tmp_path: Path) -> None:
    scores = {task: hits(60, 100) for task in TASKS} | {"TV2V": hits(10, 100)}
    path = tmp_path / "heldout.json"
    path.write_text(to_json(sure(report(**scores))))
    found = json.loads(uvr(str(path), "--json"))
    assert [(change["rule"], change["before"]) for change in found["changes"]] == [("TV2V pairs", {"TV2V": 35})]
    with pytest.raises(UsageError, match="only two reports on UVRB"):
        uvr(str(path), "--against", "GVE-3B")


def published_document(model: str, **lower: float) -> dict[str, Any]:
    """A report with a published model's scores on the published sizes, some of them lower."""
    rows = [
        replace(
            row,
            score=row.score - lower.get(row.name.replace("-", "_"), 0.0),
            interval=(row.score - 0.02, row.score + 0.02),
        )
        for row in published_scores(model).scored
    ]
    found = document(rows)
    for row in found["datasets"]:
        row["corpus"] = next(dataset.corpus for dataset in DATASETS if dataset.name == row["dataset"]) or 1000
    return found


def test_a_published_model_is_a_reference_for_the_published_sizes_only(tmp_path: Path) -> None:
    path = tmp_path / "uvrb.json"
    path.write_text(json.dumps(published_document("GVE-3B")))
    assert json.loads(uvr(str(path), "--against", "GVE-3B", "--json"))["changes"] == []
    path.write_text(json.dumps(published_document("GVE-3B", MS_TI=0.2, MS_TV=0.2)))
    found = json.loads(uvr(str(path), "--against", "GVE-3B", "--json"))
    assert [change["rule"] for change in found["changes"]] == ["composed pairs"]
    with pytest.raises(UsageError, match="is not the one that was scored"):
        uvr(write(tmp_path / "small.json"), "--against", "GVE-3B")
    with pytest.raises(UsageError, match="no published model 'GVE-9B'"):
        uvr(str(path), "--against", "GVE-9B")


def test_two_reports_are_held_against_each_other(tmp_path: Path) -> None:
    own, other = write(tmp_path / "own.json", T=0.4), write(tmp_path / "other.json", T=0.4)
    assert json.loads(uvr(own, "--against", other, "--json"))["changes"] == []
    assert json.loads(uvr(own, "--json"))["changes"] != []


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "no report of an evaluation"),
        ("[]", "no report of an evaluation"),
        ("{}", "neither `datasets` nor `tasks`"),
        ('{"model": "m", "datasets": [{"dataset": "CRB-S"}]}', "no report of UVRB"),
        ('{"tasks": [{"task": "T2V"}]}', "no report of an evaluation"),
        ('{"tasks": 5}', "no report of an evaluation"),
    ],
)
def test_what_is_no_report_is_told_in_one_line(
    tmp_path: Path, text: str, told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "uvrb.json"
    path.write_text(text)
    monkeypatch.setattr(sys, "argv", ["uvr", "diagnose", str(path)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert (told in error, error.count("\n")) == (True, 1)


def test_unknown_datasets_and_missing_files(tmp_path: Path) -> None:
    body = document(made_scores())
    body["datasets"][0]["dataset"] = "MSRVT"
    (tmp_path / "uvrb.json").write_text(json.dumps(body))
    with pytest.raises(UsageError, match="not some of UVRB"):
        read_scores(str(tmp_path / "uvrb.json"))
    with pytest.raises(UsageError, match="no report at"):
        read_scores(str(tmp_path / "absent.json"))
    with pytest.raises(UsageError, match="cannot be written"):
        uvr(write(tmp_path / "whole.json"), "--out", str(tmp_path / "absent" / "next.toml"))
