"""CRB-T and CMRB: the order of events and the camera's motion. No single frame tells the answer from the others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import permutations
from random import Random
from typing import Final

from eval.sample_uvrb.analogue import Analogue, Asked, Dial, Told, gather, told_analogue
from eval.sample_uvrb.stage import (
    HEIGHT,
    SHOT_FRAMES,
    WIDTH,
    Role,
    Scene,
    draw_scene,
    film,
    legs,
    place_alike,
    unplaced,
)
from eval.sample_uvrb.truth import camera_fact, name
from eval.sample_uvrb.wording import CAMERA, order, sentence
from infra.sample_world.draw import draw_background, fits, free_colours
from infra.sample_world.path import camera_at
from infra.sample_world.spec import (
    CAMERA_TEXTURES,
    CAMERAS,
    SHAPES,
    STRAIGHT,
    TEXTURES,
    Background,
    Leg,
    Shot,
    Thing,
    VideoSpec,
)

Event = tuple[int, str]  # which of the two things, and its motion
ORDER_FRAMES = 32
_MOST_POSITIVES: Final = 10  # of a motion of the camera: all of them can be among the first ten
_OPENINGS: Final = ("", "in this video ", "over time ", "from start to end ")


def crb_t(dial: Dial) -> Analogue:
    """Two or three events in their order; distractors hold the same events in other orders.

    All videos of the corpus have the same two things, so that naming them helps nobody. The orders of the same
    events begin and end with the same picture.
    """
    random = dial.random("CRB-T")
    pair = _pair(random)

    def draw() -> list[Told]:
        events = random.sample(_events(), 3 if dial.difficulty > 0.3 else 2)
        orders = random.sample(list(permutations(events)), min(max(2, dial.family), 2 if len(events) == 2 else 6))
        scene = Scene(_background_of(random, pair), pair)
        shots = place_alike(random, [_in_order(scene, one) for one in orders])
        return [Told(film(shot), (_ask_order(shot, one),)) for shot, one in zip(shots, orders, strict=False)]

    return told_analogue("CRB-T", gather("CRB-T", dial.queries, draw), dial.queries)


def _events() -> list[Event]:
    return [(number, motion) for number in (0, 1) for motion in (*STRAIGHT, "grow")]


def _pair(random: Random) -> tuple[Role, Role]:
    """Two things of unlike colours and shapes."""
    colours = free_colours(random, draw_background(random, ("plain",)))[:2]
    first, second = random.sample(SHAPES, 2)
    return Role(colours[0], first), Role(colours[1], second)


def _background_of(random: Random, pair: Sequence[Role]) -> Background:
    """A background that both things stand out from."""
    while True:
        background = draw_background(random, TEXTURES)
        if {one.colour for one in pair} <= set(free_colours(random, background)):
            return background


def _in_order(scene: Scene, events: Sequence[Event]) -> Shot:
    """A shot in which one event follows on the other, with rests between them."""
    shot, slot = unplaced(scene, ORDER_FRAMES), 1 / len(events)
    acts: list[list[Leg]] = [[], []]
    for number, (who, motion) in enumerate(events):
        acts[who] += legs(motion, (number + 0.1) * slot, (number + 0.9) * slot)
    things = (replace(thing, legs=tuple(own)) for thing, own in zip(shot.things, acts, strict=True))
    return replace(shot, things=tuple(things))


def _ask_order(shot: Shot, events: Sequence[Event]) -> Asked:
    told = [(name(shot.things[who]), motion) for who, motion in events]
    numbered = (f"event {number}: {who} {motion}" for number, (who, motion) in enumerate(told, start=1))
    return Asked(frozenset({*map(name, shot.things), *numbered}), order(told))


def cmrb(dial: Dial) -> Analogue:
    """A motion of the camera, which up to ten videos have; near distractors film the same scene.

    Half way through its shot, a scene looks the same whatever the camera does. There are at most as many queries as
    ways to say it.
    """
    random = dial.random("CMRB")
    count = min(_MOST_POSITIVES, max(2, round(dial.queries * 2 / len(CAMERAS))))
    videos = [spec for _ in range(count) for spec in _filmed(random, dial)]
    said = list(dict.fromkeys(_camera_texts()))[: dial.queries]
    return Analogue("CMRB", tuple(videos), tuple(Asked(frozenset({fact}), text) for fact, text in said))


def _camera_texts() -> Iterator[tuple[str, str]]:
    """Every motion, as a fact, in every wording; motions take turns."""
    for opening in _OPENINGS:
        for wording in range(len(CAMERA["still"])):
            for camera in CAMERAS:
                text = CAMERA[camera][wording]
                yield camera_fact(camera), sentence(text if text.startswith("a video") else f"{opening}{text}")


def _filmed(random: Random, dial: Dial) -> list[VideoSpec]:
    """A video for every motion of the camera, as many of the same scene as the dial says."""
    common = _scene_for(random, dial, CAMERAS)
    scenes = (common if random.random() < dial.difficulty else _scene_for(random, dial, (one,)) for one in CAMERAS)
    return [film(_seen_by(camera, dial, scene)) for camera, scene in zip(CAMERAS, scenes, strict=True)]


def _scene_for(random: Random, dial: Dial, cameras: Sequence[str]) -> Shot:
    """A scene whose things stay in the picture whichever of some motions the camera has."""
    while True:
        scene = _resting(random)
        if all(fits(_seen_by(camera, dial, scene), WIDTH / HEIGHT) for camera in cameras):
            return scene


def _resting(random: Random) -> Shot:
    """A shot as it looks half way through: one or two things at rest on a texture that shows the camera's motion."""
    scene = draw_scene(random, random.choice((1, 2)), motions=(), textures=CAMERA_TEXTURES)
    shots = place_alike(random, [unplaced(scene, SHOT_FRAMES)])
    return shots[0] if shots else _resting(random)


def _seen_by(camera: str, dial: Dial, scene: Shot) -> Shot:
    """The scene under a motion of the camera that shows `scene` itself half way through."""
    reach = 1 - 0.5 * dial.difficulty
    amount = 0.0 if camera == "still" else 1 + 0.7 * reach if camera.startswith("zoom") else 0.36 * reach
    moved = replace(scene, camera=camera, amount=amount)
    zoom, x, y = camera_at(moved, 0.5)
    things = tuple(_back(thing, zoom, x, y) for thing in scene.things)
    background = replace(scene.background, cell=scene.background.cell / zoom)
    return replace(moved, things=things, background=background)


def _back(thing: Thing, zoom: float, shift_x: float, shift_y: float) -> Thing:
    """Where a thing must be, and how large, to be seen as `thing` through the camera."""
    before = (Leg("grow", -1.0, 0.0, 1 / zoom),)  # over when the shot begins
    return replace(
        thing, x=0.5 + (thing.x - 0.5 - shift_x) / zoom, y=0.5 + (thing.y - 0.5 - shift_y) / zoom, legs=before
    )
