"""Captions as a crawl would bring them: mostly true and short, some vague, wrong or no caption at all."""

from __future__ import annotations

from random import Random

from infra.sample_world.spec import SHAPES, STRAIGHT, THING_COLOURS, Shot, Thing

KINDS = {"true": 74, "vague": 8, "wrong": 7, "boilerplate": 6, "missing": 5}  # weights

_VAGUE = ("Some shapes on a background.", "Short animation with simple graphics.", "A shape in a little video.")
_BOILERPLATE = (
    "Subscribe to our channel and hit the like button for more videos!",
    "Visit https://example.com/shop for 50% off this week only",
    "IMG_0431.MOV",
    "#fyp #viral #shorts",
)
_MOVES = {
    "right": "moves to the right",
    "left": "moves to the left",
    "up": "moves up",
    "down": "moves down",
    "up_right": "moves diagonally to the upper right",
    "up_left": "moves diagonally to the upper left",
    "down_right": "moves diagonally to the lower right",
    "down_left": "moves diagonally to the lower left",
    "clockwise": "goes round clockwise",
    "counterclockwise": "goes round counterclockwise",
    "zigzag_right": "zigzags to the right",
    "zigzag_left": "zigzags to the left",
    "back_and_forth": "goes right and comes back",
    "up_and_down": "goes up and comes back down",
    "grow": "grows",
    "shrink": "shrinks",
}
_CAMERAS = {
    "pan_right": "the camera pans right",
    "pan_left": "the camera pans left",
    "tilt_up": "the camera tilts up",
    "tilt_down": "the camera tilts down",
    "zoom_in": "the camera zooms in",
    "zoom_out": "the camera zooms out",
}


def weak_caption(random: Random, shots: tuple[Shot, ...]) -> tuple[str, str]:
    """A caption and its kind (see `VideoSpec.weak_kind`) for a video of these shots."""
    kind = random.choices(list(KINDS), list(KINDS.values()))[0]
    if kind == "missing":
        return "", kind
    if kind == "vague":
        return random.choice(_VAGUE), kind
    if kind == "boilerplate":
        return random.choice(_BOILERPLATE), kind
    if kind == "wrong":
        return _wrong(random, shots), kind
    return " Then ".join(describe_shot(shot) for shot in shots), kind


def describe_shot(shot: Shot) -> str:
    """One true sentence about a shot: its things, what they do, the background, the camera."""
    things = " and ".join(_describe_thing(thing) for thing in shot.things)
    background = " and ".join(shot.background.colours)
    camera = f" while {_CAMERAS[shot.camera]}" if shot.camera in _CAMERAS else ""
    texture = shot.background.texture.replace("_", " ")
    return f"{things} on a {background} {texture} background{camera}.".capitalize()


def _describe_thing(thing: Thing) -> str:
    does = " and then ".join(_MOVES[leg.motion] for leg in thing.legs) or "stays still"
    if thing.appears_u > 0:
        does = f"appears later and {does}"
    if thing.disappears_u < 1:
        does = f"{does} and then vanishes"
    return f"a {thing.size} {thing.colour} {thing.shape} {does}"


def _wrong(random: Random, shots: tuple[Shot, ...]) -> str:
    """What another video might show: a colour and a shape that no thing here has."""
    things = [thing for shot in shots for thing in shot.things]
    colour = random.choice([name for name in THING_COLOURS if all(name != t.colour for t in things)])
    shape = random.choice([name for name in SHAPES if all(name != t.shape for t in things)])
    return f"A {colour} {shape} {_MOVES[random.choice(list(STRAIGHT))]}."
