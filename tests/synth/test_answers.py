"""Answers of generators: what is taken and what is refused."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.errors import RowError
from synth.answers import (
    parse_frame_captions,
    parse_image_query,
    parse_video_captions,
    parse_video_query,
    same_clip,
)
from synth.generator import Answer, Request

VOCABULARY = re.findall(
    r"\w+",
    """The red circle of a small scene moves along with its shadow and then rests near water. Behind it stands an old
    wooden house under tall green trees while two children run across the wet grass towards their dog. Later more light
    falls from above, clouds drift away slowly, birds cross between roofs, someone opens one blue door.""",
)


def prose(count: int, start: int = 0) -> str:
    return " ".join(VOCABULARY[(start + i) % len(VOCABULARY)] for i in range(count))


def captions(**lengths: int) -> dict[str, str]:
    counts = {"summary": 15, "detailed": 120, "abstract": 40, "keywords": 8, "partial": 20, **lengths}
    # Another beginning for each, so that none repeats another; long ones repeat the vocabulary's words.
    return {kind: prose(count, start) for start, (kind, count) in enumerate(counts.items())}


def parse(answer: dict[str, str], clip_id: str = "c1") -> tuple[str, ...]:
    return parse_video_captions(json.dumps({"clip_id": "c1", **answer}), clip_id)


def refusal(answer: dict[str, str], clip_id: str = "c1") -> RowError:
    with pytest.raises(RowError) as caught:
        parse(answer, clip_id)
    return caught.value


def test_a_good_answer_keeps_the_order_of_kinds() -> None:
    answer = captions()
    shuffled = {kind: answer[kind] for kind in reversed(answer)}
    assert parse(shuffled) == tuple(answer[kind] for kind in ("summary", "detailed", "abstract", "keywords", "partial"))


@pytest.mark.parametrize(
    ("kind", "least", "most"),
    [("summary", 10, 25), ("detailed", 101, 200), ("abstract", 30, 100), ("keywords", 5, 30), ("partial", 10, 70)],
)
def test_word_ranges_hold_at_their_ends(kind: str, least: int, most: int) -> None:
    for count in (least, most):
        assert parse(captions(**{kind: count}))
    for count in (least - 1, most + 1):
        assert refusal(captions(**{kind: count})).reason == "invalid_answer"


def test_a_frame_needs_no_caption_over_a_hundred_words() -> None:
    text = json.dumps({"clip_id": "c1", **captions(detailed=50)})
    assert len(parse_frame_captions(text, "c1")) == 5
    with pytest.raises(RowError, match="more than 100"):
        parse_video_captions(json.dumps({"clip_id": "c1", **captions(detailed=85)}), "c1")


def test_refusals() -> None:
    assert "same" in refusal({**captions(), "partial": captions()["summary"].upper()}).message
    assert (
        "pattern"
        in refusal({**captions(), "summary": "Un cercle rouge se déplace dans la scène de gauche à droite"}).message
    )
    assert (
        "English"
        in refusal(
            {**captions(), "summary": "rojo verde azul blanco negro gris rosa marron violeta cian amarillo"}
        ).message
    )
    assert "English" in refusal({**captions(), "summary": " ".join(["the"] * 12)}).message
    assert "extra" in refusal({**captions(), "theme": "calm"}).message.lower()
    assert "detailed" in refusal({k: v for k, v in captions().items() if k != "detailed"}).message
    assert refusal(captions(), clip_id="c2").reason == "wrong_clip"


@given(st.text() | st.binary().map(lambda data: data.decode("latin-1")) | st.lists(st.integers()).map(json.dumps))
def test_anything_else_is_one_bad_row(text: str) -> None:
    for parser in (parse_video_captions, parse_frame_captions, parse_image_query, parse_video_query):
        with pytest.raises(RowError):
            parser(text, "c1")


def test_queries() -> None:
    def text(query: str) -> str:
        return json.dumps({"clip_id": "c1", "query": query})

    good = "Find the video where the red circle in this picture moves to the left."
    assert parse_image_query(text(good), "c1") == good
    with pytest.raises(RowError, match="point at the image"):
        parse_image_query(text("Find the video where the red circle moves to the left."), "c1")
    with pytest.raises(RowError, match="51 words"):
        parse_image_query(text(prose(48) + " in this picture"), "c1")
    assert parse_video_query(text("What happens after this in the scene?"), "c1")
    with pytest.raises(RowError, match="16 words"):
        parse_video_query(text(prose(16)), "c1")


def test_an_answer_about_another_clip_is_refused() -> None:
    request = Request("video_query", "c1", 0)
    assert same_clip(request, Answer("c1", "{}", "m", "1")) == "{}"
    with pytest.raises(RowError, match="wrong_clip"):
        same_clip(request, Answer("c2", "{}", "m", "1"))
