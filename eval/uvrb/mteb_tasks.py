"""UVRB's datasets as tasks of MTEB (Muennighoff et al., 2023), read from a local folder in the public layout.

    mteb.evaluate(model, uvrb_tasks("data/uvrb"))

Any model of MTEB that takes a dataset's kinds of query can be scored so. The instruction is the task's query prompt;
targets have none. A query of P@1 is searched in its own candidates, which are MTEB's `top_ranked`. MTEB rounds scores
to five decimals, and of equal cosines it ranks the greater id first, where our own search ranks the lower one first.

Needs the extra `mteb`; models that decode videos by MTEB's own means need torchcodec too.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar, Final

from datasets import Dataset, Features, Image, Value, Video
from mteb.abstasks.retrieval import AbsTaskRetrieval
from mteb.abstasks.retrieval_dataset_loaders import RetrievalSplitData
from mteb.abstasks.task_metadata import TaskMetadata

from eval.uvrb import datasets as uvrb
from eval.uvrb.layout import read_benchmark
from eval.uvrb.records import Benchmark, Files
from infra.media.decode import sample_frames
from infra.media.encode import encode_video
from infra.media.frames import PackedFrames, is_packed

PREFIX: Final = "UVRB-"  # of a task's name, before the dataset's
SPLIT: Final = "test"
CATEGORIES: Final = {"T": "t2v", "TI": "it2v", "TV": "vt2v", "I": "i2v", "V": "v2v"}  # MTEB's, by format of the query
_MODALITIES: Final = {"T": "text", "I": "image", "V": "video"}
_METRICS: Final = {"R": "recall", "P": "precision"}
_FEATURES: Final = {"id": Value("string"), "text": Value("string"), "image": Image(), "video": Video()}
_CRF: Final = 10  # of a video made of frames: losses that nobody sees
_CITATION: Final = """@misc{guo2025gve,
  title={Towards Universal Video Retrieval: Generalizing Video Embedding via Synthesized Multimodal Pyramid Curriculum},
  author={Zhuoning Guo and Mingxin Li and Yanzhao Zhang and Dingkun Long and Pengjun Xie and Xiaowen Chu},
  year={2025},
  eprint={2510.27571},
  archivePrefix={arXiv}
}"""


class UVRBRetrieval(AbsTaskRetrieval):  # type: ignore[misc]
    """One dataset of UVRB; `uvrb_task` makes the class of each.

    Videos and images are columns of paths, which nothing decodes before a model asks for it. What lies in an archive,
    and videos of which only frames are there, are copied to a temporary folder for as long as the data are loaded.
    """

    benchmark: ClassVar[Benchmark]
    data_loaded: bool
    _copies: TemporaryDirectory[str]

    def load_data(self, num_proc: int | None = None, **kwargs: Any) -> None:
        """Fill `dataset`; raises RowError for media that are gone, or damaged in their archive."""
        if self.data_loaded:
            return
        self._copies = TemporaryDirectory(prefix="uvrb-")
        self.dataset = {"default": {SPLIT: split_data(self.benchmark, Path(self._copies.name))}}
        self.data_loaded = True

    def unload_data(self) -> None:
        """Forget the data and remove the copies of media."""
        if self.data_loaded:
            self._copies.cleanup()
        super().unload_data()


def uvrb_tasks(root: str, names: Iterable[str] | None = None) -> list[UVRBRetrieval]:
    """The tasks of the datasets below `root` that are there, or of those named; raises as `read_benchmark` does."""
    return [uvrb_task(benchmark) for benchmark in read_benchmark(root, names)]


def uvrb_task(benchmark: Benchmark) -> UVRBRetrieval:
    """The task of one dataset, of a class of its own, since MTEB keeps a task's metadata in its class."""
    name = f"UVRB{benchmark.dataset.name.replace('-', '')}Retrieval"
    own = {"benchmark": benchmark, "metadata": task_metadata(benchmark)}
    made: type[UVRBRetrieval] = type(name, (UVRBRetrieval,), own)
    return made()


def task_metadata(benchmark: Benchmark) -> TaskMetadata:
    """What MTEB knows of a dataset; the revision, by which it keeps results, is a digest of the tables."""
    dataset = benchmark.dataset
    return TaskMetadata(
        name=PREFIX + dataset.name,
        description=f"UVRB's {dataset.name}: {dataset.about}. It isolates the ability {dataset.ability}.",
        dataset={"path": PREFIX + dataset.name, "revision": _digest(benchmark)},
        reference="https://arxiv.org/abs/2510.27571",
        type="Any2AnyReranking" if benchmark.candidates else "Any2AnyRetrieval",
        category=CATEGORIES[dataset.query],
        modalities=sorted({_MODALITIES[letter] for letter in dataset.query + "V"}),
        prompt={"query": dataset.instruction},
        eval_splits=[SPLIT],
        eval_langs=["eng-Latn"],
        main_score=main_score(dataset),
        bibtex_citation=_CITATION,
    )


def main_score(dataset: uvrb.Dataset) -> str:
    """The name of a dataset's metric among MTEB's scores."""
    return f"{_METRICS[dataset.metric[0]]}_at_{dataset.k}"


def split_data(benchmark: Benchmark, copies: Path) -> RetrievalSplitData:
    """A dataset in MTEB's form; media that are no local files are copied into `copies`."""
    files = benchmark.files
    columns: dict[str, list[Any]] = {"id": [query.query_id for query in benchmark.queries]}
    if "T" in benchmark.dataset.query:
        columns["text"] = [query.text for query in benchmark.queries]
    for letter, name in (("I", "image"), ("V", "video")):
        if letter in benchmark.dataset.query:
            columns[name] = [local_file(files, getattr(query, name), copies) for query in benchmark.queries]
    corpus = {
        "id": list(benchmark.corpus),
        "video": [local_file(files, name, copies) for name in benchmark.corpus.values()],
    }
    return RetrievalSplitData(
        queries=_table(columns),
        corpus=_table(corpus),
        relevant_docs={query: dict.fromkeys(right, 1) for query, right in benchmark.positives.items()},
        top_ranked={query: list(among) for query, among in benchmark.candidates.items()} or None,
    )


def local_file(files: Files, name: str, copies: Path) -> str:
    """The path of an image or a video: its own, or that of the copy made in `copies`.

    Frames become a video of one a second, as they count for us, nearly without loss: other models decode files only.
    """
    path = files.local_path(name)
    if path is None:
        data = files.read(name)
        path = copies / (f"{name}.mp4" if is_packed(data) else name)
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(_video_of(data) if is_packed(data) else data)
    return str(path.absolute())


def _video_of(packed: bytes) -> bytes:
    pictures, _ = sample_frames(packed, len(PackedFrames(packed)))
    return encode_video(pictures, fps=1, crf=_CRF)


def _table(columns: dict[str, list[Any]]) -> Dataset:
    return Dataset.from_dict(columns, features=Features({name: _FEATURES[name] for name in columns}))


def _digest(benchmark: Benchmark) -> str:
    digest = hashlib.sha256()
    for row in _rows(benchmark):
        digest.update(json.dumps(row).encode() + b"\n")
    return digest.hexdigest()[:32]


def _rows(benchmark: Benchmark) -> Iterator[list[Any]]:
    """All that a dataset's tables say, and the sizes of media where they are files."""
    for query in benchmark.queries:
        among = benchmark.candidates.get(query.query_id, ())
        media = [_sized(benchmark.files, name) for name in (query.image, query.video) if name]
        yield [query.query_id, query.text, media, sorted(benchmark.positives[query.query_id]), sorted(among)]
    for corpus_id, name in benchmark.corpus.items():
        yield [corpus_id, _sized(benchmark.files, name)]


def _sized(files: Files, name: str) -> tuple[str, int | None]:
    path = files.local_path(name)
    return name, path.stat().st_size if path else None
