"""The stage that names hard negatives: limit, videos, duplicates, positives, splits, order, what was released."""

from collections import defaultdict
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_vectors import unit

from filters.negatives import NO_LIMIT, NOTHING_UNDER_LIMIT, Negatives
from infra.errors import UsageError
from infra.stage import Row
from shards.groups import duplicate_groups
from shards.vectors import VECTOR, pack

COLUMNS = pa.schema(
    [
        ("key", pa.string()),
        *((name, pa.string()) for name in ("task", "split", "shard")),
        ("position", pa.int64()),
        *((name, pa.string()) for name in ("video_id", "clip_id", "query_id", "near_duplicate_of", "same_text_as")),
        ("query_vector", VECTOR),
        ("clip_vector", VECTOR),
        ("vector_model", pa.string()),
    ]
)
RELEASED = pa.schema(
    [("key", pa.string()), ("parent", pa.string()), ("negatives", pa.list_(pa.string())), ("vector_model", pa.string())]
)
NOTHING_RELEASED = RELEASED.empty_table()


def pair(key: str, query: Any, target: Any, **facts: Any) -> Row:
    """A T2V pair of a clip, a video and a query of its own; vectors may be of any length, None is no vector."""
    row = {"key": key, "task": "T2V", "split": "train", "shard": "s", "position": int(key, 36), "vector_model": "m"}
    ids = {"video_id": f"v{key}", "clip_id": f"c{key}", "query_id": f"q{key}", "near_duplicate_of": None}
    vectors = {
        name: None if vector is None else pack(unit(np.array([vector], np.float32))[0])
        for name, vector in (("query_vector", query), ("clip_vector", target))
    }
    return row | ids | {"same_text_as": ""} | vectors | facts


def table(pairs: list[Row]) -> pa.Table:
    """Rows as the engine gives them: sorted by key."""
    return pa.Table.from_pylist(sorted(pairs, key=lambda row: row["key"]), schema=COLUMNS)


def run(pairs: list[Row], released: pa.Table = NOTHING_RELEASED, stage: Negatives | None = None) -> dict[str, Row]:
    """Rows of the stage by key; every pair has one."""
    found = list((stage or Negatives()).compute(table(pairs), released))
    assert sorted(row["key"] for row in found) == sorted(row["key"] for row in pairs)
    return {row["key"]: row for row in found if isinstance(row, dict)}


def named(found: dict[str, Row]) -> dict[str, str | None]:
    return {key: next(iter(row["negatives"]), None) for key, row in found.items()}


def drawn(seed: int, count: int) -> list[Row]:
    """Pairs in which videos, queries, texts and duplicates coincide, in two splits and three tasks."""
    rng = np.random.default_rng(seed)
    names = rng.permutation(36**2)[:count]
    pairs = []
    for place, name in enumerate(names):
        clip, video = int(rng.integers(0, count // 2 + 1)), int(rng.integers(0, count // 2 + 1))
        task = str(rng.choice(["T2V", "TI2V", "T2T"], p=[0.6, 0.2, 0.2]))
        target = rng.standard_normal(4)
        facts = {
            "task": task,
            "split": str(rng.choice(["train", "val"], p=[0.8, 0.2])),
            "shard": f"s{rng.integers(0, 3)}",
            "position": place,
            "video_id": f"v{video}",
            "clip_id": f"c{clip}",
            "query_id": f"q{rng.integers(0, count)}",
            "near_duplicate_of": f"c{rng.integers(0, count)}" if rng.random() < 0.1 else None,
            "same_text_as": f"c{rng.integers(0, count)}" if rng.random() < 0.1 else "",
        }
        query = None if task == "T2T" else target + rng.standard_normal(4) * 0.4
        pairs.append(pair(np.base_repr(name, 36).zfill(2), query, target, **facts))
    return pairs


def vectors_of(row: Row) -> list[np.ndarray]:
    return [np.frombuffer(row[name], "<f2").astype(np.float64) for name in ("query_vector", "clip_vector")]


def cosine(query: Row, target: Row) -> float:
    one, other = vectors_of(query)[0], vectors_of(target)[1]
    return float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))


def admissible(pairs: list[Row]) -> dict[str, set[str]]:
    """For each pair those whose target may be its negative by everything but cosines."""
    rows = table(pairs)
    groups = duplicate_groups(rows["clip_id"], [rows["near_duplicate_of"], rows["same_text_as"]])
    group = dict(zip(rows["key"].to_pylist(), groups.tolist(), strict=True))
    answers = defaultdict(set)
    for row in pairs:
        answers[row["query_id"]].add(group[row["key"]])
    return {
        row["key"]: {
            other["key"]
            for other in pairs
            if (row["task"], row["split"]) == (other["task"], other["split"])
            and row["video_id"] != other["video_id"]
            and group[other["key"]] not in answers[row["query_id"]]
        }
        for row in pairs
    }


@given(seed=st.integers(0, 2**32 - 1), count=st.integers(0, 40), max_share=st.floats(0.3, 1.0))
@settings(deadline=None, max_examples=60)
def test_the_negative_is_the_most_similar_of_what_may_be_one(seed: int, count: int, max_share: float) -> None:
    pairs = drawn(seed, count)
    by_key, allowed = {row["key"]: row for row in pairs}, admissible(pairs)
    step = 6e-4  # vectors are rounded, which in so few dimensions does most
    for key, row in run(pairs, stage=Negatives(max_share=max_share)).items():
        if by_key[key]["query_vector"] is None:
            assert (row["negatives"], row["no_negative"], row["positive_cosine"]) == ([], "", None)
            continue
        own = cosine(by_key[key], by_key[key])
        assert row["positive_cosine"] == pytest.approx(own, abs=step)
        cosines = {other: cosine(by_key[key], by_key[other]) for other in allowed[key]}
        surely = [value for value in cosines.values() if value < max_share * own - step] if own > step else []
        if row["negatives"]:
            [negative], [told] = row["negatives"], row["negative_cosines"]
            assert negative in allowed[key]
            assert told == pytest.approx(cosines[negative], abs=step)
            assert told <= max_share * own + step
            assert told >= max(surely, default=-1) - step
            assert row["no_negative"] == ""
        else:
            assert not surely
            assert row["no_negative"] == (NOTHING_UNDER_LIMIT if row["positive_cosine"] > 0 else NO_LIMIT)


@given(seed=st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=15)
def test_neither_order_nor_pieces_of_the_rows_matter(seed: int) -> None:
    pairs = drawn(seed, 30)
    rows = table(pairs)
    pieces = pa.concat_tables([rows.slice(start, 7) for start in range(0, len(rows), 7)])
    assert list(Negatives().compute(pieces, NOTHING_RELEASED)) == list(Negatives().compute(rows, NOTHING_RELEASED))
    assert run(pairs[::-1]) == run(pairs)


def test_of_equal_ones_the_first_id_is_taken() -> None:
    pairs = [pair("a", [1, 0], [1, 0]), *(pair(key, [0, 1], [1, 1]) for key in "dcb")]
    assert named(run(pairs))["a"] == "b"


def test_who_is_never_a_negative() -> None:
    """In turn the nearest of all: its own video, its duplicates, other answers to the query, a copy of these."""
    far = pair("z", [0, 1], [1, 3])
    asks = pair("a", [1, 0], [1, 0], near_duplicate_of="c0")

    def chosen(*others: Row) -> str | None:
        return named(run([asks, far, *others]))["a"]

    close = pair("b", [0, 1], [2, 1])
    assert chosen(close) == "b"
    assert chosen(close | {"video_id": "va"}) == "z"
    assert chosen(close | {"split": "val"}) == "z"
    assert chosen(close | {"task": "TI2V"}) == "z"
    assert chosen(close | {"query_id": "qa"}) == "z"
    assert chosen(close | {"same_text_as": "ca"}) == "z"
    assert chosen(close | {"near_duplicate_of": "c0"}) == "z", "both show what a clip shows that is no pair"
    assert chosen(close | {"same_text_as": "c9"}, pair("9", [0, 1], [0, 1], near_duplicate_of="c0")) == "z", "a chain"
    said_elsewhere = pair("d", None, [1, 1], task="T2T", query_id="qa", clip_id="cb")
    assert chosen(close, said_elsewhere) == "z", "another task shows the clip to the same query"
    assert chosen(close | {"same_text_as": "cd"}, said_elsewhere | {"clip_id": "cd"}) == "z", "a copy of that one"
    nearly = pair("b", [0, 1], [1, 0.2])
    assert chosen(nearly) == "z", "it may well answer the query"


def test_without_a_negative_it_says_why() -> None:
    alone = run([pair("a", [1, 0], [1, 0])])["a"]
    assert (alone["negatives"], alone["no_negative"]) == ([], NOTHING_UNDER_LIMIT)
    wrong = run([pair("a", [1, 0], [-1, 0.1]), pair("b", [0, 1], [0, 1])])
    assert wrong["a"]["no_negative"] == NO_LIMIT
    assert named(wrong)["b"] == "a"


def test_a_shard_is_another_when_a_negative_in_it_is() -> None:
    pairs = [pair("a", [1, 0], [1, 0]), pair("b", [0, 1], [1, 2]), pair("c", [0, 1], [1, 3], shard="other")]
    before = run(pairs)
    assert before["a"]["shard"] == before["b"]["shard"] != before["c"]["shard"]
    assert not {row["shard"] for row in before.values()} & {"s", "other"}
    after = run([*pairs, pair("d", [0, 1], [1, 1.5], shard="third")])
    assert named(after)["a"] == "d" != named(before)["a"]
    assert after["a"]["shard"] != before["a"]["shard"]
    assert named(after)["c"] == named(before)["c"]
    assert after["c"]["shard"] == before["c"]["shard"]


def released(found: dict[str, Row], model: str = "m") -> pa.Table:
    """What a release remembers of rows of the stage."""
    rows = [{name: row.get(name, model) for name in RELEASED.names} for row in found.values()]
    return pa.Table.from_pylist(rows, schema=RELEASED)


def test_a_released_pair_keeps_its_negative_while_that_may_be_one() -> None:
    pairs = [pair("a", [1, 0], [1, 0]), pair("b", [0, 1], [1, 3]), pair("c", [0, 1], [1, 2])]
    before = run(pairs)
    assert named(before)["a"] == "c"
    harder = pair("d", [0, 1], [1, 1])
    assert named(run([*pairs, harder]))["a"] == "d"
    again = run([*pairs, harder | {"shard": "new"}], released(before))
    assert {key: again[key] for key in before} == before, "shards included"
    assert named(again)["d"] == named(run([*pairs, harder]))["d"] is not None
    alone = run(pairs[:1])
    assert named(alone)["a"] is None
    assert named(run([*pairs, harder], released(alone)))["a"] is None, "its shard stays what it was"
    known = released(before)
    assert named(run([*pairs, harder], released(before, "another model")))["a"] == "d"
    assert named(run([pairs[0], pairs[1], harder], known))["a"] == "d", "it is gone"
    assert named(run([pairs[0], pairs[1], pairs[2] | {"same_text_as": "ca"}, harder], known))["a"] == "d"
    assert named(run([*pairs, harder], known, Negatives(max_share=0.4)))["a"] == "b", "it is over the limit now"


def test_settings_that_are_no_share_are_refused() -> None:
    for wrong in (0.0, 1.5):
        with pytest.raises(UsageError, match="max_share"):
            Negatives(max_share=wrong)
