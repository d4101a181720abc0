"""Semantic duplicates: the tree against every pair, who is kept, and what no order or number of threads changes."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_vectors import alike, clustered, unit

from filters.semantic import SemanticDuplicates, duplicates
from infra.stage import Drop
from shards.clusters import overlapping_clusters
from shards.vectors import VECTOR, pack, to_unit, unpack

COLUMNS = pa.schema(
    [
        ("key", pa.string()),
        ("clip_vector", VECTOR),
        ("vector_model", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("clip_duration_s", pa.float64()),
    ]
)


def table(clips: list[dict[str, Any]]) -> pa.Table:
    """Rows as the engine gives them: sorted by key."""
    common = {"vector_model": "m", "width": 320, "height": 180, "clip_duration_s": 5.0}
    return pa.Table.from_pylist([common | clip for clip in sorted(clips, key=lambda c: c["key"])], schema=COLUMNS)


def split(outcomes: Any) -> tuple[dict[str, bool], dict[str, Drop]]:
    """Kept keys with whether they were compared, and drops by key."""
    found = list(outcomes)
    kept = {o["key"]: o["semantic_checked"] for o in found if isinstance(o, dict)}
    drops = {o.key: o for o in found if isinstance(o, Drop)}
    assert len(kept) + len(drops) == len(found)
    return kept, drops


def brute_force(vectors: np.ndarray, fixed: int, min_cosine: float) -> np.ndarray:
    """One clip after the other, best first, against all kept before it."""
    units = to_unit(vectors).astype(np.float64)
    lost_to = np.full(len(units), -1)
    for i in range(fixed, len(units)):
        kept = np.flatnonzero(lost_to[:i] < 0)
        near = kept[units[kept] @ units[i] >= min_cosine]
        lost_to[i] = near[0] if len(near) else -1
    return lost_to


@given(
    seed=st.integers(0, 2**32 - 1),
    count=st.integers(0, 60),
    fixed=st.integers(0, 5),
    min_cosine=st.floats(0.5, 0.99),
)
@settings(deadline=None, max_examples=60)
def test_within_one_cluster_it_is_what_every_pair_gives(seed: int, count: int, fixed: int, min_cosine: float) -> None:
    rng = np.random.default_rng(seed)
    vectors = unit(rng.standard_normal((count, 3))).astype(np.float16)  # 3 dimensions are crowded: long chains
    found = duplicates(vectors, min(fixed, count), min_cosine, 0)
    np.testing.assert_array_equal(found, brute_force(vectors, min(fixed, count), min_cosine))


@given(seed=st.integers(0, 1000))
@settings(deadline=None, max_examples=5)
def test_over_many_clusters_it_finds_nearly_all(seed: int) -> None:
    rng = np.random.default_rng(seed)
    films = clustered(rng, 3000, dim=64)
    sources = rng.choice(len(films), 300, replace=False)
    vectors = np.concatenate([films, alike(rng, films[sources], 0.96)]).astype(np.float16)
    found = duplicates(vectors, 0, 0.95, 0, cluster_rows=128)
    truth = brute_force(vectors, 0, 0.95)
    assert (truth[len(films) :] >= 0).mean() > 0.98  # the planted ones are there to be found
    assert (found[truth >= 0] >= 0).mean() >= 0.99
    assert not (found[truth < 0] >= 0).any()


def test_clusters_hold_every_row_and_near_rows_together() -> None:
    rng = np.random.default_rng(0)
    films = clustered(rng, 4000, dim=64)
    vectors = np.concatenate([films, alike(rng, films, 0.96)]).astype(np.float16)
    clusters = list(overlapping_clusters(vectors, (2 - 2 * 0.95) ** 0.5, 0, cluster_rows=256))
    assert set(np.concatenate(clusters).tolist()) == set(range(8000))
    assert all((np.diff(rows) > 0).all() for rows in clusters)
    together = np.zeros(4000, bool)
    for rows in clusters:
        together[np.intersect1d(rows, rows - 4000)] = True
    assert together.mean() >= 0.99
    assert sum(map(len, clusters)) < 6 * 8000


def test_vectors_that_are_all_alike_end_the_splitting() -> None:
    same = np.repeat(unit(np.ones((1, 16))), 5000, axis=0).astype(np.float16)
    assert duplicates(same, 2, 0.98, 0, cluster_rows=64).tolist() == [-1, -1] + [0] * 4998


def test_the_better_clip_is_kept_and_the_lost_one_says_why() -> None:
    one, other = unit(np.eye(2, 8)).astype(np.float32)
    clips = [
        {"key": "a", "clip_vector": pack(one)},
        {"key": "b", "clip_vector": pack(one), "width": 640, "height": 360},
        {"key": "c", "clip_vector": pack(other), "clip_duration_s": 4.0},
        {"key": "d", "clip_vector": pack(other)},
        {"key": "e", "clip_vector": pack(other)},
    ]
    kept, drops = split(SemanticDuplicates().compute(table(clips), table([])))
    assert kept == {"b": True, "d": True}
    assert {key: drop.detail["duplicate_of"] for key, drop in drops.items()} == {"a": "b", "c": "d", "e": "d"}
    assert drops["a"] == Drop("a", "semantic_duplicate", {"duplicate_of": "b", "cosine": 1.0, "min_cosine": 0.99})


def test_what_was_released_stays_and_stands_for_what_comes() -> None:
    one, other, third = unit(np.eye(3, 8)).astype(np.float32)
    past = [
        {"key": "gone", "clip_vector": pack(one), "width": 100},
        {"key": "old", "clip_vector": pack(other), "width": 100},
        {"key": "twin", "clip_vector": pack(other), "width": 100},
        {"key": "foreign", "clip_vector": pack(third), "vector_model": "another"},
        {"key": "unseen", "clip_vector": None, "vector_model": None},
    ]
    clips = [*past[1:3], {"key": "x", "clip_vector": pack(one)}, {"key": "y", "clip_vector": pack(other)}]
    kept, drops = split(
        SemanticDuplicates().compute(table([*clips, past[3] | {"key": "z", "vector_model": "m"}]), table(past))
    )
    assert set(kept) == {"old", "twin", "z"}
    assert {key: drop.detail["duplicate_of"] for key, drop in drops.items()} == {"x": "gone", "y": "old"}


@given(seed=st.integers(0, 2**32 - 1), released=st.integers(0, 8))
@settings(deadline=None, max_examples=25)
def test_every_row_has_one_answer_and_no_released_one_is_dropped(seed: int, released: int) -> None:
    rng = np.random.default_rng(seed)
    clips = [
        {"key": hashlib.sha256(bytes([i])).hexdigest(), "clip_vector": pack(v), "width": int(rng.integers(1, 4))}
        for i, v in enumerate(unit(rng.standard_normal((40, 3))).astype(np.float32))
    ]
    past = clips[:released]
    rows = table(clips[released // 2 :])  # some of the released are gone
    kept, drops = split(SemanticDuplicates(min_cosine=0.9).compute(rows, table(past)))
    assert sorted([*kept, *drops]) == rows["key"].to_pylist()
    names = {clip["key"] for clip in past}
    assert not names & set(drops)
    vectors = {clip["key"]: to_unit(unpack(table([clip])["clip_vector"]))[0] for clip in clips}
    for key, drop in drops.items():
        assert drop.detail["duplicate_of"] in kept.keys() | names
        assert vectors[key] @ vectors[drop.detail["duplicate_of"]] >= 0.9 - 1e-6
    in_pieces = pa.concat_tables([rows.slice(start, 7) for start in range(0, len(rows), 7)])
    assert split(SemanticDuplicates(min_cosine=0.9).compute(in_pieces, table(past))) == (kept, drops)


def test_without_vectors_everything_passes_and_says_so() -> None:
    clips = [{"key": key, "clip_vector": None, "vector_model": None} for key in "ab"]
    assert split(SemanticDuplicates().compute(table(clips), table([]))) == ({"a": False, "b": False}, {})
    assert split(SemanticDuplicates().compute(table([]), table([]))) == ({}, {})


SCRIPT = """
import hashlib, numpy as np, sys
from made_vectors import alike, clustered
from filters.semantic import duplicates
rng = np.random.default_rng(5)
films = clustered(rng, 6000, dim=64)
vectors = np.concatenate([films, alike(rng, films[:2000], 0.96)]).astype(np.float16)
print(hashlib.sha256(duplicates(vectors, 0, 0.95, 0, cluster_rows=256).tobytes()).hexdigest())
"""


@pytest.mark.parametrize("first", ["torch, faiss", "faiss, torch"])
def test_the_same_on_any_number_of_threads_and_beside_torch(first: str) -> None:
    """Both bring an OpenMP of their own; they live in one process whichever comes first."""
    support = str(Path(__file__).parents[1] / "support")
    answers = set()
    for threads in ("1", "2"):
        paths = os.pathsep.join([support, os.environ.get("PYTHONPATH", "")])
        env = os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads}
        command = [sys.executable, "-c", f"import {first}; torch.ones(999, 999) @ torch.ones(999, 999)\n{SCRIPT}"]
        answers.add(subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout)
    assert len(answers) == 1
