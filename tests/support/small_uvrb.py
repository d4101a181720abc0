"""Three small datasets of UVRB in its public layout, of clips of one moving shape, and embedders for them.

As a script it is one evaluation, in one process or several, that may be told to kill itself on its way.
"""

import hashlib
import json
import os
import signal
import sys
from collections.abc import Callable, Iterable, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from toy_release import COLOURS, MOVES, SHAPES, draw_clip

from eval.uvrb.datasets import named
from eval.uvrb.embedding import embed_missing
from eval.uvrb.evaluate import Scored, evaluate, score
from eval.uvrb.records import Benchmark, Query, UVRBReport
from eval.uvrb.vectors import VectorCache, side_key
from infra.media.encode import encode_image, encode_video
from shards.embedder import Embedder
from shards.records import Side
from train.gve import Gve
from train.ranks import Ranks
from train.settings import InputSettings, TinySettings

NAMES = ("MSRVTT", "MS-TI", "MSRVTT-I2V")
SCORED = Scored("tiny", "0123456789abcdef", 4, 4)
FILMS = list(product(COLOURS, SHAPES, MOVES))[::4]  # 12 of them


def write_small_uvrb(root: Path) -> None:
    """MSRVTT and MSRVTT-I2V over the same 12 videos, and MS-TI with 4 candidates a query."""
    films = [draw_clip(*film) for film in FILMS]
    clips = {f"v{number:02d}": encode_video(film, fps=6, crf=12) for number, film in enumerate(films)}
    pictures = {f"v{number:02d}": encode_image(film[2]) for number, film in enumerate(films)}
    texts = {
        f"v{number:02d}": f"A {colour} {shape} moves {move}." for number, (colour, shape, move) in enumerate(FILMS)
    }
    asked = [{"id": f"q-{name}", "text": text} for name, text in texts.items()]
    _write(root / "MSRVTT", asked, clips, {}, [{"qid": f"q-{name}", "pos": [name]} for name in texts])
    shown = [{"id": f"q-{name}", "image": f"images/{name}.jpg"} for name in list(pictures)[:8]]
    _write(root / "MSRVTT-I2V", shown, clips, pictures, [{"qid": q["id"], "pos": [q["id"][2:]]} for q in shown])
    both = [{**query, "text": f"moving {FILMS[row][2]}, from here"} for row, query in enumerate(shown[:6])]
    names = list(clips)
    among = [
        {"qid": query["id"], "pos": [names[row]], "neg": [names[(row + step) % 12] for step in (1, 3, 5)]}
        for row, query in enumerate(both)
    ]
    _write(root / "MS-TI", both, clips, pictures, among)


def _write(
    folder: Path, queries: list[Any], clips: dict[str, bytes], pictures: dict[str, bytes], instances: list[Any]
) -> None:
    corpus = [{"id": name, "video": f"videos/{name}.mp4"} for name in clips]
    for kind in ("jsonl", "videos", *(["images"] if pictures else [])):
        (folder / kind).mkdir(parents=True)
    for name, rows in {"queries": queries, "corpus": corpus, "instances": instances}.items():
        (folder / "jsonl" / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for name, clip in clips.items():
        (folder / "videos" / f"{name}.mp4").write_bytes(clip)
    for name, picture in pictures.items():
        (folder / "images" / f"{name}.jpg").write_bytes(picture)


class Folder:
    """The files of a dataset in a folder, and how many were read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self, name: str) -> bytes:
        return (self.folder / name).read_bytes()

    def local_path(self, name: str) -> Path:
        return self.folder / name


def read_small_uvrb(root: Path, names: Iterable[str] = NAMES) -> list[Benchmark]:
    """The datasets, without a doubt that they are whole."""
    return [_read(root / dataset.name, dataset.name) for dataset in named(names)]


def _read(folder: Path, name: str) -> Benchmark:
    queries, corpus, instances = (
        [json.loads(line) for line in (folder / "jsonl" / f"{kind}.jsonl").read_text().splitlines()]
        for kind in ("queries", "corpus", "instances")
    )
    return Benchmark(
        dataset=named([name])[0],
        queries=tuple(Query(row["id"], row.get("text"), row.get("image"), row.get("video")) for row in queries),
        corpus={row["id"]: row["video"] for row in corpus},
        positives={row["qid"]: tuple(row["pos"]) for row in instances},
        candidates={row["qid"]: (*row["pos"], *row["neg"]) for row in instances if "neg" in row},
        files=Folder(folder),
    )


class NoiseEmbedder:
    """Unit vectors that have nothing to do with what a side shows, but are its own; counts what it was asked."""

    dim = 16

    def __init__(self) -> None:
        self.asked: list[tuple[Side, str]] = []

    def embed(self, sides: Sequence[Side], instruction: str = "") -> NDArray[np.float32]:
        self.asked += [(side, instruction) for side in sides]
        seeds = [int.from_bytes(side_key(side, instruction)[:8], "big") for side in sides]
        vectors = np.array([np.random.default_rng(seed).normal(size=self.dim) for seed in seeds], np.float32)
        return vectors.reshape(-1, self.dim) / np.linalg.norm(vectors, axis=-1, keepdims=True)


class Counting:
    """Another embedder, and how many sides it was asked; kills this process instead of answering the batch `fatal`."""

    def __init__(self, embedder: Embedder, fatal: int = 0) -> None:
        self.embedder, self.fatal, self.batches, self.sides = embedder, fatal, 0, 0

    @property
    def dim(self) -> int:
        return self.embedder.dim

    def embed(self, sides: Sequence[Side], instruction: str = "") -> NDArray[np.float32]:
        self.batches += 1
        self.sides += len(sides)
        if self.batches == self.fatal:
            os.kill(os.getpid(), signal.SIGKILL)
        return self.embedder.embed(sides, instruction)


def save_tiny_gve(folder: Path) -> None:
    """A tiny GVE with random weights."""
    sizes = TinySettings(layers=2, vocab_size=320, hidden=32, intermediate=64, vision_hidden=32)
    inputs = InputSettings(frames=4, frame_max_pixels=56 * 56, image_max_pixels=56 * 56, max_tokens=128)
    Gve.tiny(["A red square moves left."], sizes, inputs, 7).save(folder)


def evaluate_small(root: Path, model: Path, cache: Path, embedder: Embedder | None = None) -> UVRBReport:
    """The report of one process."""
    embedder = embedder or Gve.load(model)
    return evaluate(read_small_uvrb(root), embedder, open_cache(cache, embedder), SCORED)


def open_cache(folder: Path, embedder: Embedder, tell: Callable[[str], None] = print) -> VectorCache:
    """The cache of the small evaluation's model."""
    return VectorCache(str(folder), SCORED.model_id, embedder.dim, tell)


def evaluate_as_rank(root: Path, model: Path, cache: Path, ranks: Ranks) -> tuple[int, UVRBReport]:
    """How many sides this rank embedded, and the report."""
    embedder = Counting(Gve.load(model))
    benchmarks, vectors = read_small_uvrb(root), open_cache(cache, embedder)
    keys = embed_missing(benchmarks, embedder, vectors, (ranks.rank, ranks.size), ranks.share)
    return embedder.sides, score(benchmarks, keys, vectors, SCORED)


def digest_of(folder: Path) -> dict[str, str]:
    """What every file in a folder holds."""
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(folder.iterdir())}


if __name__ == "__main__":
    data, tiny, kept = map(Path, sys.argv[1:4])
    evaluate_small(data, tiny, kept, Counting(Gve.load(tiny), fatal=int(sys.argv[4])))
