"""Answers of generators: what is taken and what is refused."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.errors import RowError
from synth.answers import json_schema, parse
from synth.generator import Kind

KINDS: tuple[Kind, ...] = ("video_captions", "frame_captions", "image_query", "video_query")
VOCABULARY = re.findall(
    r"\w+",
    """The red circle of a small scene moves along with its shadow and then rests near water. Behind it stands an old
    wooden house under tall green trees while two children run across the wet grass towards their dog. Later more light
    falls from above, clouds drift away slowly, birds cross between roofs, someone opens one blue door.""",
)


def prose(count: int, start: int = 0) -> str:
    return " ".join(VOCABULARY[(start + i * (2 * start + 1)) % len(VOCABULARY)] for i in range(count))


def captions(**lengths: int) -> dict[str, str]:
    counts = {"summary": 15, "detailed": 120, "abstract": 40, "keywords": 8, "partial": 20, **lengths}
    # Another beginning and step for each, so that none repeats another; long ones repeat the vocabulary's words.
    return {kind: prose(count, start) for start, (kind, count) in enumerate(counts.items())}


def parsed(answer: dict[str, str], clip_id: str = "c1") -> tuple[str, ...]:
    return parse("video_captions", json.dumps({"clip_id": "c1", **answer}), clip_id)


def refusal(answer: dict[str, str], clip_id: str = "c1") -> RowError:
    with pytest.raises(RowError) as caught:
        parsed(answer, clip_id)
    return caught.value


def test_a_good_answer_keeps_the_order_of_kinds() -> None:
    answer = captions()
    shuffled = {kind: answer[kind] for kind in reversed(answer)}
    assert parsed(shuffled) == tuple(
        answer[kind] for kind in ("summary", "detailed", "abstract", "keywords", "partial")
    )


@pytest.mark.parametrize(
    ("kind", "least", "most"),
    [("summary", 10, 25), ("detailed", 101, 200), ("abstract", 30, 100), ("keywords", 5, 30), ("partial", 10, 70)],
)
def test_word_ranges_hold_at_their_ends(kind: str, least: int, most: int) -> None:
    for count in (least, most):
        assert parsed(captions(**{kind: count}))
    for count in (least - 1, most + 1):
        assert refusal(captions(**{kind: count})).reason == "invalid_answer"


def test_a_frame_needs_no_caption_over_a_hundred_words() -> None:
    text = json.dumps({"clip_id": "c1", **captions(detailed=50)})
    assert len(parse("frame_captions", text, "c1")) == 5
    with pytest.raises(RowError, match="more than 100"):
        parse("video_captions", json.dumps({"clip_id": "c1", **captions(detailed=85)}), "c1")


def test_refusals() -> None:
    assert "same" in refusal({**captions(), "partial": captions()["summary"].upper()}).message
    one_word_more = captions()["abstract"] + " too"
    assert "abstract and partial" in refusal({**captions(), "partial": one_word_more}).message
    assert (
        "pattern"
        in refusal({**captions(), "summary": "Un cercle rouge se déplace dans la scène de gauche à droite"}).message
    )
    assert (
        refusal({**captions(), "summary": "rojo verde azul blanco negro gris rosa marron violeta cian amarillo"}).reason
        == "not_english"
    )
    assert refusal({**captions(), "summary": " ".join(["the"] * 12)}).reason == "not_english"
    assert "extra" in refusal({**captions(), "theme": "calm"}).message.lower()
    assert "detailed" in refusal({k: v for k, v in captions().items() if k != "detailed"}).message
    assert refusal(captions(), clip_id="c2").reason == "wrong_clip"


@given(st.text() | st.binary().map(lambda data: data.decode("latin-1")) | st.lists(st.integers()).map(json.dumps))
def test_anything_else_is_one_bad_row(text: str) -> None:
    for kind in KINDS:
        with pytest.raises(RowError):
            parse(kind, text, "c1")


def test_queries() -> None:
    def text(query: str) -> str:
        return json.dumps({"clip_id": "c1", "query": query})

    good = "Find the video where the red circle in this picture moves to the left."
    assert parse("image_query", text(good), "c1")[0] == good
    with pytest.raises(RowError, match="point at the image"):
        parse("image_query", text("Find the video where the red circle moves to the left."), "c1")[0]
    with pytest.raises(RowError, match="51 words"):
        parse("image_query", text(prose(48) + " in this picture"), "c1")
    assert parse("video_query", text("What happens after this in the scene?"), "c1")[0]
    with pytest.raises(RowError, match="16 words"):
        parse("video_query", text(prose(16)), "c1")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty_answer"),
        (" . ", "empty_answer"),
        ("I'm sorry, but I can't see the video that you are talking about here.", "refusal"),
        ("As an AI language model I do not have eyes to see the clip with.", "refusal"),
        ("No video was provided, so there is nothing that could be said about it.", "refusal"),
        ("Subscribe to our channel for more of this and hit the bell now please.", "boilerplate"),
        ("Find more of this clip on https://example.com and on all other channels.", "boilerplate"),
        ("Say only what can be seen. No sound, no guesses about names, places, intentions.", "prompt_echo"),
        ("Ein roter Kreis bewegt sich langsam nach links und bleibt dann dort stehen.", "not_english"),
    ],
)
def test_texts_without_sense_have_a_reason_of_their_own(text: str, reason: str) -> None:
    prompt = "Rules: Say only what can be seen. No sound, no guesses about names, places, intentions, or what happens."
    answer = json.dumps({"clip_id": "c1", **captions(), "summary": text})
    with pytest.raises(RowError) as caught:
        parse("video_captions", answer, "c1", prompt)
    assert caught.value.reason == reason


@pytest.mark.parametrize("kind", KINDS)
def test_a_decoder_held_to_the_schema_writes_what_can_be_parsed(kind: Kind) -> None:
    schema = json_schema(kind, "c1")
    texts = captions(detailed=120) if "captions" in kind else {"query": "What does the thing in this picture do then?"}
    answer = {"clip_id": "c1", **texts}
    assert list(schema["properties"]) == schema["required"] == list(answer)
    for name, rule in schema["properties"].items():
        assert re.search(rule["pattern"], answer[name])
        assert not re.search(rule["pattern"], 'a "quoted" word')
        assert not re.search(rule["pattern"], "a line\nbreak")
    assert not re.search(schema["properties"]["clip_id"]["pattern"], "c12")
    assert parse(kind, json.dumps(answer), "c1") == tuple(texts.values())
