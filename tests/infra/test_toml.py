"""Tables as TOML: what is written reads back the same."""

import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.toml import to_inline, to_toml

texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=8)
numbers = st.integers(-(2**40), 2**40) | st.floats(allow_nan=False)
values = texts | st.booleans() | numbers | st.lists(texts | numbers, max_size=3)
tables = st.recursive(
    st.dictionaries(texts, values, max_size=4),
    lambda inner: st.dictionaries(texts, values | inner, max_size=4),
    max_leaves=12,
)


@given(tables)
def test_a_table_reads_back_the_same(table: dict[str, Any]) -> None:
    assert tomllib.loads(to_toml(table)) == table
    assert tomllib.loads(f"value = {to_inline(table)}") == {"value": table}


def test_sections_and_comments() -> None:
    table = {"preset": "p", "train": {"batches": {"size": 8}}, "pairs": {"weights": {"T2V": 1.5}, "seed": 1}}
    text = to_toml(table, {"preset": "first", "pairs.weights": "two\nlines", "pairs.seed": "third"})
    assert text == (
        '# first\npreset = "p"\n\n[train.batches]\nsize = 8\n\n[pairs]\n# third\nseed = 1\n\n'
        "# two\n# lines\n[pairs.weights]\nT2V = 1.5\n"
    )


def test_what_no_recipe_holds_is_refused() -> None:
    with pytest.raises(TypeError, match="NoneType"):
        to_inline(None)
