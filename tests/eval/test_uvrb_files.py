"""UVRB reports as files: they load back, are the same bytes, and what is damaged is refused."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from made_report import made_report

from eval.uvrb.compare import compare
from eval.uvrb.datasets import DATASETS
from eval.uvrb.files import read_report, to_csv, to_json, write_comparison, write_report
from eval.uvrb.markdown import comparison_to_markdown, to_markdown
from eval.uvrb.tables import published, read_table
from infra.errors import UsageError

VALUES = {dataset.name: [1.0, 0.0, number % 3 / 2] for number, dataset in enumerate(DATASETS)}
WHOLE = made_report(VALUES, "models/a|b, naïve")
SOME = made_report({name: VALUES[name] for name in ("MSRVTT", "CRB-S", "MS-TI")})


def test_a_report_is_written_and_loads_back(tmp_path: Path) -> None:
    paths = write_report(WHOLE, str(tmp_path))
    assert [Path(path).name for path in paths] == ["uvrb.json", "uvrb.md", "uvrb.csv"]
    assert read_report(paths[0]) == WHOLE
    assert [Path(path).read_text() for path in paths] == [to_json(WHOLE), to_markdown(WHOLE), to_csv(WHOLE)]
    facts = json.loads(to_json(WHOLE))
    assert facts["scores"] == WHOLE.scores
    assert facts["abilities"]["average"] == WHOLE.abilities.average


def test_the_table_is_one_that_abilities_are_computed_from(tmp_path: Path) -> None:
    for report in (WHOLE, SOME):
        write_report(report, str(tmp_path))
        assert read_table(str(tmp_path / "uvrb.csv")) == {report.model: report.scores}


def test_people_read_what_is_missing_and_what_cannot_be_compared() -> None:
    text = to_markdown(SOME)
    assert "Not scored: DiDeMo, CRB-G, VDC-O, CRB-T" in text
    assert "| FG | fine-grained | 0.333* |" in text  # only CRB-S of it
    assert "**Not comparable**: the published MSRVTT, CRB-S, MS-TI have other numbers" in text
    assert "Not scored" not in to_markdown(WHOLE)
    assert f"| average of abilities | {WHOLE.abilities.average:.3f} |" in to_markdown(WHOLE)


def test_the_published_models_stand_below_best_first() -> None:
    lines = to_markdown(WHOLE).split("## Beside the published models")[1].splitlines()
    names = [line.split(" | ")[0].removeprefix("| ") for line in lines if line.startswith("| ")][2:]
    assert names[:2] == ["**models/a\\|b, naïve**", "GVE-7B"]
    assert sorted(names[1:]) == sorted(published()[0])
    assert "| GVE-7B |" in "\n".join(lines)
    assert "0.599 | 0.573 |" in next(line for line in lines if line.startswith("| GVE-7B |"))


def test_data_of_the_published_size_may_be_compared() -> None:
    [scores] = made_report({"LoVR-V": [1.0] * 100}).datasets
    report = replace(SOME, datasets=(replace(scores, corpus=467),))
    assert "Not comparable" not in to_markdown(report)


def test_a_comparison_is_written(tmp_path: Path) -> None:
    comparison = compare(WHOLE, SOME, resamples=10, flips=10)
    path = write_comparison(comparison, str(tmp_path))
    text = Path(path).read_text()
    assert text == comparison_to_markdown(comparison)
    assert "| MSRVTT | 0.333 | 0.333 | +0.000 | +0.000 to +0.000 | 1.0000 | 1.0000 |" in text
    assert "Only one of them has a score of DiDeMo" in text
    facts = json.loads((tmp_path / "against.json").read_text())
    assert [one["name"] for one in facts["datasets"]] == ["MSRVTT", "CRB-S", "MS-TI"]


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda text: text[:-40], "as a whole"),
        (lambda text: text.replace('"frames": 8', '"frames": "many"'), "frames"),
        (lambda text: text.replace('"dataset": "DiDeMo"', '"dataset": "DiDiMo"'), "not some of UVRB's"),
        (lambda text: text.replace('"rank": [1, 7, 7]', '"rank": [1, 7]', 1), "3 queries in each of its columns"),
        (lambda text: text.replace('"ndcg_10": 0.5', '"ndcg_10": NaN', 1), "not between 0 and 1"),
        (lambda text: text.replace('"chance": 0.02', '"chance": 2', 1), "not between 0 and 1"),
        (lambda text: "", "as a whole"),
    ],
)
def test_what_is_damaged_is_refused_by_name(tmp_path: Path, damage: Callable[[str], str], said: str) -> None:
    path = tmp_path / "uvrb.json"
    text = to_json(WHOLE)
    path.write_text(damage(text))
    assert path.read_text() != text
    with pytest.raises(UsageError, match=said) as refused:
        read_report(str(path))
    assert str(path) in str(refused.value)


def test_what_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no report of UVRB at"):
        read_report(str(tmp_path / "uvrb.json"))
