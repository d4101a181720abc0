"""Clips whose captions say the same are labelled or dropped; repeated weak captions are cleared."""

from random import Random

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.minhash import BLOCK, jaccard, same_texts
from filters.shingles import CHUNK_TEXTS
from filters.texts import NearDuplicateTexts, RepeatedCaptions
from infra.errors import UsageError
from infra.stage import Drop

LONG = " ".join(f"word{i}" for i in range(60))
ONE_WORD = LONG.replace("word30", "other")
FOUR_WORDS = LONG.replace("word10 ", "x ").replace("word20 ", "x ").replace("word30 ", "x ").replace("word40 ", "x ")


def clips(texts: dict[str, str]) -> pa.Table:
    captions = [["a summary", text, "abstract", "keywords", "partial"] for text in texts.values()]
    columns = {"key": pa.array(list(texts), pa.string()), "captions": pa.array(captions, pa.list_(pa.string()))}
    return pa.table(columns)


def labels(texts: dict[str, str], released: dict[str, str] | None = None) -> dict[str, str]:
    outcomes = NearDuplicateTexts().compute(clips(texts), clips(released or {}))
    return {outcome["key"]: outcome["same_text_as"] for outcome in outcomes if isinstance(outcome, dict)}


def dropped(texts: dict[str, str], released: dict[str, str] | None = None) -> dict[str, Drop]:
    outcomes = NearDuplicateTexts(on_duplicate="drop").compute(clips(texts), clips(released or {}))
    return {outcome.key: outcome for outcome in outcomes if isinstance(outcome, Drop)}


def test_the_first_of_near_duplicates_stands_for_the_others() -> None:
    texts = {
        "a": LONG,
        "b": ONE_WORD,
        "c": "something else",
        "d": LONG.upper() + "!",
        "e": "",
        "f": "",
        "g": FOUR_WORDS,
    }
    assert labels(texts) == {"a": "", "b": "a", "c": "", "d": "a", "e": "", "f": "", "g": ""}
    assert dropped(texts).keys() == {"b", "d"}


def test_a_drop_tells_what_it_equals_and_how_much() -> None:
    drop = dropped({"a": LONG, "b": ONE_WORD})["b"]
    assert drop.reason == "near_duplicate_text"
    assert drop.detail == {"duplicate_of": "a", "jaccard": pytest.approx(55 / 61, abs=1e-4), "min_jaccard": 0.85}


def test_released_clips_come_first_and_stay() -> None:
    released = {"m": ONE_WORD, "z": LONG}
    drops = dropped({"a": LONG, "m": ONE_WORD, "z": LONG}, released)
    assert {key: drop.detail["duplicate_of"] for key, drop in drops.items()} == {"a": "m"}
    assert dropped({"a": LONG}, {"q": LONG})["a"].detail["duplicate_of"] == "q"  # not among this run's clips
    assert labels({"a": LONG}, {"q": LONG}) == {"a": "q"}


VOCABULARY = st.integers(0, 3).map(lambda length: f"w{length}")
SMALL_TEXTS = st.lists(st.lists(VOCABULARY, max_size=6).map(" ".join), max_size=10)


def shingles(text: str) -> set[tuple[str, ...]]:
    words = text.split()
    return {tuple(words[i : i + 3]) for i in range(max(1, len(words) - 2))} if words else set()


@settings(max_examples=60, deadline=None)
@given(SMALL_TEXTS, st.randoms(use_true_random=False), st.data())
def test_groups_are_sound_whatever_the_order(texts: list[str], random: Random, data: st.DataObject) -> None:
    known = {f"k{i}": text for i, text in enumerate(texts)}
    released = {
        key: known[key] for key in data.draw(st.lists(st.sampled_from(sorted(known) or ["-"]), unique=True)) if known
    }
    found = labels(known, released)
    shuffled = dict(random.sample(sorted(known.items()), len(known)))
    assert labels(shuffled, dict(random.sample(sorted(released.items()), len(released)))) == found
    assert found.keys() == known.keys()
    assert not dropped(known, released).keys() & released.keys()
    for key, other in found.items():
        if other:
            assert found[other] == ""
            assert jaccard(shingles(known[key]), shingles(known[other])) >= 0.85
            assert key not in released or other in released
    by_text: dict[str, set[str]] = {}
    for key, text in known.items():
        by_text.setdefault(text, set()).add(found[key] or key)
    assert all(len(groups) == 1 for text, groups in by_text.items() if text)


def test_nearly_all_pairs_over_the_threshold_are_found() -> None:
    random = Random(5)
    originals = [[f"v{random.randrange(5000)}" for _ in range(60)] for _ in range(400)]
    copies = [[*words[:30], "new", *words[31:]] for words in originals]  # a Jaccard of 0.90
    texts = [" ".join(words) for words in originals + copies]
    same = same_texts(pa.chunked_array([texts]), 0.85)
    assert (same.representative[:400] == range(400)).all()
    assert (same.representative[400:] == range(400)).mean() >= 0.99


def test_texts_far_apart_are_found() -> None:
    count = BLOCK + 10
    texts = [f"a short text with the number {i}" for i in range(count)]
    texts[-2:] = [texts[3].upper(), texts[CHUNK_TEXTS] + "!"]
    same = same_texts(pa.chunked_array([texts]), 1.0)
    assert np.flatnonzero(same.representative != np.arange(count)).tolist() == [count - 2, count - 1]
    assert same.representative[-2:].tolist() == [3, CHUNK_TEXTS]
    near = [LONG, *texts[1:-1], ONE_WORD]
    assert same_texts(pa.chunked_array([near]), 0.9).representative[-1] == 0


def test_the_most_similar_of_several_is_named() -> None:
    near = LONG.replace("word0 ", "x ").replace("word30", "x")
    nearer = LONG.replace("word58", "x").replace("word59", "x")
    assert jaccard(shingles(near), shingles(nearer)) < 0.85
    assert labels({"a": near, "b": nearer, "c": LONG}) == {"a": "", "b": "", "c": "b"}


def test_a_caption_of_too_many_videos_describes_none() -> None:
    captions = {f"v{i}": "Hello, world!" if i % 2 else "hello world" for i in range(4)} | {"w": "A dog runs", "x": ""}
    table = pa.table({"key": list(captions), "caption": list(captions.values())})
    released = table.slice(0, 1)
    outcomes = list(RepeatedCaptions(max_videos=3).compute(table, released))
    assert [(o["caption"], o["caption_videos"]) for o in outcomes if isinstance(o, dict)] == [
        ("hello world", 4),
        *[("", 4)] * 3,
        ("A dog runs", 1),
        ("", 0),
    ]
    elsewhere = pa.table({"key": ["old1", "old2"], "caption": ["a dog runs", "A dog runs"]})
    *_, cleared, _ = RepeatedCaptions(max_videos=2, on_repeated="drop").compute(table, elsewhere)
    assert isinstance(cleared, Drop)
    assert cleared.detail == {"caption": "A dog runs", "caption_videos": 3, "max_videos": 2}


def test_a_threshold_that_would_compare_everything_is_refused() -> None:
    with pytest.raises(UsageError, match="min_jaccard"):
        NearDuplicateTexts(min_jaccard=0.5)
