"""From a seed and a number to the ground truth of one video; video i never depends on how many are drawn."""

from __future__ import annotations

import math
from random import Random
from typing import TypeVar

from infra.sample_world.path import is_visible, on_screen
from infra.sample_world.spec import (
    BACKGROUND_COLOURS,
    CAMERA_TEXTURES,
    CAMERAS,
    CURVED,
    RESIZED,
    SHAPES,
    SIZES,
    STRAIGHT,
    TEXTURES,
    THING_COLOURS,
    Background,
    Leg,
    Shot,
    Thing,
    VideoSpec,
)
from infra.sample_world.weak import weak_caption

FRAME_SIZES = ((176, 132), (192, 144), (208, 156), (224, 168), (232, 132), (256, 144), (144, 144))
MARGIN = 0.03  # of the frame, kept free at its edges
GAP = 0.06  # short sides between two things
COLOUR_DISTANCE = 130.0  # least Euclidean sRGB distance of a thing to its background and to other things
EDGE_DISTANCE = 90.0  # the same to the mixtures of the background's tones, which its edges and gradients show
SHOT_COUNTS = {1: 70, 2: 22, 3: 8}  # weights
SHOT_SECONDS = {1: (3.0, 5.0), 2: (2.2, 2.8), 3: (2.2, 2.6)}  # by number of shots
EVENTS = {
    "together": 40,
    "turns": 12,
    "stops": 8,
    "starts_late": 6,
    "one_after_other": 8,
    "appears": 8,
    "disappears": 6,
    "camera": 24,
    "nothing": 3,
}

_T = TypeVar("_T")


def draw_world(seed: int, index: int) -> VideoSpec:
    """Ground truth of video `index` of the world `seed`; the same arguments always give the same value."""
    random = Random(f"sample-world/{seed}/{index}")
    width, height = random.choice(FRAME_SIZES)
    fps = random.choice((10, 12, 15))
    count = _weighted(random, SHOT_COUNTS)
    shots = tuple(_shot(random, width / height, fps, SHOT_SECONDS[count]) for _ in range(count))
    caption, kind = weak_caption(random, shots)
    return VideoSpec(seed, index, width, height, fps, shots, caption, kind)


def _weighted(random: Random, weights: dict[_T, int]) -> _T:
    return random.choices(list(weights), list(weights.values()))[0]


def _shot(random: Random, aspect: float, fps: int, seconds: tuple[float, float]) -> Shot:
    event = _weighted(random, EVENTS)
    frames = round(fps * random.uniform(*seconds))
    while True:
        shot = _candidate(random, event, frames)
        for _ in range(30):
            placed = _placed(random, shot)
            if fits(placed, aspect):
                return placed


def _candidate(random: Random, event: str, frames: int) -> Shot:
    """A shot whose things still all lie in the middle."""
    moving_camera = event == "camera"
    background = draw_background(random, CAMERA_TEXTURES if moving_camera else TEXTURES)
    camera = random.choice(CAMERAS[1:]) if moving_camera else "still"
    amount = random.uniform(1.35, 1.7) if camera.startswith("zoom") else random.uniform(0.22, 0.4)
    things = _things(random, event, background)
    return Shot(frames, background, camera, amount if moving_camera else 0.0, things, event)


def draw_background(random: Random, textures: tuple[str, ...]) -> Background:
    """A background of one of `textures`, its tones far enough apart to be told from each other."""
    texture = random.choice(textures)
    first = random.choice(list(BACKGROUND_COLOURS))
    colours: tuple[str, ...] = (first,)
    if texture != "plain":
        near = 90.0 if texture in ("checker", "spots") else 60.0  # tones that can be told apart
        others = [name for name in BACKGROUND_COLOURS if math.dist(_rgb(name), _rgb(first)) > near]
        colours = (first, random.choice(others))
    return Background(texture, colours, random.uniform(0.14, 0.22), random.randrange(2**31))


def _rgb(name: str) -> tuple[int, int, int]:
    return BACKGROUND_COLOURS[name]


def _things(random: Random, event: str, background: Background) -> tuple[Thing, ...]:
    colours = free_colours(random, background)
    things = [_thing(random, colour, ways) for colour, ways in zip(colours, _ways(random, event), strict=False)]
    moment = random.uniform(0.35, 0.6)
    if event == "appears" and len(things) > 1:
        things[1] = _replace_span(things[1], moment, 1.0)
    if event == "disappears" and len(things) > 1:
        things[1] = _replace_span(things[1], 0.0, moment)
    return tuple(things)


def _ways(random: Random, event: str) -> list[list[Leg]]:
    """The legs of every thing of a shot."""
    if event == "nothing":
        return [[] for _ in range(random.choice((1, 2, 3)))]
    if event == "camera":
        return [[] for _ in range(random.choice((1, 1, 2)))] if random.random() < 0.6 else [[_leg(random, 0, 1)]]
    if event == "one_after_other":
        return [[_leg(random, 0, 0.5)], [_leg(random, 0.5, 1)]]
    if event in ("appears", "disappears"):
        return [[_leg(random, 0, 1)], []]
    others = _weighted(random, {0: 55, 1: 33, 2: 12})
    return [_legs(random, event), *([_leg(random, 0, 1)] for _ in range(others))]


def _replace_span(thing: Thing, appears_u: float, disappears_u: float) -> Thing:
    return Thing(thing.shape, thing.colour, thing.size, thing.x, thing.y, thing.legs, appears_u, disappears_u)


def free_colours(random: Random, background: Background) -> list[str]:
    """Colour names in random order that stand out from the background and from each other."""
    first, last = _rgb(background.colours[0]), _rgb(background.colours[-1])
    mixtures = [tuple(a + (b - a) * k / 8 for a, b in zip(first, last, strict=True)) for k in range(1, 8)]
    taken = {name.split()[-1] for name in background.colours}
    free: list[str] = []
    for name in random.sample(list(THING_COLOURS), len(THING_COLOURS)):
        rgb = THING_COLOURS[name]
        apart = min(math.dist(rgb, other) for other in (first, last, *(THING_COLOURS[n] for n in free)))
        if name not in taken and apart > COLOUR_DISTANCE and min(math.dist(rgb, m) for m in mixtures) > EDGE_DISTANCE:
            free.append(name)
    return free


def _thing(random: Random, colour: str, legs: list[Leg]) -> Thing:
    sizes = list(SIZES)
    if any(leg.motion == "grow" for leg in legs):
        sizes = ["small", "medium"]
    if any(leg.motion == "shrink" for leg in legs):
        sizes = ["large"]
    return Thing(random.choice(SHAPES), colour, random.choice(sizes), 0.5, 0.5, tuple(legs))


def _legs(random: Random, event: str) -> list[Leg]:
    if event == "turns":
        first, second = random.sample(list(STRAIGHT), 2)
        turn = random.uniform(0.4, 0.6)
        return [_straight(random, first, 0.0, turn), _straight(random, second, turn, 1.0)]
    if event == "stops":
        return [_leg(random, 0.0, random.uniform(0.45, 0.65))]
    if event == "starts_late":
        return [_leg(random, random.uniform(0.35, 0.55), 1.0)]
    return [_leg(random, 0.0, 1.0)]


def _leg(random: Random, start_u: float, stop_u: float) -> Leg:
    group = random.choices((tuple(STRAIGHT), CURVED, RESIZED), (60, 25, 15))[0]
    motion = random.choice(group)
    if motion in STRAIGHT:
        return _straight(random, motion, start_u, stop_u)
    if motion in RESIZED:
        factor = random.uniform(1.8, 2.3)
        return Leg(motion, start_u, stop_u, factor if motion == "grow" else 1 / factor)
    if motion in ("clockwise", "counterclockwise"):
        return Leg(motion, start_u, stop_u, random.uniform(0.16, 0.26))
    return Leg(motion, start_u, stop_u, random.uniform(0.4, 0.7))


def _straight(random: Random, motion: str, start_u: float, stop_u: float) -> Leg:
    """A straight way in one of two paces: about a quarter or more than half of the frame's height."""
    distance = random.uniform(0.22, 0.32) if random.random() < 0.4 else random.uniform(0.5, 0.68)
    return Leg(motion, start_u, stop_u, distance)


def _placed(random: Random, shot: Shot) -> Shot:
    things = tuple(
        Thing(t.shape, t.colour, t.size, random.random(), random.random(), t.legs, t.appears_u, t.disappears_u)
        for t in shot.things
    )
    return Shot(shot.frames, shot.background, shot.camera, shot.amount, things, shot.event)


def fits(shot: Shot, aspect: float) -> bool:
    """Whether everything stays inside the frame and apart from each other, at 21 moments."""
    return all(_fits_at(shot, step / 20, aspect) for step in range(21))


def _fits_at(shot: Shot, u: float, aspect: float) -> bool:
    seen: list[tuple[float, float, float]] = []
    for thing in shot.things:
        x, y, factor = on_screen(shot, thing, u, aspect)
        radius = SIZES[thing.size] * factor
        if not (MARGIN + radius / aspect <= x <= 1 - MARGIN - radius / aspect):
            return False
        if not (MARGIN + radius <= y <= 1 - MARGIN - radius):
            return False
        if is_visible(thing, u):
            near = (math.hypot((x - a) * aspect, y - b) - radius - r for a, b, r in seen)
            if min(near, default=1.0) < GAP:
                return False
            seen.append((x, y, radius))
    return True
