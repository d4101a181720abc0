"""True answers about the sample world: what a captioner should say of a shot, as JSON texts.

Every statement follows from the ground truth and can be seen: things are told in a fixed order of
their colours, places and sizes are those on screen, of two tones no one comes first. The facts stand
early, in the summary; the other captions tell them again.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final, Literal

from infra.sample_world.path import is_visible, on_screen
from infra.sample_world.spec import (
    BACKGROUND_COLOURS,
    SIZES,
    STRAIGHT,
    THING_COLOURS,
    Background,
    Leg,
    Shot,
    Thing,
    VideoSpec,
)

Kind = Literal["video_captions", "frame_captions", "image_query", "video_query"]
KINDS: Final[tuple[Kind, ...]] = ("video_captions", "frame_captions", "image_query", "video_query")

_SUMMARY_WORDS: Final = (10, 25)  # least and most
_LONG_WORDS: Final = 104  # of the detailed caption, at least
_FRAME_WORDS: Final = 60  # the same of a frame
WAYS: Final[dict[str, str]] = {
    "right": "to the right",
    "left": "to the left",
    "up": "up",
    "down": "down",
    "up_right": "up and to the right",
    "up_left": "up and to the left",
    "down_right": "down and to the right",
    "down_left": "down and to the left",
}
_MOVES: Final[dict[str, str]] = {
    **{motion: f"moves {way}" for motion, way in WAYS.items()},
    "clockwise": "goes around clockwise",
    "counterclockwise": "goes around counterclockwise",
    "zigzag_right": "zigzags to the right",
    "zigzag_left": "zigzags to the left",
    "back_and_forth": "moves to the right and then comes back",
    "up_and_down": "moves up and then comes back",
    "grow": "grows",
    "shrink": "shrinks",
}
_TERMS: Final[dict[str, str]] = {
    **{motion: f"moving {motion.replace('_', ' ')}" for motion in STRAIGHT},
    "clockwise": "clockwise circle",
    "counterclockwise": "counterclockwise circle",
    "zigzag_right": "zigzag right",
    "zigzag_left": "zigzag left",
    "back_and_forth": "back and forth",
    "up_and_down": "up and down",
    "grow": "growing",
    "shrink": "shrinking",
}
_CAMERAS: Final[dict[str, str]] = {
    "still": "the camera stays still",
    "pan_right": "the camera pans to the right",
    "pan_left": "the camera pans to the left",
    "tilt_up": "the camera tilts up",
    "tilt_down": "the camera tilts down",
    "zoom_in": "the camera zooms in",
    "zoom_out": "the camera zooms out",
}
_COUNTS: Final = ("no shape", "one shape", "two shapes", "three shapes")
# True of everything in this world, for captions that have to be long.
_ALWAYS: Final = (
    "It looks like a simple animation made on a computer, with flat shapes and clean sharp edges.",
    "No person, no animal, no building and no written word can be seen anywhere in it.",
    "Each shape has one plain colour without any pattern on it.",
    "Every outline is easy to tell from what lies behind it, as the colours differ enough.",
    "There is no shadow, and nothing hides behind something else.",
)
_ONE_TAKE: Final = "The clip is a single take, so there is no cut, no fade and no change of scene."


def answer(clip_id: str, fields: dict[str, str]) -> str:
    """The JSON text of an answer, without white space between its tokens."""
    return json.dumps({"clip_id": clip_id, **fields}, separators=(",", ":"))


def lesson(kind: Kind, spec: VideoSpec, shot: Shot, frame_u: float) -> dict[str, str]:
    """The fields of the true answer about `shot`; `frame_u` in [0, 1] is the moment its frame shows."""
    if kind == "video_captions":
        return video_captions(spec, shot)
    if kind == "frame_captions":
        return frame_captions(spec, shot, frame_u)
    main = main_thing(shot)
    if kind == "image_query":
        query = f"Find the clip in which the {noun(main)} of this picture {does(main)} and {_CAMERAS[shot.camera]}."
        return {"query": query}
    return {"query": f"Show how the {noun(main)} {_in_short(main)}."}


def video_captions(spec: VideoSpec, shot: Shot) -> dict[str, str]:
    """The five captions of a clip that shows `shot`."""
    things = told(shot.things)
    clauses = [f"{_article(noun(thing))} {does(thing)}" for thing in things]
    ground = setting(shot.background)
    endings = (f" {ground}, {_CAMERAS[shot.camera]}", f" {ground}", "")
    overview = "A short animation of simple shapes, told by colour, form and movement alone."
    last = "The picture stays clear and easy to follow from the first moment to the last."
    return {
        "summary": _fullest(clauses, endings),
        "detailed": _long([*_details(spec, shot, things), _ONE_TAKE, *_ALWAYS], _LONG_WORDS),
        "abstract": f"{overview} {' '.join(map(_sentence, clauses))} All of it happens {ground}. {last}",
        "keywords": ", ".join([*_thing_terms(things), *_ground_terms(shot.background), _camera_term(shot.camera)]),
        "partial": f"One part of it: {_article(noun(things[0]))} {ground}.",
    }


def frame_captions(spec: VideoSpec, shot: Shot, u: float) -> dict[str, str]:
    """The five captions of the frame that shows `shot` at progress `u`."""
    things = [thing for thing in told(shot.things) if is_visible(thing, u)]
    clauses = [f"{_article(noun(thing))} {place(spec, shot, thing, u)}" for thing in things]
    ground = setting(shot.background)
    overview = "A single moment of an animation of simple shapes, told by colour and form alone."
    last = "The picture is clear and easy to read, with nothing in it that is not needed."
    places = " ".join(f"There is {clause}." for clause in clauses)
    return {
        "summary": _fullest(clauses, (f" {ground}", "")),
        "detailed": _long([*_frame_details(spec, shot, things, u), *_ALWAYS], _FRAME_WORDS),
        "abstract": f"{overview} {places} All of it lies {ground}. {last}",
        "keywords": ", ".join([*map(noun, things), *_ground_terms(shot.background), "single moment"]),
        "partial": f"One part of it: {_article(noun(things[0]))} {ground}.",
    }


def told(things: Sequence[Thing]) -> list[Thing]:
    """Things in the order in which they are told: that of their colours, of which no two are the same."""
    return sorted(things, key=lambda thing: list(THING_COLOURS).index(thing.colour))


def main_thing(shot: Shot) -> Thing:
    """The first thing told that moves, else the first that is there all the time."""
    things = told(shot.things)
    staying = [thing for thing in things if thing.appears_u <= 0 and thing.disappears_u >= 1]
    return next((thing for thing in things if legs_of(thing)), staying[0])


def legs_of(thing: Thing) -> list[Leg]:
    """Its movements during the shot; what ended before only says where and how large it is."""
    return [leg for leg in thing.legs if leg.stop_u > 0]


def noun(thing: Thing) -> str:
    """Colour and shape."""
    return f"{thing.colour} {thing.shape}"


def does(thing: Thing) -> str:
    """What a thing does in the course of its shot."""
    legs = legs_of(thing)
    if thing.appears_u > 0:
        return "appears later and stays still"
    if thing.disappears_u < 1:
        return "stays still and then vanishes"
    if len(legs) == 2:
        return f"moves {WAYS[legs[0].motion]} and then {WAYS[legs[1].motion]}"
    if not legs:
        return "stays still"
    late = "stays still at first and then " if legs[0].start_u > 0.05 else ""
    early = " and then stops" if legs[0].stop_u < 0.95 else ""
    return f"{late}{_MOVES[legs[0].motion]}{early}"


def _in_short(thing: Thing) -> str:
    """What it does, in at most ten words."""
    legs = legs_of(thing)
    if len(legs) == 2:
        return words if len((words := does(thing)).split()) <= 10 else "changes its direction"
    return _MOVES[legs[0].motion] if legs else "stays still"


def place(spec: VideoSpec, shot: Shot, thing: Thing, u: float) -> str:
    """Where on screen a thing is at progress `u`, as one of nine parts."""
    x, y, _ = on_screen(shot, thing, u, spec.width / spec.height)
    across = "left" if x < 0.4 else "right" if x > 0.6 else "middle"
    down = "upper" if y < 0.4 else "lower" if y > 0.6 else ""
    if down:
        return f"in the {down} {across}"
    return "near the middle" if across == "middle" else f"on the {across}"


def setting(background: Background) -> str:
    """The background as it follows what lies on it."""
    first, last = background.colours[0], background.colours[-1]
    if background.texture == "plain":
        return f"on a plain {first} background"
    if background.texture.endswith("gradient"):
        return f"on a background that fades from {first} to {last}"
    tones = " and ".join(sorted(background.colours, key=list(BACKGROUND_COLOURS).index))
    if background.texture.endswith("stripes"):
        return f"on a background of {background.texture.removesuffix('_stripes')} {tones} stripes"
    return f"on a {'checkered' if background.texture == 'checker' else 'patchy'} {tones} background"


def _details(spec: VideoSpec, shot: Shot, things: Sequence[Thing]) -> list[str]:
    return [
        f"The clip shows {_COUNTS[len(things)]}.",
        *(_course(spec, shot, thing) for thing in things),
        f"Everything happens {setting(shot.background)}.",
        _sentence(_CAMERAS[shot.camera]),
        _format(spec),
    ]


def _course(spec: VideoSpec, shot: Shot, thing: Thing) -> str:
    """Where a thing starts and ends, and what it does."""
    first, last = thing.appears_u, min(1.0, thing.disappears_u)
    start, end = place(spec, shot, thing, first), place(spec, shot, thing, last)
    size = size_on_screen(shot, thing, first, spec)
    return f"The {size} {noun(thing)} {does(thing)}. The {thing.shape} starts {start} and ends {end}."


def _frame_details(spec: VideoSpec, shot: Shot, things: Sequence[Thing], u: float) -> list[str]:
    seen = [f"The {size_on_screen(shot, t, u, spec)} {noun(t)} is {place(spec, shot, t, u)}." for t in things]
    lies = f"Everything lies {setting(shot.background)}."
    return [f"The picture shows {_COUNTS[len(things)]}.", *seen, lies, _format(spec)]


def size_on_screen(shot: Shot, thing: Thing, u: float, spec: VideoSpec) -> str:
    """How large a thing looks at progress `u`, one of SIZES."""
    radius = SIZES[thing.size] * on_screen(shot, thing, u, spec.width / spec.height)[2]  # in short sides
    return "small" if radius < 0.115 else "large" if radius > 0.17 else "medium"


def _format(spec: VideoSpec) -> str:
    return "The picture is wider than high." if spec.width > 1.1 * spec.height else "The picture is as wide as high."


def _thing_terms(things: Sequence[Thing]) -> list[str]:
    terms = []
    for thing in things:
        terms += [noun(thing), *(_TERMS[leg.motion] for leg in legs_of(thing))]
        terms += [] if legs_of(thing) else ["at rest"]
    return terms


def _ground_terms(background: Background) -> list[str]:
    tones = sorted(background.colours, key=list(BACKGROUND_COLOURS).index)
    return [f"{background.texture.replace('_', ' ')} background", *tones]


def _camera_term(camera: str) -> str:
    return "still camera" if camera == "still" else f"camera {camera.replace('_', ' ')}"


def _fullest(clauses: Sequence[str], endings: Sequence[str]) -> str:
    """The fullest version that has the words of a summary: the things before the ground before the camera."""
    versions = [_listed(clauses[:count]) + end for count in range(len(clauses), 0, -1) for end in endings]
    least, most = _SUMMARY_WORDS
    return _sentence(next(text for text in versions if least <= len(text.split()) <= most))


def _long(sentences: Sequence[str], least: int) -> str:
    """As many of the sentences as make `least` words."""
    text = ""
    for sentence in sentences:
        if len(text.split()) >= least:
            break
        text = f"{text} {sentence}".strip()
    return text


def _article(words: str) -> str:
    return f"an {words}" if words[0] in "aeiou" else f"a {words}"


def _listed(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."
