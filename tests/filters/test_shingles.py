"""Hashed n-grams of columns of texts equal what a plain loop finds."""

import re

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from filters.shingles import hash_grams, hash_words, identities, split_words

TEXTS = st.lists(st.none() | st.text(alphabet="ab A.,\u00e9\u00c9 1'", max_size=24), max_size=8)


def words_of(text: str | None) -> list[str]:
    return re.findall(r"\w+", (text or "").lower())


def grams_of(words: list[str], n: int) -> list[tuple[str, ...]]:
    whole = [tuple(words)] if words else []
    return [tuple(words[i : i + n]) for i in range(len(words) - n + 1)] or whole


@given(TEXTS)
def test_words_are_runs_of_letters_and_digits_in_small_letters(texts: list[str | None]) -> None:
    assert split_words(pa.array(texts, pa.string())).to_pylist() == [words_of(text) for text in texts]


@given(TEXTS, st.integers(1, 4))
def test_equal_hashes_are_equal_grams(texts: list[str | None], n: int) -> None:
    hashed = hash_grams(hash_words(split_words(pa.array(texts, pa.string()))), n)
    naive = [grams_of(words_of(text), n) for text in texts]
    assert hashed.lengths().tolist() == [len(grams) for grams in naive]
    flat = [gram for grams in naive for gram in grams]
    assert (
        len(set(flat)) == len(set(hashed.hashes.tolist())) == len(set(zip(flat, hashed.hashes.tolist(), strict=True)))
    )
    for i, grams in enumerate(naive):
        assert len(hashed.of(i)) == len(set(grams))


@given(TEXTS)
def test_identities_are_equal_where_all_words_are(texts: list[str | None]) -> None:
    hashes = identities(hash_words(split_words(pa.array(texts, pa.string())))).tolist()
    naive = [tuple(words_of(text)) for text in texts]
    assert len(set(naive)) == len(set(hashes)) == len(set(zip(naive, hashes, strict=True)))


def test_a_texts_hashes_do_not_depend_on_the_texts_around_it() -> None:
    alone = hash_grams(hash_words(split_words(pa.array(["A big dog runs."]))), 3)
    among = hash_grams(hash_words(split_words(pa.array(["x y", None, "a big dog runs", ""]))), 3)
    assert alone.hashes.tolist() == among.only(among.lengths() == 2).hashes.tolist()
    assert alone.hashes.tolist() == [16986411439316884537, 8409955830756934747]  # the same in every process
