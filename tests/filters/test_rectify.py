"""Weak captions: what is mended, what is put aside and why, and what must come through untouched."""

import csv
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.rectify import Rectify, english_detector, rectify_row
from filters.repairs import repair
from infra.sample_world.draw import draw_world
from infra.stage import Drop, Row
from infra.workspace import LakeWorkspace

DEFAULTS = Rectify()


@pytest.fixture(scope="module")
def english() -> Callable[[str], float]:
    return english_detector()


def rectified(english: Callable[[str], float], caption: str | None, stage: Rectify = DEFAULTS) -> Row:
    (row,) = rectify_row(stage, english, {"key": "v", "weak_caption": caption})
    assert isinstance(row, dict)
    return row


MENDED = [
    ("A dog barks &amp; runs.", "A dog barks & runs.", ["encoding"]),
    ("caf\u00c3\u00a9 terrace at night", "café terrace at night", ["encoding"]),
    ("A cat\u200b sleeps\x07 on a sofa", "A cat sleeps on a sofa", ["encoding"]),
    ("<b>A man</b> cooks &lt;i&gt;pasta&lt;/i&gt;", "A man cooks pasta", ["encoding", "markup"]),
    ("[00:01:02.000] A cat jumps down", "A cat jumps down", ["timestamp"]),
    ("00:12 A cat jumps\n00:15 and lands softly", "A cat jumps and lands softly", ["timestamp"]),
    ("The scene (0:05 - 0:12) shows a cat", "The scene shows a cat", ["timestamp"]),
    ("A dog runs. Subscribe to our channel!", "A dog runs.", ["boilerplate"]),
    ("Find out more at www.foo.com/x | A boat sails on a lake", "A boat sails on a lake", ["boilerplate"]),
    ("A boat on a lake https://foo.com/x", "A boat on a lake", ["address"]),
    ("A boat on a lake (by @sailor, me@foo.org)", "A boat on a lake (by)", ["address"]),
    ("IMG_0431.MOV A boat on a lake", "A boat on a lake", ["file_name"]),
    ("A cat plays with yarn #cat #cute", "A cat plays with yarn", ["hashtag"]),
    ("Playing with my new #puppy", "Playing with my new puppy", ["hashtag"]),
    ("A cat plays with yarn. #cute", "A cat plays with yarn.", ["hashtag"]),
    ("A #dog catches a frisbee", "A dog catches a frisbee", ["hashtag"]),
    ("Birthday party \U0001f389\U0001f389\U0001f973 with cake", "Birthday party with cake", ["emoji"]),
    ("a very very very big dog", "a very big dog", ["repetition"]),
    ("a dog runs, a dog runs, a dog runs", "a dog runs", ["repetition"]),
    ("A MAN DANCES IN THE STREET! PEOPLE WATCH.", "A man dances in the street! People watch.", ["shouting"]),
]


@pytest.mark.parametrize(("weak", "caption", "repairs"), MENDED)
def test_what_can_be_mended_is(english: Callable[[str], float], weak: str, caption: str, repairs: list[str]) -> None:
    row = rectified(english, weak)
    assert (row["caption"], row["caption_repairs"], row["caption_faults"]) == (caption, repairs, [])


UNTOUCHED = [
    "7:30 am traffic on a bridge",
    "Two men hit the bell; others use code to draw a star",
    "The tower clock shows 10:30 at night.",
    "Don\u2019t stop \u2013 a dancer\u2019s \u201cbest\u201d turn\u2026",
    "A man, who runs, stops; then he walks (slowly) on.",
    "Attempt #1 at juggling 3 balls",
    "Two kids on a BMX track",
    "Cooking pasta at home",
    "A score of 3.5 of 5.0, 20 km from Rome",
    "Horizontal mirror of sam2_blocks.mp4 at half resolution.",  # amid a sentence
    "The camera moves left, then left again.",
]


@pytest.mark.parametrize("caption", UNTOUCHED)
def test_what_describes_comes_through_untouched(english: Callable[[str], float], caption: str) -> None:
    row = rectified(english, caption)
    assert (row["caption"], row["caption_repairs"], row["caption_faults"]) == (caption, [], [])


FAULTY = [
    ("IMG_0431.MOV", "nothing_left"),
    ("#fyp #viral #shorts", "nothing_left"),
    ("Visit https://example.com/shop for 50% off this week only", "nothing_left"),
    ("\U0001f436\U0001f436", "nothing_left"),
    ("...", "nothing_left"),
    ("Untitled video 1 (final)", "not_descriptive"),
    ("12 May 2021", "not_descriptive"),
    ("00017 4k 60fps", "not_descriptive"),
    ("Insert caption here", "placeholder"),
    ("Dog", "too_short"),
    (" ".join(f"a dog and the cat that it saw there {i}" for i in range(20)), "repetitive"),
    (" ".join(f"word{i} is" for i in range(300)), "too_long"),
    ("Ein Mann spielt Fußball auf der Wiese", "not_english"),
    ("Una mujer corta cebollas en la cocina", "not_english"),
    ("chien qui court dans le jardin", "not_english"),
    ("Собака бежит по пляжу", "not_english"),
    ("猫が部屋の中を走っている", "not_english"),
]


@pytest.mark.parametrize(("weak", "reason"), FAULTY)
def test_what_describes_nothing_is_put_aside_or_dropped(
    english: Callable[[str], float], weak: str, reason: str
) -> None:
    row = rectified(english, weak)
    assert row["caption"] == ""
    assert reason in row["caption_faults"]
    drop = rectify_row(Rectify(on_bad="drop"), english, {"key": "v", "weak_caption": weak})
    assert isinstance(drop, Drop)
    assert drop.reason == row["caption_faults"][0]
    assert drop.detail["weak_caption"] == weak


def test_a_drop_tells_score_and_threshold(english: Callable[[str], float]) -> None:
    drop = rectify_row(Rectify(on_bad="drop"), english, {"key": "v", "weak_caption": "Ein Hund rennt am Strand"})
    assert isinstance(drop, Drop)
    assert drop.detail["english"] < drop.detail["min_english"] == Rectify().min_english


def test_a_worker_rectifies_rows_alone() -> None:
    work = Rectify(on_bad="drop").open(LakeWorkspace(".", "test"))
    kept, drop = work([{"key": "a", "weak_caption": "A dog runs."}, {"key": "b", "weak_caption": "IMG_0431.MOV"}])
    assert kept == {"key": "a", "parent": "a", "caption": "A dog runs.", "caption_repairs": [], "caption_faults": []}
    assert isinstance(drop, Drop)
    assert (drop.key, drop.reason, drop.detail["weak_caption"]) == ("b", "nothing_left", "IMG_0431.MOV")


@pytest.mark.parametrize("weak", [None, "", "  \n"])
def test_a_missing_caption_is_no_fault(english: Callable[[str], float], weak: str | None) -> None:
    for stage in (Rectify(), Rectify(on_bad="drop")):
        row = rectified(english, weak, stage)
        assert (row["caption"], row["caption_repairs"], row["caption_faults"]) == ("", [], [])


def test_the_sample_worlds_boilerplate_is_caught_and_the_rest_kept(english: Callable[[str], float]) -> None:
    for spec in (draw_world(11, index) for index in range(600)):
        row = rectified(english, spec.weak_caption)
        if spec.weak_kind == "boilerplate":
            assert row["caption"] == ""
            assert row["caption_faults"]
        else:
            assert (row["caption"], row["caption_repairs"], row["caption_faults"]) == (spec.weak_caption, [], [])


def test_captions_of_real_videos_are_kept(english: Callable[[str], float], real_videos: Path) -> None:
    with (real_videos / "SOURCES.csv").open() as file:
        captions = [line[-1] for line in csv.reader(file)][1:]
    assert sum(map(bool, captions)) > 30
    for caption in captions:
        assert rectified(english, caption)["caption"] == caption


BITS = "&amp;lt;b&amp;gt; &lt; amp; 00:12 0: http:// www. x.mp4 IMG_ 0001 A DOG é #a to"
PIECES = st.sampled_from(
    [
        *(weak for weak, _, _ in MENDED),
        *(weak for weak, _ in FAULTY),
        *"<>&;.,:#@|-!?()[]\n\u2022\u200d",
        *BITS.split(),
    ]
)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(PIECES | st.text(max_size=8), max_size=8).flatmap(
        lambda p: st.sampled_from(["", " "]).map(lambda s: s.join(p))
    )
)
def test_mending_twice_is_mending_once(text: str) -> None:
    once, repairs = repair(text)
    assert repair(once) == (once, ())
    if not repairs:
        assert once == " ".join(text.split())


@pytest.mark.parametrize(
    "piece", ["a", "a-", "-", " ", "#", "#a ", "@", "<", "(", "00:", "a.", "&", "IMG_0001_", "http://", "!"]
)
def test_a_page_of_anything_is_mended_in_no_time(piece: str) -> None:
    repair(piece * (100_000 // len(piece)))
