"""Reads the measured generator's captions of the sample world and checks every claim against the ground truth.

The checker knows the sample world and English phrases, and nothing of how the captions are made.
"""

import re
from collections import Counter
from collections.abc import Iterator
from itertools import compress, zip_longest

import pytest

from infra.media.encode import encode_image, encode_video
from infra.sample_world.draw import draw_world
from infra.sample_world.path import on_screen
from infra.sample_world.render import render_shot
from infra.sample_world.spec import BACKGROUND_COLOURS, THING_COLOURS, Shot, Thing, VideoSpec
from shards.records import CAPTION_KINDS
from synth.answers import parse
from synth.generator import Request
from synth.generators.measured.generator import Measured
from synth.style import EDUCATION_LEVELS, PROFILES, READABILITY

SEED, VIDEOS = 31, 60
COLOURS = "|".join({*THING_COLOURS, *(name.split()[-1] for name in BACKGROUND_COLOURS), "beige"})
FORMS = "circle|oval|square|rectangle|bar|triangle|diamond|star|cross|ring|shape"
THING = re.compile(rf"\b(?:(?:light|dark) )?({COLOURS}) ({FORMS})\b")
WAYS = {
    "right": "to the right|rightward",
    "left": "to the left|leftward",
    "up": "up|upward",
    "down": "down|downward",
    "up_right": "up and to the right|diagonally to the upper right",
    "up_left": "up and to the left|diagonally to the upper left",
    "down_right": "down and to the right|diagonally to the lower right",
    "down_left": "down and to the left|diagonally to the lower left",
}
# Longest first, so that "up and to the right" is not read as "up".
WAY_OF = sorted(((text, way) for way, texts in WAYS.items() for text in texts.split("|")), key=lambda t: -len(t[0]))
WAY = "|".join(text for text, _ in WAY_OF)
LEG = re.compile(
    rf"(?:moves|goes|travels|proceeds)(?: slowly| quickly)? ({WAY})(?: and then ({WAY}|comes back|returns|goes back))?"
)
CAMERA = {
    "still": "camera (?:stays still|does not move)|still camera",
    "pan_right": "camera (?:pans to the right|moves right|pan to the right)",
    "pan_left": "camera (?:pans to the left|moves left|pan to the left)",
    "tilt_up": "camera (?:tilts up|moves up|tilt upward)",
    "tilt_down": "camera (?:tilts down|moves down|tilt downward)",
    "zoom_in": "zooms in|zoom in",
    "zoom_out": "zooms out|zoom out",
}
BACK = re.compile(r"(?:checkered|patchy|plain|(?:background|backdrop) of|pattern of|fades from)[^.,]*")


def claims(caption: str, spec: VideoSpec, shot: Shot, frame_u: float = -1.0) -> Iterator[tuple[str, bool, str]]:
    """(what is claimed, whether it is true, the words) for every claim the checker can read.

    `frame_u` is the moment of the shot that a frame caption is about.
    """
    for text in re.split(r"(?<=\.) ", caption):
        for move, pattern in CAMERA.items():
            if re.search(pattern, text):
                yield "camera", shot.camera == move, text
        for background in BACK.findall(text):
            names = {name.split()[-1] for name in shot.background.colours}
            for colour in re.findall(rf"\b(?:{COLOURS})\b", background):
                yield "background colour", colour in names, text
        mentions = list(THING.finditer(text))
        for mention, following in zip_longest(mentions, mentions[1:]):
            said = text[mention.end() : following.start() if following else None]
            said = re.split(r" against | on a |, with| camera ", said)[0]
            yield from thing_claims(mention, said, spec, shot, frame_u)


def thing_claims(
    mention: re.Match[str], said: str, spec: VideoSpec, shot: Shot, frame_u: float
) -> Iterator[tuple[str, bool, str]]:
    colour, form = mention.groups()
    words = f"{mention.group()}{said}"
    thing = next((thing for thing in shot.things if thing.colour == colour), None)
    yield "colour", thing is not None, words
    if thing is None:
        return
    if form != "shape":
        yield "form", form == thing.shape, words
    travels = [leg for leg in thing.legs if leg.motion not in ("grow", "shrink")]
    resized = {leg.motion for leg in thing.legs} & {"grow", "shrink"}
    if leg := LEG.search(said):
        yield "direction", is_way(leg, [leg.motion for leg in travels]), words
    if turn := re.search(r"\b(counterclockwise|clockwise)\b", said):
        yield "direction", [leg.motion for leg in travels] == [turn.group()], words
    if zigzag := re.search(r"zigzags (to the )?(left|right)", said):
        yield "direction", [leg.motion for leg in travels] == [f"zigzag_{zigzag.group(2)}"], words
    if re.search(
        r"stays still|does not move|stays in place|remains in place|at rest\b|keeps its place|stands still", said
    ):
        yield "rest", not travels or bool(re.search("at first|initially|and then|not at rest", said)), words
    if re.search(r"grows|expands|bigger|larger", said):
        yield "size", resized == {"grow"}, words
    if re.search(r"shrinks|contracts|smaller", said):
        yield "size", resized == {"shrink"}, words
    if re.search(r"\bappears|shows up|comes into being", said):
        yield "event", thing.appears_u > 0, words
    if re.search(r"vanishes|disappears|goes away|is gone", said):
        yield "event", thing.disappears_u < 1, words
    yield from place_claims(said, thing, spec, shot, frame_u)


def is_way(found: re.Match[str], motions: list[str]) -> bool:
    """Whether the directions read are those of the thing's legs."""
    first = next(way for text, way in WAY_OF if text == found.group(1))
    if motions in (["back_and_forth"], ["up_and_down"]):
        return (
            first == {"back_and_forth": "right", "up_and_down": "up"}[motions[0]]
            and "back" in f"{found.group(2)} goes back"
        )
    ways = [first]
    if found.group(2):
        opposite = {"right": "left", "left": "right", "up": "down", "down": "up"}
        turned = next((way for text, way in WAY_OF if text == found.group(2)), "")
        ways.append(turned or "_".join(opposite[part] for part in first.split("_")))
    return ways == motions


def place_claims(
    said: str, thing: Thing, spec: VideoSpec, shot: Shot, frame_u: float
) -> Iterator[tuple[str, bool, str]]:
    moments = {"starts": thing.appears_u, "ends": thing.disappears_u} if frame_u < 0 else {"is": frame_u}
    for moment, u in moments.items():
        if found := re.search(
            rf"{moment} (?:in|on|near) the (upper|lower|left|right|top|bottom|middle)(?: (left|right))?", said
        ):
            x, y, _ = on_screen(shot, thing, u, spec.width / spec.height)
            inside = {"upper": y < 0.45, "top": y < 0.45, "lower": y > 0.55, "bottom": y > 0.55, "left": x < 0.45,
                      "right": x > 0.55, "middle": abs(x - 0.5) < 0.13 and abs(y - 0.5) < 0.13}  # fmt: skip
            yield "place", all(inside[part] for part in found.groups() if part), said


def texts(
    generator: Measured, clip_id: str, spec: VideoSpec, shot: Shot, style: dict[str, str]
) -> Iterator[tuple[str, float]]:
    """Every caption and query in prose about a shot, with the moment its frame shows (-1 for the whole shot)."""
    frames = list(render_shot(spec, shot))
    number, duration_s = len(frames) // 3, shot.frames / spec.fps
    video, frame = encode_video(frames, spec.fps), encode_image(frames[number])
    part_s = (0.3 * duration_s, 0.6 * duration_s)
    kinds = ("video_captions", "frame_captions", "image_query", "video_query")
    asked = [Request(kind, clip_id, SEED, video, duration_s, frame, b"", part_s, "", style) for kind in kinds]
    of_video, of_frame, with_image, with_video = (answer.text for answer in generator.answer(asked))
    prose = [kind != "keywords" for kind in CAPTION_KINDS]
    yield from ((text, -1.0) for text in compress(parse("video_captions", of_video, clip_id), prose))
    yield from (
        (text, number / (shot.frames - 1)) for text in compress(parse("frame_captions", of_frame, clip_id), prose)
    )
    yield parse("image_query", with_image, clip_id)[0], -1.0
    yield parse("video_query", with_video, clip_id)[0], -1.0


@pytest.fixture(scope="module")
def checked() -> tuple[Counter[str], Counter[str], list[str], int]:
    """Claims made and true by kind, the false ones, and the number of clips."""
    made, true, false, clips = Counter[str](), Counter[str](), list[str](), 0
    generator = Measured()
    for index in range(VIDEOS):
        spec = draw_world(SEED, index)
        for number, shot in enumerate(spec.shots):
            clip_id = f"{index}-{number}"
            style = {
                "profile": PROFILES[clips % 3],
                "readability": READABILITY[clips // 3 % 3],
                "education_level": EDUCATION_LEVELS[clips // 9 % 3],
            }
            clips += 1
            for text, frame_u in texts(generator, clip_id, spec, shot, style):
                for about, is_true, words in claims(text, spec, shot, frame_u):
                    made[about] += 1
                    true[about] += is_true
                    if not is_true:
                        false.append(f"{clip_id} {about}: {words} | {shot}")
    return made, true, false, clips


def test_claims_are_true(checked: tuple[Counter[str], Counter[str], list[str], int]) -> None:
    made, true, false, clips = checked
    print(f"\n{clips} clips;", {about: f"{true[about]}/{made[about]}" for about in sorted(made)})
    for about in made:
        assert true[about] >= 0.95 * made[about], "\n".join(line for line in false if f" {about}:" in line)


def test_enough_is_claimed(checked: tuple[Counter[str], Counter[str], list[str], int]) -> None:
    made, _, _, clips = checked
    least = {"colour": 5, "form": 4, "camera": 1.5, "background colour": 3, "direction": 0.8, "place": 0.8}
    assert {about: made[about] / clips for about in least if made[about] < least[about] * clips} == {}


def test_the_checker_finds_false_claims() -> None:
    """The captions of one shot, held against the truth of another, are mostly false."""
    spec, other = draw_world(SEED, 0), draw_world(SEED, 2)
    video = encode_video(render_shot(spec, spec.shots[0]), spec.fps)
    request = Request("video_captions", "c", SEED, video, spec.shots[0].frames / spec.fps)
    captions = parse("video_captions", Measured().answer([request])[0].text, "c")
    verdicts = [
        is_true for text in captions for about, is_true, _ in claims(text, other, other.shots[0]) if about != "camera"
    ]
    assert len(verdicts) > 5
    assert sum(verdicts) < 0.3 * len(verdicts)
