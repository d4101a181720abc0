"""Texts of queries from what videos show, in the words that captions of the sample world are made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from eval.sample_uvrb.stage import HEIGHT, WIDTH
from eval.sample_uvrb.truth import moving_legs, name, place
from infra.sample_world.path import on_screen
from infra.sample_world.spec import Background, Shot, Thing

_SIZES: Final = {"small": "small", "medium": "medium-sized", "large": "large"}
_DOES: Final = {
    "right": "moves to the right",
    "left": "moves to the left",
    "up": "moves up",
    "down": "moves down",
    "up_right": "moves up and to the right",
    "up_left": "moves up and to the left",
    "down_right": "moves down and to the right",
    "down_left": "moves down and to the left",
    "clockwise": "circles clockwise",
    "counterclockwise": "circles counterclockwise",
    "zigzag_right": "zigzags to the right",
    "zigzag_left": "zigzags to the left",
    "back_and_forth": "moves to the right and then comes back",
    "up_and_down": "moves up and then comes back",
    "grow": "grows",
    "shrink": "shrinks",
}
_TERMS: Final = {
    "clockwise": "clockwise circle",
    "counterclockwise": "counterclockwise circle",
    "zigzag_right": "zigzag right",
    "zigzag_left": "zigzag left",
    "back_and_forth": "moving right, moving left",
    "up_and_down": "moving up, moving down",
    "grow": "growing",
    "shrink": "shrinking",
}
TEXTURES: Final = {
    "plain": "a plain background",
    "vertical_gradient": "a background that fades from top to bottom",
    "horizontal_gradient": "a background that fades from left to right",
    "horizontal_stripes": "a background of horizontal stripes",
    "vertical_stripes": "a background of vertical stripes",
    "diagonal_stripes": "a background of diagonal stripes",
    "checker": "a checkered background",
    "spots": "a patchy background",
}
# For every motion of the camera the clauses that captions have for it.
CAMERA: Final = {
    "still": ("the camera stays still", "the camera does not move", "a video with a still camera"),
    "pan_right": ("the camera pans to the right", "the camera moves right", "a video with a camera pan to the right"),
    "pan_left": ("the camera pans to the left", "the camera moves left", "a video with a camera pan to the left"),
    "tilt_up": ("the camera tilts up", "the camera moves up", "a video with a camera tilt upward"),
    "tilt_down": ("the camera tilts down", "the camera moves down", "a video with a camera tilt downward"),
    "zoom_in": ("the camera zooms in", "the view zooms in", "a video with a zoom in"),
    "zoom_out": ("the camera zooms out", "the view zooms out", "a video with a zoom out"),
}


def sentence(text: str) -> str:
    """First letter in upper case, full stop at the end."""
    return f"{text[:1].upper()}{text[1:]}."


def article(noun: str) -> str:
    """a or an before a noun phrase."""
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def listed(parts: Sequence[str]) -> str:
    """a, b and c."""
    return " and ".join(filter(None, (", ".join(parts[:-1]), parts[-1])))


def sized(thing: Thing) -> str:
    """A thing by size, colour and shape; without the size where that changes."""
    resized = any(leg.motion in ("grow", "shrink") for leg in moving_legs(thing))
    return name(thing) if resized else f"{_SIZES[thing.size]} {name(thing)}"


def act(motion: str) -> str:
    """A motion as a verb phrase."""
    return _DOES[motion]


def does(thing: Thing) -> str:
    """What a thing does in its shot."""
    return " and then ".join(_DOES[leg.motion] for leg in moving_legs(thing)) or "stays still"


def setting(background: Background) -> str:
    """The background as a noun phrase."""
    first, last = background.colours[0], background.colours[-1]
    pair = f"{first} and {last}"
    return {
        "plain": article(f"plain {first} background"),
        "vertical_gradient": f"a background that fades from {first} at the top to {last} at the bottom",
        "horizontal_gradient": f"a background that fades from {first} on the left to {last} on the right",
        "horizontal_stripes": f"a background of horizontal {pair} stripes",
        "vertical_stripes": f"a background of vertical {pair} stripes",
        "diagonal_stripes": f"a background of diagonal {pair} stripes",
        "checker": f"a background of {pair} squares",
        "spots": f"a background of {pair} patches",
    }[background.texture]


def summary(shot: Shot) -> str:
    """Things, what they do and before what, in one sentence."""
    clauses = [f"{article(name(thing))} {does(thing)}" for thing in shot.things]
    return sentence(f"{listed(clauses)} on {setting(shot.background)}")


def general(shot: Shot) -> str:
    """The same and the camera, in sentences of their own."""
    clauses = [f"{article(sized(thing))} {does(thing)}" for thing in shot.things]
    return " ".join(map(sentence, (*clauses, f"there is {setting(shot.background)}", CAMERA[shot.camera][0])))


def detailed(shot: Shot) -> str:
    """Everything there is to say about a shot under a still camera."""
    clauses = [clause for thing in shot.things for clause in _whole_way(shot, thing)]
    return " ".join(map(sentence, (*clauses, f"the picture shows {setting(shot.background)}", CAMERA[shot.camera][0])))


def _whole_way(shot: Shot, thing: Thing) -> tuple[str, str]:
    start, end = (place(*on_screen(shot, thing, u, WIDTH / HEIGHT)[:2]) for u in (0.0, 1.0))
    way = f"starts {start} and ends {end}" if start != end else f"starts and ends {start}"
    return f"{article(sized(thing))} {does(thing)}", f"the {name(thing)} {way}"


def story(shots: Sequence[Shot]) -> str:
    """Summaries of shots in their order."""
    first, *others = (summary(shot) for shot in shots)
    return " ".join(
        (f"First {first[:1].lower()}{first[1:]}", *(f"Then {text[:1].lower()}{text[1:]}" for text in others))
    )


def order(events: Sequence[tuple[str, str]]) -> str:
    """Events, each a thing and its motion, in the order of time."""
    clauses = [f"the {who} {_DOES[motion]}" for who, motion in events]
    return sentence(", then ".join((f"first {clauses[0]}", *clauses[1:])))


def keywords(shot: Shot) -> str:
    """The first thing and its motion, the other things, the background and the camera as keywords."""
    first, *others = shot.things
    motions = [_TERMS.get(leg.motion, f"moving {leg.motion.replace('_', ' ')}") for leg in moving_legs(first)]
    background = setting(shot.background).removeprefix("a ").removeprefix("an ")
    return ", ".join((name(first), *motions, *map(name, others), background, f"camera {shot.camera.replace('_', ' ')}"))
