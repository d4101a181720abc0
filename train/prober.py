"""Stages `embed` and `embed_queries`: clips, captions and queries as vectors of a prober, any GVE checkpoint folder.

The filters after them read the vectors as columns and know no model: semantic duplicates and cross-modal
consistency (arXiv 2510.27571, section 3.2, where GME-7B is the prober), and hard negatives (section 3.3).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import ClassVar, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from infra.errors import RunFailed, UsageError
from infra.stage import Outcome, Row, RowStage, Work, Workspace, each
from shards.embedder import Embedder
from shards.records import HARD_NEGATIVE_TASKS, INSTRUCTIONS, Side
from shards.vectors import VECTOR, pack

CONTENT: Final = ("config.json", "tokenizer.json", "*.safetensors", "*.bin")  # what decides the vectors
IDLE_UNIT_ROWS: Final = 4096


@dataclass(frozen=True)
class Embed(RowStage):
    """Embeds every clip, as a target, and its captions, as queries of it. Without a prober all columns are null.

    `text_vector` is the mean of the captions' unit vectors: its product with a clip's vector is the mean of
    the captions' cosines with that clip, and one vector a clip is a fifth of five. What decides the
    fingerprint is the prober's content, not where its folder lies; every worker must find the folder there.
    """

    prober: str = ""  # local folder of a GVE or any Qwen2.5-VL checkpoint
    revision: str = ""  # stands for its content; empty: a digest of its files

    name: ClassVar[str] = "embed"
    version: ClassVar[int] = 1
    needs: ClassVar[tuple[str, ...]] = ("clip_path", "captions")
    schema: ClassVar[pa.Schema] = pa.schema(
        [
            ("clip_vector", VECTOR),
            ("text_vector", VECTOR),
            ("caption_cosines", pa.list_(pa.float32())),  # of the clip with each of its captions, in their order
            ("vector_model", pa.string()),  # the prober's revision: only vectors of one model can be compared
        ]
    )
    unit_rows: ClassVar[int] = 512  # the tiny model does some 40 a second and core

    def least_unit_rows(self) -> int:
        """Large units where there is nothing to do: they cost a file each."""
        return 1 if self.prober else IDLE_UNIT_ROWS

    def pinned(self) -> Embed:
        """These settings with the revision filled in, so that no worker has to read the weights for it.

        Raises UsageError when there is no model in the prober's folder.
        """
        return replace(self, revision=self.revision or content_digest(self.prober)) if self.prober else Embed()

    def fingerprint(self, upstream: Sequence[str]) -> str:
        """As of any stage, except that it counts what the prober is and not where."""
        return super(Embed, replace(self.pinned(), prober="")).fingerprint(upstream)

    def open(self, workspace: Workspace) -> Work:
        if not self.prober:
            return each(blank_row)
        revision = self.pinned().revision
        return _with_prober(self.prober, embed_row, revision, workspace)


def _with_prober(folder: str, function: Callable[..., Iterable[Row]], *given: object) -> Work:
    """The batch function that calls `function` with the prober, what is `given` and a row, on one thread."""
    from train.gve import Gve  # brings torch, which only workers with a prober need
    from train.threads import torch_threads

    work = each(partial(function, Gve.load(folder), *given))

    def work_alone(rows: list[Row]) -> Iterable[Outcome]:
        with torch_threads(1):  # more would round sums differently
            return list(work(rows))

    return work_alone


def blank_row(row: Row) -> Iterable[Row]:
    """A clip that nothing embedded."""
    return [{"key": row["key"], "parent": row["key"], **dict.fromkeys(Embed.schema.names)}]


def embed_row(prober: Embedder, revision: str, workspace: Workspace, row: Row) -> Iterable[Row]:
    """The vectors of one clip and its captions; raises RowError as the prober does.

    A clip is embedded by itself and its captions together, never beside other clips: whatever batch a row
    comes in, its vectors are the same to the last bit.
    """
    (clip,) = prober.embed([Side(video=workspace.read(row["clip_path"]))])
    texts = prober.embed([Side(text=caption) for caption in row["captions"]], INSTRUCTIONS["T2V"])
    _check_finite(row, clip, texts)
    yield {
        "key": row["key"],
        "parent": row["key"],
        "clip_vector": pack(clip),
        "text_vector": pack(texts.mean(axis=0)),
        "caption_cosines": (texts @ clip).tolist(),
        "vector_model": revision,
    }


def _check_finite(row: Row, *vectors: NDArray[np.float32]) -> None:
    if not all(np.isfinite(vector).all() for vector in vectors):
        raise RunFailed(
            f"the prober answered row {row['key']} with vectors that are not finite: its weights are no good"
        )


@dataclass(frozen=True)
class EmbedQueries(RowStage):
    """Embeds the query side of the pairs that get hard negatives, with their task's instruction; of others it is null.

    The targets of these pairs are clips, whose vectors stage `embed` has made. Prober and revision are the
    settings of that stage, of whose fingerprint this one's is made.
    """

    prober: str = ""
    revision: str = ""

    name: ClassVar[str] = "embed_queries"
    version: ClassVar[int] = 1
    needs: ClassVar[tuple[str, ...]] = ("task", "query_text", "query_image", "query_video")
    schema: ClassVar[pa.Schema] = pa.schema([("query_vector", VECTOR)])
    unit_rows: ClassVar[int] = 512

    def fingerprint(self, upstream: Sequence[str]) -> str:
        """As of any stage, except that it does not count where the prober is."""
        return super(EmbedQueries, replace(self, prober="")).fingerprint(upstream)

    def open(self, workspace: Workspace) -> Work:
        return _with_prober(self.prober, embed_query, workspace)


def embed_query(prober: Embedder, workspace: Workspace, row: Row) -> Iterable[Row]:
    """The vector of one pair's query, embedded by itself; raises RowError as the prober does."""
    vector = None
    if row["task"] in HARD_NEGATIVE_TASKS:
        image, video = (None if row[name] is None else workspace.read(row[name]) for name in EmbedQueries.needs[2:])
        (query,) = prober.embed([Side(row["query_text"], image, video)], INSTRUCTIONS[row["task"]])
        _check_finite(row, query)
        vector = pack(query)
    yield {"key": row["key"], "parent": row["key"], "query_vector": vector}


def content_digest(folder: str) -> str:
    """16 hex digits of the files in a checkpoint's folder that decide its vectors; logs and curves do not count.

    A file is read once a process, and again when it changed. Raises UsageError when there is no model.
    """
    path = Path(folder).expanduser()
    files = sorted(file for pattern in CONTENT for file in path.glob(pattern))
    if not any(file.suffix != ".json" for file in files):
        raise UsageError(f"no model at {path}: embed.prober is the folder of a checkpoint")
    facts = [f"{file.name} {_file_digest(file, (s := file.stat()).st_size, s.st_mtime_ns)}" for file in files]
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:16]


@cache
def _file_digest(path: Path, size_bytes: int, changed_ns: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
