"""Mining against a naive twin: limit, videos, duplicates, positives, ties; and over cells nearly the same."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st
from made_vectors import Centres, unit

from shards.groups import duplicate_groups
from shards.mining import NOBODY, SCALE, Minable, Mined, Positives, mine, to_steps


def crowded(seed: int, count: int, elsewhere: int = 3) -> Minable:
    """Few directions, videos, queries and groups, so that everything collides; `elsewhere` pairs of other tasks."""
    rng = np.random.default_rng(seed)
    lattice = rng.standard_normal((2, count, 3)).round(0) + np.array([0, 0, 0.1])
    queries, targets = (to_steps(unit(vectors).astype(np.float16)) for vectors in lattice)
    video, query, group = (rng.integers(0, many, count) for many in (count // 2 + 1, count + 1, count + 1))
    others = rng.integers(0, count + 1, (2, elsewhere))
    positives = Positives.of(np.concatenate([query, others[0]]), np.concatenate([group, others[1]]))
    return Minable(queries, targets, video, query, group, positives)


def naive(pairs: Minable, row: int, limit: float) -> tuple[int, float]:
    """One query against every target, with Python's whole numbers."""
    best, score = NOBODY, -np.inf
    answers = {(code // pairs.positives.groups, code % pairs.positives.groups) for code in pairs.positives.codes}
    for other in range(len(pairs.targets)):
        product = sum(int(a) * int(b) for a, b in zip(pairs.queries[row], pairs.targets[other], strict=True))
        is_answer = (pairs.query_ids[row], pairs.groups[other]) in answers
        if pairs.videos[row] != pairs.videos[other] and not is_answer and score < product <= limit:
            best, score = other, product
    return best, score


@given(seed=st.integers(0, 2**32 - 1), count=st.integers(1, 40), elsewhere=st.integers(0, 60))
@settings(deadline=None, max_examples=80)
def test_it_is_what_comparing_every_two_gives(seed: int, count: int, elsewhere: int) -> None:
    pairs = crowded(seed, count, elsewhere)
    rng = np.random.default_rng(seed)
    asked = np.flatnonzero(rng.random(count) < 0.7)
    limits = rng.integers(-(SCALE**2), SCALE**2, len(asked)).astype(np.float32)
    found = mine(pairs, asked, limits, 0)
    assert [*zip(found.targets.tolist(), found.scores.tolist(), strict=True)] == [
        naive(pairs, row, limit) for row, limit in zip(asked.tolist(), limits.tolist(), strict=True)
    ]
    has = found.targets != NOBODY
    assert pairs.admit(asked[has], found.targets[has], limits[has]).all()
    assert (pairs.scores(asked[has], found.targets[has]) == found.scores[has]).all()


@given(seed=st.integers(0, 2**32 - 1), count=st.integers(1, 40))
@settings(deadline=None, max_examples=30)
def test_what_is_admitted_is_what_may_be_mined(seed: int, count: int) -> None:
    """A target is admitted when it would be the answer with nothing else to choose from."""
    pairs = crowded(seed, count)
    rng = np.random.default_rng(seed)
    queries, targets = rng.integers(0, count, (2, 50))
    limits = rng.integers(-(SCALE**2), SCALE**2, 50).astype(np.float32)
    admitted = pairs.admit(queries, targets, limits)
    for query, target, limit, is_admitted in zip(queries, targets, limits, admitted, strict=True):
        two = [query, target]
        choice = Minable(
            pairs.queries[two],
            pairs.targets[[target, target]],
            pairs.videos[two],
            pairs.query_ids[two],
            pairs.groups[[target, target]],
            pairs.positives,
        )
        found, _ = naive(choice, 0, limit)  # the first is of the query's own video, so only the second can be
        assert is_admitted == (found == 1)


def films(seed: int, count: int, dim: int = 64) -> tuple[Minable, np.ndarray]:
    """Clips around centres, each with a query beside it, four to a video; and limits as the stage sets them."""
    rng = np.random.default_rng(seed)
    targets = Centres(rng, max(10, count // 300), dim).draw(rng, count)
    queries = unit(targets + 0.05 * rng.standard_normal(targets.shape))
    steps = [to_steps(vectors.astype(np.float16)) for vectors in (queries, targets)]
    own = np.arange(count)
    pairs = Minable(*steps, own // 4, own, own, Positives.of(own, own))
    return pairs, np.floor(0.95 * pairs.scores(own, own).astype(np.float64)).astype(np.float32)


def test_over_cells_it_finds_nearly_what_comparing_all_finds() -> None:
    pairs, limits = films(0, 20_000)
    asked = np.arange(0, 20_000, 5)
    exact = mine(pairs, asked, limits[asked], 0)
    found = mine(pairs, asked, limits[asked], 0, probes=8)
    assert (found.scores <= exact.scores).all()
    assert (found.targets == exact.targets).mean() > 0.95
    assert pairs.admit(asked, found.targets, limits[asked]).all()


def test_sums_of_products_are_exact_however_long_the_vectors() -> None:
    """Were a sum of them not, float32 would not say what whole numbers say."""
    rng = np.random.default_rng(0)
    one = to_steps(unit(rng.standard_normal((40, 3584))).astype(np.float16))
    exact = one.astype(np.int64) @ one.astype(np.int64).T
    assert exact.max() < 2**24
    np.testing.assert_array_equal(one.astype(np.float32) @ one.astype(np.float32).T, exact)
    np.testing.assert_allclose(np.sqrt(exact.diagonal()) / SCALE, 1, atol=1e-3)


def test_a_query_that_everybody_asks_has_no_negative_among_its_answers() -> None:
    """Thousands of equal queries, and targets that are all alike: neither loops for long."""
    count = 3000
    same = to_steps(np.repeat(unit(np.ones((1, 8))), count, axis=0).astype(np.float16))
    own, zeros, limits = np.arange(count), np.zeros(count, np.int64), np.full(count, np.inf, np.float32)
    found = mine(Minable(same, same, own, zeros, own, Positives.of(zeros, own)), own, limits, 0)
    assert (found.targets == NOBODY).all()
    one_group = Minable(same, same, own, own, zeros, Positives.of(own, zeros))
    assert (mine(one_group, own, limits, 0).targets == NOBODY).all()
    free: Mined = mine(Minable(same, same, own, own, own, Positives.of(own, own)), own, limits, 0)
    assert free.targets.tolist() == [1] + [0] * (count - 1), "of equal ones the first"


@given(
    clips=st.lists(st.integers(0, 12), max_size=20),
    labels=st.dictionaries(st.integers(0, 12), st.tuples(st.integers(-1, 15), st.integers(-1, 15))),
)
def test_groups_are_what_labels_connect(clips: list[int], labels: dict[int, tuple[int, int]]) -> None:
    columns = [
        pa.chunked_array([[None if (to := labels.get(c, (-1, -1))[i]) < 0 else f"c{to}" for c in clips]], pa.string())
        for i in (0, 1)
    ]
    columns[1] = pa.chunked_array([[name or "" for name in columns[1].to_pylist()]], pa.string())
    groups = duplicate_groups(pa.chunked_array([[f"c{c}" for c in clips]], pa.string()), columns).tolist()
    reach = {c: {c} for c in range(16)}
    for _ in range(16):
        for clip in set(clips):
            for other in labels.get(clip, ()):
                if other >= 0:
                    both = reach[clip] | reach[other]
                    for member in both:
                        reach[member] = reach[member] | both
    for i, one in enumerate(clips):
        for j, other in enumerate(clips):
            assert (groups[i] == groups[j]) == (other in reach[one])


SCRIPT = """
import hashlib
from test_mining import films
from shards.mining import mine
import numpy as np
pairs, limits = films(3, 6000)
found = mine(pairs, np.arange(6000), limits, 0, probes=3)
print(hashlib.sha256(found.targets.tobytes() + found.scores.tobytes()).hexdigest())
"""


def test_the_same_on_any_number_of_threads() -> None:
    answers = set()
    folders = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "support")]
    for threads in ("1", "2"):
        paths = os.pathsep.join([*folders, os.environ.get("PYTHONPATH", "")])
        env = os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads}
        done = subprocess.run([sys.executable, "-c", SCRIPT], env=env, capture_output=True, text=True, check=True)
        answers.add(done.stdout)
    assert len(answers) == 1
