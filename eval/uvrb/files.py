"""UVRB reports as files: JSON that loads back, Markdown for people, CSV for `uvr abilities`."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter, ValidationError

from eval.uvrb.classification import Classification
from eval.uvrb.compare import UVRBComparison
from eval.uvrb.datasets import DATASETS
from eval.uvrb.markdown import classifications_to_markdown, comparison_to_markdown, to_markdown
from eval.uvrb.records import DatasetScores, UVRBReport
from infra.errors import UsageError
from infra.store import Store

REPORT_JSON: Final = "uvrb.json"
REPORT_MARKDOWN: Final = "uvrb.md"
REPORT_CSV: Final = "uvrb.csv"
COMPARISON_JSON: Final = "against.json"
COMPARISON_MARKDOWN: Final = "against.md"
LABELS_JSON: Final = "labels.json"
LABELS_MARKDOWN: Final = "labels.md"


def write_report(report: UVRBReport, out_dir: str) -> list[str]:
    """Write `uvrb.json`, `uvrb.md` and `uvrb.csv` into `out_dir`; returns their paths."""
    store = Store(out_dir)
    contents = {
        REPORT_JSON: to_json(report),
        REPORT_MARKDOWN: to_markdown(report),
        REPORT_CSV: to_csv(report),
    }
    for name, text in contents.items():
        store.write(name, text.encode())
    return [str(Path(out_dir) / name) for name in contents]


def write_comparison(comparison: UVRBComparison, out_dir: str) -> str:
    """Write `against.json` and `against.md` into `out_dir`; returns the path of the latter."""
    store = Store(out_dir)
    store.write(COMPARISON_JSON, (json.dumps(asdict(comparison), indent=1, ensure_ascii=False) + "\n").encode())
    store.write(COMPARISON_MARKDOWN, comparison_to_markdown(comparison).encode())
    return str(Path(out_dir) / COMPARISON_MARKDOWN)


def write_classifications(classified: Mapping[str, Classification], out_dir: str) -> str:
    """Write `labels.json` and `labels.md` into `out_dir`, by label set; returns the path of the latter."""
    store = Store(out_dir)
    told = {name: asdict(found) | {"chance": found.chance} for name, found in classified.items()}
    store.write(LABELS_JSON, (json.dumps(told, indent=1, ensure_ascii=False) + "\n").encode())
    store.write(LABELS_MARKDOWN, classifications_to_markdown(classified).encode())
    return str(Path(out_dir) / LABELS_MARKDOWN)


def read_report(path: str) -> UVRBReport:
    """The report in a `uvrb.json`; raises UsageError when it is not there or is none, or is damaged."""
    try:
        report = TypeAdapter(UVRBReport).validate_json(Path(path).read_bytes())
    except OSError as error:
        raise UsageError(f"no report of UVRB at {path}: {error.strerror}") from error
    except ValidationError as error:
        raise UsageError(f"{path} is no report of UVRB, or is damaged: {first_fault(error)}") from error
    names = [scores.dataset for scores in report.datasets]
    if names != [dataset.name for dataset in DATASETS if dataset.name in names]:
        raise UsageError(f"{path} is damaged: its datasets are not some of UVRB's, each once and in their order")
    for scores in report.datasets:
        if why := _damage(scores):
            raise UsageError(f"{path} is damaged: {scores.dataset} {why}")
    return report


def first_fault(error: ValidationError) -> str:
    """The first place where a document is not what it should be, and why."""
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc'])) or 'as a whole'}: {first['msg']}"


def _damage(scores: DatasetScores) -> str:
    """What in the scores of a dataset cannot be; empty when nothing is wrong."""
    columns = (scores.query_ids, scores.query_scores, scores.first, scores.right, scores.rank)
    if not scores.queries or any(len(column) != scores.queries for column in columns):
        return f"does not have {scores.queries} queries in each of its columns"
    shares = (scores.score, *scores.interval, scores.chance, scores.ndcg_10, *scores.query_scores)
    if not all(0 <= share <= 1 for share in (*shares, *scores.recall.values(), *scores.hit.values())):
        return "has a share that is not between 0 and 1"
    return ""


def to_json(report: UVRBReport) -> str:
    """All of a report, a line a dataset; what follows from it, the abilities, is there to be read by others."""
    facts = {name: getattr(report, name) for name in ("model", "model_id", "frames", "tokens", "seed")}
    facts |= {"scores": report.scores, "abilities": asdict(report.abilities)}
    lines = ",\n".join(json.dumps(asdict(scores), ensure_ascii=False) for scores in report.datasets)
    return json.dumps(facts, ensure_ascii=False, indent=1)[:-2] + f',\n "datasets": [\n{lines}\n ]\n}}\n'


def to_csv(report: UVRBReport) -> str:
    """A table of one model as `eval.uvrb.tables.read_table` reads it; a dataset that is missing has an empty cell."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["model", *(dataset.name for dataset in DATASETS)])
    writer.writerow([report.model, *(report.scores.get(dataset.name, "") for dataset in DATASETS)])
    return text.getvalue()
