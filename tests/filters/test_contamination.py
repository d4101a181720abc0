"""Clips with texts of an evaluation set are found and dropped, others are not."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.contamination import CHUNK_CLIPS, EvaluationIndex, EvaluationText, Hit, Overlap
from filters.decontaminate_texts import DecontaminateTexts
from filters.minhash import jaccard
from infra.errors import UsageError
from infra.stage import Drop

LONG = " ".join(f"word{i}" for i in range(30))
DEFAULTS = Overlap()
SHORT = "a man plays a red guitar on the big stage"


def hits(
    texts: dict[str, list[str]], evaluation: Iterable[tuple[str, str, str]], rules: Overlap = DEFAULTS
) -> list[Hit]:
    index = EvaluationIndex([EvaluationText(*each) for each in evaluation], rules)
    return index.hits(list(texts), [pa.chunked_array([list(texts.values())], pa.list_(pa.string()))])


def test_thirteen_words_in_a_row_are_contamination_and_twelve_are_not() -> None:
    words = LONG.split()
    texts = {
        "thirteen": ["no", "before, " + ", ".join(words[4:17]).upper() + "; after"],
        "twelve": ["before " + " ".join(words[4:16]) + " after " + " ".join(words[17:29])],
        "all": [LONG],
    }
    found = hits(
        texts, [("MSRVTT", "v1", LONG), ("DiDeMo", "v2", "nothing of it stands here at all, as you see yourself")]
    )
    assert [(hit.key, hit.set_name, hit.source, hit.kind, hit.score) for hit in found] == [
        ("all", "MSRVTT", "v1", "13-gram", 18.0),
        ("thirteen", "MSRVTT", "v1", "13-gram", 1.0),
    ]
    assert [hit.shared for hit in found] == [LONG, " ".join(words[4:17])]
    assert [hit.key for hit in hits(texts, [("MSRVTT", "v1", LONG)], Overlap(min_shared_grams=2))] == ["all"]


def test_short_texts_count_when_they_are_the_text_or_nearly() -> None:
    texts = {
        "end": [SHORT.removeprefix("a ")],
        "longer": [f"In this film {SHORT}, while the people in the hall sing along and dance."],
        "other": [SHORT.replace("guitar", "piano")],
        "same": ["x", SHORT.title() + "!"],
    }
    found = hits(texts, [("MSRVTT", "v1", SHORT)])
    assert [(hit.key, hit.kind, hit.score, hit.shared) for hit in found] == [
        ("end", "jaccard", 0.875, SHORT.removeprefix("a ")),
        ("same", "same text", 10.0, SHORT),
    ]


def test_common_phrases_do_not_count() -> None:
    assert hits({"a": ["A man talks."], "b": [""]}, [("MSRVTT", "v1", "a man talks"), ("MSRVTT", "v2", "")]) == []
    assert [hit.kind for hit in hits({"a": ["A man talks."]}, [("s", "v", "a man talks")], Overlap(min_words=3))] == [
        "same text"
    ]


def test_every_set_is_told_with_its_plainest_hit() -> None:
    evaluation = [("B", "v2", LONG), ("B", "v1", LONG), ("A", "v3", " ".join(LONG.split()[:14])), ("A", "v4", SHORT)]
    found = hits({"a": [SHORT, LONG]}, evaluation)
    assert [(hit.set_name, hit.source, hit.kind) for hit in found] == [("A", "v3", "13-gram"), ("B", "v1", "13-gram")]
    assert hits({"a": [SHORT, LONG]}, reversed(evaluation)) == found


def test_clips_of_every_chunk_are_looked_at() -> None:
    texts = {f"{i:05d}": [f"caption {i}"] for i in range(CHUNK_CLIPS + 2)}
    texts[f"{CHUNK_CLIPS + 1:05d}"] = texts["00007"] = ["nothing", LONG]
    assert [hit.key for hit in hits(texts, [("s", "v", LONG)])] == ["00007", f"{CHUNK_CLIPS + 1:05d}"]


WORDS = st.sampled_from("abc")
TEXT = st.lists(WORDS, max_size=18).map(" ".join)


def naive(text: str, other: str, rules: Overlap) -> bool:
    words, wanted = text.split(), other.split()
    if len(wanted) >= 13:
        grams = {tuple(wanted[i : i + 13]) for i in range(len(wanted) - 12)}
        return any(tuple(words[i : i + 13]) in grams for i in range(len(words) - 12))
    if words == wanted and len(wanted) >= rules.min_words:
        return True
    sets = [{tuple(w[i : i + 3]) for i in range(len(w) - 2)} for w in (words, wanted)]
    return len(wanted) >= rules.min_near_words and len(words) <= 18 and jaccard(*sets) >= rules.min_jaccard


@settings(deadline=None)
@given(st.lists(TEXT, max_size=6), st.lists(TEXT, max_size=6))
def test_hits_are_those_of_a_plain_loop(texts: list[str], evaluation: list[str]) -> None:
    found = hits(
        {f"k{i}": [text] for i, text in enumerate(texts)}, [("s", str(i), t) for i, t in enumerate(evaluation)]
    )
    wanted = [f"k{i}" for i, text in enumerate(texts) if any(naive(text, other, DEFAULTS) for other in evaluation)]
    assert [hit.key for hit in found] == wanted


def table(captions: dict[str, str]) -> pa.Table:
    five = pa.array([["a summary", text, "", "", ""] for text in captions.values()])
    other = pa.array([None] * len(captions), pa.string())
    columns = {"key": list(captions), "captions": five, "frame_captions": five, "image_query": other}
    return pa.table({**columns, "video_query": other, "caption": other})


def write_set(path: Path, texts: list[str]) -> str:
    column = pa.array([texts], pa.list_(pa.string()))
    pq.write_table(pa.table({"set_name": ["MSRVTT"], "source": ["video7"], "texts": column, "hash": [b"x"]}), path)
    return str(path)


def test_the_stage_drops_what_a_set_holds(tmp_path: Path) -> None:
    stage = DecontaminateTexts(sets=(write_set(tmp_path / "set.parquet", [LONG, SHORT]),))
    rows = table({"a": LONG, "b": "a dog", "c": SHORT})
    first, kept, third = stage.compute(rows, rows)
    assert kept == {"key": "b", "parent": "b"}
    assert isinstance(first, Drop)
    assert isinstance(third, Drop)
    assert first.reason == "in_evaluation_set"
    assert first.detail == {
        "evaluation_set": "MSRVTT",
        "evaluation_source": "video7",
        "duplicate_of": "video7",
        "kind": "13-gram",
        "score": 18.0,
        "min_shared_grams": 1,
        "shared": LONG,
    }
    assert (third.detail["kind"], third.detail["min_words"]) == ("same text", 5)


def test_without_sets_all_pass() -> None:
    rows = table({"a": LONG})
    assert list(DecontaminateTexts().compute(rows, rows)) == [{"key": "a", "parent": "a"}]


def test_a_sets_content_is_part_of_the_stage(tmp_path: Path) -> None:
    path = tmp_path / "set.parquet"
    stage = DecontaminateTexts(sets=(write_set(path, [LONG]),))
    before = stage.fingerprint([])
    assert stage.ingredients() == (hashlib.sha256(path.read_bytes()).hexdigest(),)
    write_set(path, [SHORT])
    assert stage.fingerprint([]) != before


def test_what_is_no_set_is_said_to_be_none(tmp_path: Path) -> None:
    rows = table({"a": LONG})
    with pytest.raises(UsageError, match="no evaluation set"):
        DecontaminateTexts(sets=(str(tmp_path / "absent.parquet"),)).ingredients()
    (tmp_path / "text.parquet").write_text("no Parquet")
    pq.write_table(pa.table({"set_name": ["x"]}), tmp_path / "columns.parquet")
    for name in ("text", "columns"):
        with pytest.raises(UsageError, match=name):
            list(DecontaminateTexts(sets=(str(tmp_path / f"{name}.parquet"),)).compute(rows, rows))
