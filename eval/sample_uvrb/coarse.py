"""MSRVTT, DiDeMo and CRB-G: what a video shows as a whole; MSRVTT-I2V asks for MSRVTT's videos by a frame."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from random import Random

from eval.sample_uvrb.analogue import Analogue, Asked, Dial, Told, gather, told_analogue
from eval.sample_uvrb.stage import Scene, changed, draw_scene, film, place_alike, place_each, unplaced
from eval.sample_uvrb.truth import camera_fact, scene_fact, shot_fact, thing_facts
from eval.sample_uvrb.wording import general, story, summary
from infra.sample_world.spec import Shot

DIDEMO_SHOTS, DIDEMO_SHOT_FRAMES = 3, 14


def msrvtt(dial: Dial) -> Analogue:
    """A caption names two things, what they do and the background; distractors differ in some of that."""
    return _captioned("MSRVTT", dial, lambda shot: Asked(frozenset({scene_fact(shot)}), summary(shot)))


def msrvtt_i2v(dial: Dial) -> Analogue:
    """A frame at any moment of the same videos."""
    random, source = dial.random("MSRVTT-I2V"), msrvtt(dial)
    shown = [(spec, random.randrange(spec.shots[0].frames)) for spec in source.videos]
    asked = tuple(Asked(frozenset({shot_fact(spec.shots[0])}), image=(spec, number)) for spec, number in shown)
    return replace(source, name="MSRVTT-I2V", asked=asked)


def crb_g(dial: Dial) -> Analogue:
    """The same with sizes and the camera, in sentences of their own."""
    return _captioned("CRB-G", dial, lambda shot: Asked(_general_facts(shot), general(shot)))


def _general_facts(shot: Shot) -> frozenset[str]:
    things = (fact for thing in shot.things for fact in thing_facts(thing))
    return frozenset({scene_fact(shot), camera_fact(shot.camera), *things})


def _captioned(dataset: str, dial: Dial, ask: Callable[[Shot], Asked]) -> Analogue:
    random = dial.random(dataset)

    def draw() -> list[Told]:
        scenes = family(random, dial, draw_scene(random, 2))
        return [Told(film(shot), (ask(shot),)) for shot in place_each(random, list(map(unplaced, scenes)))]

    return told_analogue(dataset, gather(dataset, dial.queries, draw), dial.queries)


def family(random: Random, dial: Dial, scene: Scene) -> list[Scene]:
    """A scene and its distractors, which differ from it in as many details as the dial says."""
    details = scene.details()
    others = (random.sample(details, dial.changes(len(details))) for _ in range(dial.family - 1))
    return [scene, *(changed(random, scene, which) for which in others)]


def didemo(dial: Dial) -> Analogue:
    """A paragraph of three scenes; distractors have some of them in common with the answer."""
    random = dial.random("DiDeMo")

    def draw() -> list[Told]:
        return scene_family(random, dial, DIDEMO_SHOTS, DIDEMO_SHOT_FRAMES)

    return told_analogue("DiDeMo", gather("DiDeMo", dial.queries, draw), dial.queries)


def scene_family(random: Random, dial: Dial, shots: int, frames: int) -> list[Told]:
    """Videos of several shots of one thing each, which have all but as many shots as the dial says in common."""
    own = random.sample(range(shots), dial.changes(shots))
    common = [_one_thing(random, frames) for _ in range(shots)]
    films = [
        [_one_thing(random, frames) if number in own else shot for number, shot in enumerate(common)]
        for _ in range(dial.family)
    ]
    return [_scenes_told(one) for one in films]


def _one_thing(random: Random, frames: int) -> Shot:
    """A shot of one thing that moves."""
    while True:
        placed = place_alike(random, [unplaced(draw_scene(random, 1), frames)])
        if placed:
            return placed[0]


def _scenes_told(shots: Sequence[Shot]) -> Told:
    return Told(film(*shots), (Asked(frozenset(map(scene_fact, shots)), story(shots)),))
