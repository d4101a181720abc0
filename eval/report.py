"""Evaluation reports as JSON for programs and as Markdown tables for people; the same scores, the same bytes."""

from __future__ import annotations

import json
from pathlib import Path

from eval.heldout import SMALL_CORPUS, HeldOutReport, TaskScores
from eval.promotion import TaskComparison
from eval.verdict import Verdict
from infra.store import Store

SCORES_FILE = "heldout.json"
SCORES_REPORT = "heldout.md"
VERDICT_REPORT = "verdict.md"
COLUMNS = (
    *("task", "queries", "corpus", "R@1", "95% of R@1", "R@5", "R@10", "hit@1", "hit@10"),
    *(f"hit@1 of {SMALL_CORPUS}", "chance R@1", "R@1 / chance"),
)
HEADER = (f"| {' | '.join(COLUMNS)} |", f"|---|{'---:|' * (len(COLUMNS) - 1)}")


def to_json(report: HeldOutReport) -> str:
    """All scores, with the metrics under their names: `R@1`, `hit@1`, `chance R@1`."""
    facts = {"release_id": report.release_id, "split": report.split, "seed": report.seed}
    body = {**facts, "tasks": [_task(scores) for scores in report.tasks]}
    return json.dumps(body, indent=1) + "\n"


def to_markdown(report: HeldOutReport) -> str:
    """A table with one row per task, in percent."""
    title = f"# Held-out retrieval\n\nRelease {report.release_id}, split {report.split}.\n"
    notes = (
        "R@k is recall: the share of a query's positives among its first k results. hit@k is whether any is.\n"
        f"hit@1 of {SMALL_CORPUS} is to be expected in a corpus of as many of these targets, drawn by chance: by it "
        "splits of any size compare.\nChance is the expectation under a random ranking. The interval is a bootstrap "
        "over queries."
    )
    return "\n".join([title, *HEADER, *map(_row, report.tasks), "", notes, ""])


def write_report(report: HeldOutReport, out_dir: str) -> tuple[str, str]:
    """Write `heldout.json` and `heldout.md` into `out_dir`; returns their paths."""
    store = Store(out_dir)
    store.write(SCORES_REPORT, to_markdown(report).encode())
    store.write(SCORES_FILE, to_json(report).encode())
    return str(Path(out_dir) / SCORES_FILE), str(Path(out_dir) / SCORES_REPORT)


def verdict_to_markdown(verdict: Verdict) -> str:
    """The verdict in words, and a table of what was compared, in percent."""
    header = ("| task | queries | R@1 | champion R@1 | chance R@1 | counted |", "|---|---:|---:|---:|---:|---|")
    paragraphs = "\n\n".join([f"# Verdict on release {verdict.release_id}", verdict.why, *verdict.notes])
    return "\n".join([paragraphs, "", *header, *map(_compared, verdict.tasks), ""])


def write_verdict_report(verdict: Verdict, out_dir: str) -> str:
    """Write `verdict.md` into `out_dir`; returns its path."""
    Store(out_dir).write(VERDICT_REPORT, verdict_to_markdown(verdict).encode())
    return str(Path(out_dir) / VERDICT_REPORT)


def _compared(task: TaskComparison) -> str:
    champion = "" if task.champion_recall_1 is None else f"{task.champion_recall_1:.1%}"
    return (
        f"| {task.task} | {task.queries} | {task.recall_1:.1%} | {champion} | {task.chance_recall_1:.1%} | "
        f"{'yes' if task.counted else 'no'} |"
    )


def _task(scores: TaskScores) -> dict[str, object]:
    named: dict[str, float | None] = {
        f"{prefix}@{k}": value
        for prefix, values in (
            ("R", scores.recall),
            ("hit", scores.hit),
            ("chance R", scores.chance_recall),
            ("chance hit", scores.chance_hit),
        )
        for k, value in values.items()
    }
    facts = {name: getattr(scores, name) for name in ("task", "queries", "corpus", "positives")}
    named[f"hit@1 of {SMALL_CORPUS}"] = scores.hit_1_small
    return {**facts, **named, "R@1 95%": scores.recall_1_interval, "R@1 / chance": scores.ratio_to_chance}


def _row(scores: TaskScores) -> str:
    low, high = scores.recall_1_interval
    shares = (scores.recall[5], scores.recall[10], scores.hit[1], scores.hit[10])
    small = "" if scores.hit_1_small is None else f"{scores.hit_1_small:.1%}"
    return (
        f"| {scores.task} | {scores.queries} | {scores.corpus} | {scores.recall[1]:.1%} | {low:.1%} to {high:.1%} | "
        + " | ".join(f"{share:.1%}" for share in shares)
        + f" | {small} | {scores.chance_recall[1]:.1%} | {scores.ratio_to_chance:.1f} |"
    )
