"""Near-duplicate texts and text decontamination over generated captions, at several sizes.

    python tests/benchmarks/bench_texts.py [--sizes 100000 300000 800000 1550000] [--json] [--png FILE]

A caption has 60 words, most of them in phrases that many captions share. One in 25 is another one with no,
one or three words changed, or with its end cut off. Every size runs in a process of its own, on one thread;
its peak memory includes the captions. Duplicates found are held against a brute force over all pairs of
a sample of originals and all their copies: recall is the share of its duplicates that the stage labels,
precision that of the stage's labels which are right. Decontamination looks for 20,000 evaluation texts; 20
words of one stand in one caption of 1,000.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from filters.contamination import EvaluationIndex, EvaluationText, Overlap
from filters.texts import DETAILED, NearDuplicateTexts

WORDS, PHRASE = 60, 6
VOCABULARY, PHRASES = 30_000, 20_000
EDITS = ("none", "one word", "three words", "end cut")
EVALUATION_TEXTS = 20_000
SAMPLE = 2_000
SEED = 7


@dataclass(frozen=True)
class Captions:
    """Word numbers of generated captions, -1 where one has ended, and which caption each was copied from (or -1)."""

    words: np.ndarray
    copied_from: np.ndarray
    vocabulary: pa.Array

    def texts(self, chosen: slice | np.ndarray) -> pa.Array:
        """The chosen captions as strings."""
        words = self.words[chosen]
        lengths = (words >= 0).sum(axis=1)
        values = self.vocabulary.take(pa.array(words[words >= 0]))
        offsets = pa.array(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32))
        return pc.binary_join(pa.ListArray.from_arrays(offsets, values), " ")


def draw_captions(count: int) -> Captions:
    """`count` captions with planted near-duplicates."""
    rng = np.random.default_rng(SEED)
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz"))
    vocabulary = pa.array(["".join(rng.choice(letters, rng.integers(2, 9))) + str(i % 7) for i in range(VOCABULARY)])
    pool = (VOCABULARY * rng.random((PHRASES, PHRASE)) ** 3).astype(np.int32)
    pieces = WORDS // PHRASE
    words = pool[(PHRASES * rng.random((count, pieces)) ** 2).astype(np.int32)]
    own = rng.random((count, pieces)) < 0.3
    words[own] = (VOCABULARY * rng.random((int(own.sum()), PHRASE)) ** 3).astype(np.int32)
    words = words.reshape(count, WORDS)
    copied_from = np.full(count, -1)
    copies = rng.permutation(count)[: count // 25]
    originals = rng.choice(np.setdiff1d(np.arange(count), copies), len(copies))
    copied_from[copies] = originals
    words[copies] = words[originals]
    _edit(rng, words, copies)
    return Captions(words, copied_from, vocabulary)


def _edit(rng: np.random.Generator, words: np.ndarray, copies: np.ndarray) -> None:
    """Edit every copy in one of the ways of EDITS."""
    kinds = np.arange(len(copies)) % len(EDITS)
    for kind, places in ((1, [30]), (2, [10, 30, 50])):
        chosen = copies[kinds == kind]
        words[chosen[:, None], places] = rng.integers(0, VOCABULARY, (len(chosen), len(places)))
    words[copies[kinds == 3], -4:] = -1


def clips(captions: Captions) -> pa.Table:
    """The table that the stage reads; the five captions of a clip are empty but for the detailed one."""
    batches = []
    for start in range(0, len(captions.words), 50_000):
        texts = captions.texts(slice(start, start + 50_000))
        empty = pa.repeat(pa.scalar(""), len(texts))
        five = [empty] * 5
        five[DETAILED] = texts
        order = np.arange(5 * len(texts)).reshape(5, -1).T.ravel()
        offsets = pa.array(np.arange(0, 5 * len(texts) + 1, 5, dtype=np.int32))
        keys = pa.array([f"{i:08d}" for i in range(start, start + len(texts))])
        lists = pa.ListArray.from_arrays(offsets, pa.concat_arrays(five).take(pa.array(order)))
        batches.append(pa.table({"key": keys, "captions": lists}))
    return pa.concat_tables(batches)


def measure_texts(count: int) -> dict[str, Any]:
    """Seconds, peak memory, recall and precision of the stage over `count` captions."""
    captions = draw_captions(count)
    rows = clips(captions)
    before = _peak_gb()
    began, cpu = time.perf_counter(), time.process_time()
    stage = NearDuplicateTexts()
    labels = [outcome["same_text_as"] for outcome in stage.compute(rows, rows.slice(0, 0))]
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    originals = np.unique(captions.copied_from[captions.copied_from >= 0])[: SAMPLE // 2]
    sample = np.union1d(originals, np.flatnonzero(np.isin(captions.copied_from, originals)))
    truth = brute_force(captions.texts(sample).to_pylist(), stage.min_jaccard)
    ours = [labels[i] != "" for i in sample]
    both = sum(a and b for a, b in zip(truth, ours, strict=True))
    return {
        "work": "texts",
        "captions": count,
        "seconds": round(seconds, 1),
        "cpu_seconds": round(cpu, 1),
        "peak_gb": round(_peak_gb(), 2),
        "peak_before_gb": round(before, 2),
        "found": sum(label != "" for label in labels),
        "sampled": len(sample),
        "recall": round(both / sum(truth), 4),
        "precision": round(both / max(1, sum(ours)), 4),
    }


def brute_force(texts: Sequence[str], min_jaccard: float) -> list[bool]:
    """Whether each text is a near-duplicate of an earlier one that is none itself, from all pairs of word runs."""
    sets = [{tuple(w[i : i + 3]) for i in range(len(w) - 2)} for w in map(str.split, texts)]
    kept: list[set[tuple[str, ...]]] = []
    joined = []
    for own in sets:
        joined.append(any(len(own & other) >= min_jaccard * len(own | other) for other in kept))
        if not joined[-1]:
            kept.append(own)
    return joined


def measure_decontamination(count: int) -> dict[str, Any]:
    """Seconds, peak memory and planted texts found among `count` captions."""
    captions = draw_captions(count)
    rng = np.random.default_rng(SEED + 1)
    evaluation = (VOCABULARY * rng.random((EVALUATION_TEXTS, 40)) ** 3).astype(np.int32)
    lengths = rng.integers(5, 41, EVALUATION_TEXTS)
    evaluation[np.arange(40) >= lengths[:, None]] = -1
    carriers = rng.permutation(count)[: count // 1000]
    sources = rng.choice(np.flatnonzero(lengths >= 20), len(carriers))
    captions.words[carriers, 20:40] = evaluation[sources, :20]
    texts = Captions(evaluation, sources, captions.vocabulary).texts(slice(None)).to_pylist()
    rows = clips(captions)
    before = _peak_gb()
    began, cpu = time.perf_counter(), time.process_time()
    index = EvaluationIndex((EvaluationText("set", str(i), text) for i, text in enumerate(texts)), Overlap())
    hits = index.hits(rows["key"].to_pylist(), [rows["captions"]])
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    found = {int(hit.key) for hit in hits}
    return {
        "work": "decontamination",
        "captions": count,
        "seconds": round(seconds, 1),
        "cpu_seconds": round(cpu, 1),
        "peak_gb": round(_peak_gb(), 2),
        "peak_before_gb": round(before, 2),
        "found": len(found),
        "sampled": len(carriers),
        "recall": round(len(found & set(carriers.tolist())) / max(1, len(carriers)), 4),
        "precision": round(len(found & set(carriers.tolist())) / max(1, len(found)), 4),
    }


def _peak_gb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def draw(results: Sequence[dict[str, Any]], path: Path) -> None:
    """CPU seconds over captions, with n log n through the first point of each."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    for work, colour in (("texts", "#4e79a7"), ("decontamination", "#f28e2b")):
        sizes, seconds = zip(*[(r["captions"], r["cpu_seconds"]) for r in results if r["work"] == work], strict=True)
        axes.plot(sizes, seconds, "o-", color=colour, label=work)
        bound = [seconds[0] * n * np.log(n) / (sizes[0] * np.log(sizes[0])) for n in sizes]
        axes.plot(sizes, bound, ":", color=colour, label="n log n through its first point")
    axes.set(xlabel="captions of 60 words", ylabel="CPU seconds, one thread", xscale="log", yscale="log")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    figure.savefig(path, dpi=110, metadata={"Software": ""})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--sizes", type=int, nargs="+", default=[100_000, 300_000, 800_000, 1_550_000])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--png", type=Path)
    options = parser.parse_args()
    results = []
    # a process for each, so that peak memory is its own
    with ProcessPoolExecutor(1, mp_context=get_context("spawn"), max_tasks_per_child=1) as pool:
        for work in (measure_texts, measure_decontamination):
            for size in options.sizes:
                results.append(pool.submit(work, size).result())
                if not options.json:
                    print("  ".join(f"{name} {value}" for name, value in results[-1].items()), flush=True)
    if options.json:
        print(json.dumps(results))
    if options.png:
        draw(results, options.png)


if __name__ == "__main__":
    main()
