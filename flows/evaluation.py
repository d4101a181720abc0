"""The command `uvr eval`: a model on UVRB, or on the sources that a release holds out."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Optional

import typer

from flows.options import HeldOut, split_names
from infra.errors import UsageError
from infra.file_tree import ARCHIVES

if TYPE_CHECKING:
    from eval.uvrb.classification import Classification
    from eval.uvrb.embedding import BenchmarkKeys
    from eval.uvrb.evaluate import Scored
    from eval.uvrb.records import Benchmark, UVRBReport
    from eval.uvrb.vectors import VectorCache
    from train.gve import Gve
    from train.ranks import Ranks

PAGE: Final = "uvrb.html"
VECTORS: Final = "~/.cache/uvr/vectors"
PATIENCE_S: Final = 24 * 3600.0  # how late a process may be: one may have all the long videos


def evaluate(
    model: Annotated[str, typer.Option(help="Checkpoint folder.")],
    data: Annotated[str, typer.Option(help="A folder with UVRB's datasets, or a release's folder or manifest.")],
    out: Annotated[str, typer.Option(help="Folder for the report.")],
    split: Annotated[
        HeldOut, typer.Option(help="Of a release: what models are promoted by, or what none was chosen by.")
    ] = "val",
    datasets: Annotated[
        Optional[str], typer.Option(help="Of UVRB: names with commas; else all that are there.")
    ] = None,
    frames: Annotated[
        Optional[int], typer.Option(help="Of UVRB: frames of a video; else the model's own.", min=1)
    ] = None,
    tokens: Annotated[
        Optional[int], typer.Option(help="Of UVRB: tokens of a frame; else the model's own.", min=1)
    ] = None,
    against: Annotated[
        Optional[str], typer.Option(help="Of UVRB: another model's uvrb.json on the same data, to compare with.")
    ] = None,
    beside: Annotated[
        Optional[list[str]],
        typer.Option(help="Of UVRB: this model's uvrb.json at other frames or tokens, for the page; may be repeated."),
    ] = None,
    labels: Annotated[
        Optional[list[str]],
        typer.Option(help="Of UVRB: CSV with `path` and `label`, videos to classify by it too; may be repeated."),
    ] = None,
    cache: Annotated[
        str, typer.Option(help="Of UVRB: folder or URL where vectors are kept, seen by all processes.")
    ] = VECTORS,
    workers: Annotated[int, typer.Option(help="Of UVRB: Ray workers that embed together; 0: this process.", min=0)] = 0,
    ray_address: Annotated[str, typer.Option(help="Of UVRB: the workers' Ray cluster.")] = "local",
) -> None:
    """Score a model on a release's held-out sources or on UVRB: here, in torchrun's processes, or in Ray workers."""
    if is_uvrb(data):
        asked = Asked(
            model, data, out, split_names(datasets), frames, tokens, against, beside or (), labels or (), cache
        )
        if workers:
            from train.ray_group import run_group

            run_group(evaluate_uvrb, asked, out, workers, ray_address, PATIENCE_S)
        else:
            evaluate_uvrb(asked)
        if int(os.environ.get("RANK", "0")) == 0:
            _print_reports(asked)
        return
    if datasets or frames or tokens or against or beside or labels or workers:
        raise UsageError(f"only --split is for releases, and {data} holds no dataset of UVRB")
    from eval.heldout import evaluate_heldout
    from eval.report import write_report
    from train.gve import Gve

    _, markdown = write_report(evaluate_heldout(manifest_of(data), Gve.load(model), split), out)
    print(markdown)


def manifest_of(data: str) -> str:
    """The manifest that `data` (a release's folder or its manifest) means."""
    return data if data.endswith(".json") else f"{data.rstrip('/')}/manifest.json"


def is_uvrb(data: str) -> bool:
    """Whether a folder is laid out as UVRB: no release, and at least one dataset, as a folder or an archive."""
    from eval.uvrb.datasets import DATASETS

    root = Path(data).expanduser()
    if data.endswith(".json") or (root / "manifest.json").exists():
        return False
    places = [root / dataset.name for dataset in DATASETS]
    archives = [place.with_name(place.name + ending) for place in places for ending in ARCHIVES]
    return any((place / "jsonl").is_dir() for place in places) or any(place.is_file() for place in archives)


@dataclass(frozen=True)
class Asked:
    """What is to be scored on UVRB, how, and where to: the options of the command."""

    model: str
    data: str
    out: str
    datasets: Sequence[str] | None = None  # None: all that are there
    frames: int | None = None
    tokens: int | None = None
    against: str | None = None
    beside: Sequence[str] = ()
    labels: Sequence[str] = ()
    cache: str = VECTORS


def evaluate_uvrb(asked: Asked) -> None:
    """Embed in every process, then score and report in the first.

    What could fail is looked at before anything is embedded: the other reports, and the data.
    """
    from eval.uvrb.classification import classify, read_label_set
    from eval.uvrb.embedding import embed_missing
    from eval.uvrb.evaluate import score
    from eval.uvrb.files import read_report, write_classifications
    from eval.uvrb.layout import read_benchmark
    from eval.uvrb.vectors import VectorCache
    from infra.progress import Progress
    from train.ranks import Ranks

    rival = read_report(asked.against) if asked.against else None
    others = [read_report(path) for path in asked.beside]
    label_sets = [read_label_set(path) for path in asked.labels]
    benchmarks = read_benchmark(asked.data, asked.datasets)
    ranks = Ranks.from_environment(PATIENCE_S)
    gve, scored = load_model(asked.model, asked.frames, asked.tokens, ranks)
    kept = asked.cache if "://" in asked.cache else str(Path(asked.cache).expanduser())
    vectors = VectorCache(kept, scored.model_id, gve.dim, _tell)
    with Progress() as progress:
        share = (ranks.rank, ranks.size)
        keys = embed_missing(benchmarks, gve, vectors, share, ranks.share, None if ranks.rank else progress)
    if ranks.rank == 0:
        report = score(benchmarks, keys, vectors, scored)
        classified = {known.name: classify(known.videos(), known.true, known.labels, gve) for known in label_sets}
        _write(report, rival, asked.out)
        if classified:
            write_classifications(classified, asked.out)
        _write_page(report, others, benchmarks, keys, vectors, classified, asked.out)
    ranks.close()


def load_model(folder: str, frames: int | None, tokens: int | None, ranks: Ranks) -> tuple[Gve, Scored]:
    """A model on this process's device, with the input settings it is scored by; in bfloat16 on a GPU.

    Raises UsageError when there is none, or it cannot see so little of a frame.
    """
    import torch

    from eval.uvrb.evaluate import Scored
    from train.gve import Gve

    dtype = torch.float32 if ranks.device.type == "cpu" else torch.bfloat16
    gve = Gve.load(folder, dtype, ranks.device)
    gve.use_inputs(gve.settings.scaled(frames, tokens))
    return gve, Scored(folder, model_id(folder, gve, str(dtype)), gve.settings.frames, gve.settings.frame_tokens)


def model_id(folder: str, gve: Gve, dtype: str) -> str:
    """16 hex digits of all that decides a model's vectors: its files, its input settings, and how it computes."""
    from train.prober import content_digest

    facts = [content_digest(folder), asdict(gve.settings), dtype]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


def _write(report: UVRBReport, rival: UVRBReport | None, out: str) -> None:
    """The report, and how it compares."""
    from eval.uvrb.compare import compare
    from eval.uvrb.files import write_comparison, write_report

    write_report(report, out)
    if rival:
        write_comparison(compare(report, rival), out)


def _print_reports(asked: Asked) -> None:
    """What was written in words, and where the page is."""
    from eval.uvrb.files import COMPARISON_MARKDOWN, LABELS_MARKDOWN, REPORT_MARKDOWN

    words = {REPORT_MARKDOWN: True, COMPARISON_MARKDOWN: bool(asked.against), LABELS_MARKDOWN: bool(asked.labels)}
    for name in (name for name, is_there in words.items() if is_there):
        print(Path(asked.out, name).read_text())
    print(Path(asked.out, PAGE))


def _write_page(
    report: UVRBReport,
    others: Sequence[UVRBReport],
    benchmarks: Sequence[Benchmark],
    keys: Sequence[BenchmarkKeys],
    vectors: VectorCache,
    classified: Mapping[str, Classification],
    out: str,
) -> None:
    """The page of an evaluation."""
    from eval.uvrb.page.page import make_page, write_page
    from eval.uvrb.page.space import draw_vectors

    samples = {
        benchmark.dataset.name: draw_vectors(vectors.read(own.queries), vectors.read(own.corpus), report.seed)
        for benchmark, own in zip(benchmarks, keys, strict=True)
    }
    write_page(make_page(report, benchmarks, others, samples, classified), f"{out}/{PAGE}")


def _tell(line: str) -> None:
    print(line, file=sys.stderr)
