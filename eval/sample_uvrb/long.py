"""LoVR-V, LoVR-C2V and VDC-D: long videos by their story or by a clip, and short ones by a long description."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from math import ceil

from eval.sample_uvrb.analogue import Analogue, Asked, Dial, Told, gather, told_analogue
from eval.sample_uvrb.coarse import family, scene_family
from eval.sample_uvrb.stage import HEIGHT, WIDTH, draw_scene, film, place_alike, unplaced
from eval.sample_uvrb.truth import camera_fact, place_facts, scene_fact, shot_fact, thing_facts
from eval.sample_uvrb.wording import detailed
from infra.sample_world.spec import Shot, VideoSpec

SHOTS, SHOT_FRAMES = 6, 14
_ASKED_OF = 4  # videos to each query of LoVR-V, which has few queries and a larger corpus
_CLIP = (2, 12)  # frames of a shot that a clip shows


def lovr_v(dial: Dial) -> Analogue:
    """The story of a long video, shot by shot; near distractors have all shots but one in common with it."""
    random = dial.random("LoVR-V")
    told = gather("LoVR-V", dial.queries, lambda: scene_family(random, dial, SHOTS, SHOT_FRAMES))
    few = ceil(dial.queries / _ASKED_OF)
    picked = set(random.sample(range(len(told)), few))
    asked = [one if number in picked else replace(one, asked=()) for number, one in enumerate(told)]
    return told_analogue("LoVR-V", asked, few)


def lovr_c2v(dial: Dial) -> Analogue:
    """A clip of a shot that one of the same long videos has alone."""
    random, source = dial.random("LoVR-C2V"), lovr_v(dial)
    seen = Counter(shot for spec in source.videos for shot in spec.shots)
    asked = []
    for spec in source.videos:
        own = [number for number, shot in enumerate(spec.shots) if seen[shot] == 1]
        asked.append(_ask_clip(spec, random.choice(own)))
    return replace(source, name="LoVR-C2V", asked=tuple(asked))


def _ask_clip(spec: VideoSpec, number: int) -> Asked:
    first, end = (number * SHOT_FRAMES + frame for frame in _CLIP)
    return Asked(frozenset({shot_fact(spec.shots[number])}), clip=(spec, first, end))


def vdc_d(dial: Dial) -> Analogue:
    """Everything about three things: size, colour, shape, way, places; near distractors differ in one detail.

    The things of near distractors start at the same places.
    """
    random = dial.random("VDC-D")

    def draw() -> list[Told]:
        scenes = family(random, dial, draw_scene(random, 3))
        return [Told(film(shot), (_ask_details(shot),)) for shot in place_alike(random, list(map(unplaced, scenes)))]

    return told_analogue("VDC-D", gather("VDC-D", dial.queries, draw), dial.queries)


def _ask_details(shot: Shot) -> Asked:
    things = (fact for thing in shot.things for fact in thing_facts(thing))
    places = (fact for thing in shot.things for fact in place_facts(shot, thing, WIDTH / HEIGHT))
    return Asked(frozenset({scene_fact(shot), camera_fact(shot.camera), *things, *places}), detailed(shot))
