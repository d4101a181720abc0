"""UVRB reports and comparisons as Markdown: what a person reads first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from eval.uvrb.abilities import ABILITIES, ABOUT, AbilityScores
from eval.uvrb.classification import Classification
from eval.uvrb.compare import LEVEL, Difference, UVRBComparison
from eval.uvrb.datasets import DATASETS, Dataset
from eval.uvrb.records import DatasetScores, UVRBReport
from eval.uvrb.tables import published, scored

_NOTES = (
    "`score` is the dataset's metric: R@k, the share of a query's right videos among its first k results, or P@1, "
    "whether the first one of its own candidates is right. hit@k is whether any right one is among the first k, nDCG "
    "counts an earlier one more. The interval is a bootstrap over queries; chance is what a random ranking gives."
)


def to_markdown(report: UVRBReport) -> str:
    """Scores of datasets and abilities, what is missing, and the published models beside them; shares of 1."""
    sections = [
        f"# UVRB\n\nModel `{report.model}` ({report.model_id}), {report.frames} frames of a video, "
        f"at most {report.tokens} tokens a frame.",
        *_missing(report),
        "## Abilities",
        _abilities(report.abilities),
        "## Datasets",
        _datasets(report),
        _NOTES,
        "## Beside the published models",
        *_other_sizes(report),
        _beside(report),
    ]
    return "\n\n".join(sections) + "\n"


def comparison_to_markdown(comparison: UVRBComparison) -> str:
    """By how much two models differ, with intervals and p-values."""
    header = ["", "first", "second", "difference", f"{LEVEL:.0%} interval", "p", "p (Holm)"]
    rows = [*comparison.averages, *comparison.abilities, *comparison.datasets]
    sections = [
        "# UVRB, two models compared",
        f"First: `{comparison.first}`. Second: `{comparison.second}`.",
        *([f"Only one of them has a score of {', '.join(comparison.left_out)}."] if comparison.left_out else []),
        _table(header, map(_compared, rows)),
        "Intervals are of a paired bootstrap over queries, p-values of a sign-flip test; Holm's correction is over the "
        f"{len(comparison.datasets)} datasets.",
    ]
    return "\n\n".join(sections) + "\n"


def _missing(report: UVRBReport) -> Iterator[str]:
    if absent := [dataset.name for dataset in DATASETS if dataset.name not in report.scores]:
        yield (
            f"Not scored: {', '.join(absent)}. So there are no averages, and an ability with a star is the mean of "
            "what there is."
        )


def _abilities(found: AbilityScores) -> str:
    rows = [
        [name, ABOUT[name], _share(value) + ("*" if name in found.missing else "")]
        for name, value in found.abilities.items()
    ]
    averages = {"average of abilities": found.average, "average of datasets": found.dataset_average}
    rows += [["", name, _share(value)] for name, value in averages.items()]
    return _table(["ability", "", "score"], rows, words=2)


def _datasets(report: UVRBReport) -> str:
    header = ["dataset", "ability", "metric", "queries", "videos", "score", "95% interval", "chance"]
    header += ["R@1", "R@5", "R@10", "hit@1", "hit@10", "nDCG@10"]
    known = {dataset.name: dataset for dataset in DATASETS}
    return _table(header, [_dataset(scores, known[scores.dataset]) for scores in report.datasets], words=3)


def _dataset(scores: DatasetScores, dataset: Dataset) -> list[str]:
    low, high = scores.interval
    shares = [*(scores.recall[k] for k in (1, 5, 10)), scores.hit[1], scores.hit[10], scores.ndcg_10]
    return [
        *(scores.dataset, dataset.ability, scores.metric, str(scores.queries), str(scores.corpus)),
        *(_share(scores.score), f"{_share(low)} to {_share(high)}", _share(scores.chance)),
        *map(_share, shares),
    ]


def _other_sizes(report: UVRBReport) -> Iterator[str]:
    """A warning where the data cannot be the published one."""
    known = {dataset.name: dataset for dataset in DATASETS}
    if names := [scores.dataset for scores in report.datasets if not _is_published_size(scores, known[scores.dataset])]:
        yield (
            f"**Not comparable**: the published {', '.join(names)} {'have' if len(names) > 1 else 'has'} other numbers "
            "of queries or videos."
        )


def _is_published_size(scores: DatasetScores, dataset: Dataset) -> bool:
    return scores.queries == dataset.queries and dataset.corpus in (None, scores.corpus)


def _beside(report: UVRBReport) -> str:
    """The published models' rows, best first by their average of abilities, below the model's own."""
    rows = {model: scored(scores) for model, scores in published()[0].items()}
    order = sorted(rows, key=lambda model: -(rows[model].average or 0))
    header = ["model", *ABILITIES, "average", "average of datasets"]
    own = [f"**{report.model}**", *_row(report.abilities)]
    table = _table(header, [own, *([model, *_row(rows[model])] for model in order)])
    return f"{table}\n\nTheir abilities and averages follow from their published scores of datasets."


def _row(found: AbilityScores) -> list[str]:
    marks = ["*" if name in found.missing else "" for name in ABILITIES]
    abilities = [_share(found.abilities.get(name)) for name in ABILITIES]
    cells = [cell + mark if cell else "" for cell, mark in zip(abilities, marks, strict=True)]
    return [*cells, _share(found.average), _share(found.dataset_average)]


def classifications_to_markdown(classified: Mapping[str, Classification]) -> str:
    """Accuracy by label set, and of each its labels from the worst."""
    header = ["label set", "top-1", "chance", "labels", "videos"]
    rows = [
        [name, _share(found.accuracy), _share(found.chance), str(found.labels), str(found.videos)]
        for name, found in classified.items()
    ]
    blocks = ["# Zero-shot classification", "Each video gets the label whose text lies nearest.", _table(header, rows)]
    for name, found in classified.items():
        worst = sorted(found.by_label.items(), key=lambda item: (item[1], item[0]))
        blocks += [f"## {name}", _table(["label", "right"], [[label, _share(share)] for label, share in worst])]
    return "\n\n".join(blocks) + "\n"


def _compared(one: Difference) -> list[str]:
    gain = one.difference
    holm = "" if one.p_holm is None else f"{one.p_holm:.4f}"
    shares = [_share(one.first), _share(one.second), f"{gain.mean:+.3f}", f"{gain.low:+.3f} to {gain.high:+.3f}"]
    return [one.name, *shares, f"{one.p:.4f}", holm]


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _table(header: Sequence[str], rows: Iterable[Sequence[str]], words: int = 1) -> str:
    """A table whose first `words` columns are words and whose others are numbers."""
    rule = ["---"] * words + ["---:"] * (len(header) - words)
    return "\n".join(map(_line, [header, rule, *rows]))


def _line(cells: Sequence[str]) -> str:
    escaped = (cell.replace("|", "\\|") for cell in cells)
    return f"| {' | '.join(escaped)} |"
