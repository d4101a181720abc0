"""UVRB's public layout: its datasets read from folders and archives, and everything that is wrong with them.

Below one folder, each dataset <DS> is a folder or an archive (<DS>.zip, <DS>.tar) of
  jsonl/queries.jsonl    {id, text?, image?, video?}  what the dataset's format asks for, nothing else
  jsonl/corpus.jsonl     {id, video}
  jsonl/instances.jsonl  {qid, pos: [corpus ids], neg?: [corpus ids]}
  videos/, images/, videos_frames/<stem>/*.jpg        each of them a folder or an archive
A query of P@1 is searched in its own `pos` and `neg`. A video whose file is absent is read from its frames.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from eval.uvrb.assemble import assemble
from eval.uvrb.datasets import DATASETS, Dataset, named
from eval.uvrb.media import open_dataset, unread_archives
from eval.uvrb.records import Benchmark
from eval.uvrb.rows import Problem
from infra.errors import UsageError

SHOWN: Final = 5  # problems that one error tells
_LAYOUT: Final = "each is a folder, .zip or .tar of jsonl/queries.jsonl, corpus.jsonl, instances.jsonl and videos/"


@dataclass(frozen=True)
class Reading:
    """What lies below a folder: datasets found whole, what is wrong with the others, and which are not there."""

    benchmarks: tuple[Benchmark, ...]  # in the order of the benchmark, as are those below
    problems: tuple[Problem, ...]
    missing: tuple[str, ...]


def read(root: str, names: Iterable[str] | None = None) -> Reading:
    """Every dataset of some names, or of all, that is below the local folder `root`; media are looked at, not decoded.

    Raises UsageError for unknown names, and when none of the datasets is there.
    """
    wanted = DATASETS if names is None else named(names)
    benchmarks: list[Benchmark] = []
    problems: list[Problem] = []
    missing: list[str] = []
    for dataset in wanted:
        found = _read_dataset(Path(root), dataset)
        if found is None:
            missing.append(dataset.name)
        elif isinstance(found, Benchmark):
            benchmarks.append(found)
        else:
            problems += found
    if not benchmarks and not problems:
        raise UsageError(_nothing(root, missing))
    return Reading(tuple(benchmarks), tuple(problems), tuple(missing))


def read_benchmark(root: str, names: Iterable[str] | None = None) -> list[Benchmark]:
    """The datasets below `root` that are there, in the order of the benchmark.

    Raises UsageError for what `read` raises it, and when anything is wrong with one of them: one line a problem,
    the first few of many.
    """
    found = read(root, names)
    if found.problems:
        lines = [str(problem) for problem in found.problems[:SHOWN]]
        if more := len(found.problems) - len(lines):
            lines.append(f"and {more} more problems, all listed by `uvr benchmark check {root}`")
        raise UsageError("\n".join(lines))
    return list(found.benchmarks)


def problems(root: str, names: Iterable[str] | None = None) -> list[Problem]:
    """Everything that is wrong with the datasets that are there; raises UsageError as `read` does."""
    return list(read(root, names).problems)


def sizes(benchmark: Benchmark) -> str | None:
    """How a dataset differs in size from the published one (table 4 of the paper); None where it does not."""
    dataset = benchmark.dataset
    pairs = [("queries", len(benchmark.queries), dataset.queries)]
    if dataset.corpus is not None:
        pairs.append(("videos", len(benchmark.corpus), dataset.corpus))
    if dataset.candidates is not None:
        counts = {len(candidates) for candidates in benchmark.candidates.values()} - {dataset.candidates}
        pairs += [("candidates of a query", count, dataset.candidates) for count in sorted(counts)]
    told = [f"{here} {what}, published with {there}" for what, here, there in pairs if here != there]
    return "; ".join(told) or None


def _nothing(root: str, missing: Iterable[str]) -> str:
    if not Path(root).is_dir():
        return f"{root} is no folder that can be read: it must hold UVRB's datasets; {_LAYOUT}"
    if (Path(root) / "jsonl").is_dir():
        return f"{root} is one dataset itself: give the folder above it, in which it has its dataset's name"
    return f"{root} holds none of {', '.join(missing)}; {_LAYOUT}"


def _read_dataset(root: Path, dataset: Dataset) -> Benchmark | list[Problem] | None:
    """A dataset, or what is wrong with it; None where it is absent."""
    unread = [
        Problem(dataset.name, "is in a form that is not read: unpack it, or make it a .zip or .tar", name)
        for name in unread_archives(root, dataset.name)
    ]
    try:
        opened = open_dataset(root, dataset.name)
    except UsageError as error:
        return [*unread, Problem(dataset.name, str(error))]
    if opened is None:
        return unread or None
    files, archives = opened
    refused = [
        Problem(dataset.name, f"{name!r} {why}", archive.path.name)
        for archive in archives.values()
        for name, why in archive.refused.items()
    ]
    found = assemble(dataset, files)
    others = [*unread, *refused]
    if isinstance(found, Benchmark):
        return others or found
    return [*others, *found]
