"""Vectors as a column: what goes in comes out, however the table is cut."""

from itertools import pairwise

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from shards.vectors import VECTOR, pack, to_unit, unpack, unpack_chunks, with_vectors


@given(rows=st.integers(0, 20), dim=st.integers(1, 9), cuts=st.lists(st.integers(0, 20), max_size=4))
def test_a_column_in_any_pieces_is_one_matrix(rows: int, dim: int, cuts: list[int]) -> None:
    vectors = np.random.default_rng(rows).standard_normal((rows, dim)).astype(np.float32)
    table = pa.table({"v": pa.array([pack(vector) for vector in vectors], VECTOR)})
    edges = [0, *sorted(min(cut, rows) for cut in cuts), rows]
    pieces = pa.concat_tables([table.slice(a, b - a) for a, b in pairwise(edges)])
    expected = vectors.astype(np.float16)
    assert np.array_equal(unpack(pieces["v"]).reshape(rows, -1 if rows else dim), expected)
    assert sum(map(len, unpack_chunks(pieces["v"]))) == rows


def test_nothing_is_copied_without_need() -> None:
    vector = pack(np.ones(4, np.float32))
    whole = pa.table({"key": ["a", "b"], "v": pa.array([vector, vector], VECTOR)})
    assert with_vectors(whole, ["v"]) is whole
    address = unpack(whole["v"]).__array_interface__["data"][0]
    assert address == whole["v"].chunk(0).buffers()[2].address
    holed = pa.table({"key": ["a", "b", "c"], "v": pa.array([vector, None, vector], VECTOR)})
    assert with_vectors(holed, ["v"])["key"].to_pylist() == ["a", "c"]
    assert unpack(with_vectors(holed, ["v"])["v"]).shape == (2, 4)


def test_half_precision_costs_little() -> None:
    vectors = np.random.default_rng(0).standard_normal((50, 256)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    back = to_unit(unpack(pa.chunked_array([pa.array([pack(v) for v in vectors], VECTOR)])))
    np.testing.assert_allclose(np.linalg.norm(back, axis=1), 1, atol=1e-6)
    assert np.abs(back @ back.T - vectors @ vectors.T).max() < 1e-3
