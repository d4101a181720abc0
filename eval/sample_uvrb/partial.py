"""DREAM-E, LoVR-TH and PEV-K: texts that tell a part of what a video shows and are silent on the rest."""

from __future__ import annotations

from dataclasses import replace
from math import ceil
from random import Random
from typing import Final

from eval.sample_uvrb.analogue import Analogue, Asked, Dial, Told, gather, told_analogue
from eval.sample_uvrb.coarse import family
from eval.sample_uvrb.stage import Scene, draw_scene, film, place_alike, place_each, role, unplaced
from eval.sample_uvrb.truth import camera_fact, name, setting_facts, theme_fact, thing_facts
from eval.sample_uvrb.wording import TEXTURES, article, does, keywords, sentence
from infra.errors import UsageError
from infra.sample_world.spec import CURVED, RESIZED, SHAPES, STRAIGHT, Shot, Thing, VideoSpec

_EVENTS_ASKED: Final = 2  # of the three that a video has
_THEME_POSITIVES: Final = 4
_THEME_WORDINGS: Final = (
    "a video about {shapes} on {texture}",
    "the theme is {shapes} and nothing else, against {texture}",
)
_MORE: Final = 8  # one video more for every so many, which no query of PEV-K asks for


def dream_e(dial: Dial) -> Analogue:
    """One of three events; in near distractors the same things do the same, but each what another one did."""
    random, videos = dial.random("DREAM-E"), ceil(dial.queries / _EVENTS_ASKED)
    told = gather("DREAM-E", videos, lambda: _exchanged(random, dial))
    return told_analogue("DREAM-E", told, dial.queries)


def _exchanged(random: Random, dial: Dial) -> list[Told]:
    """Up to three videos of the same things, in which every thing does something else each time."""
    motions = random.sample((*STRAIGHT, *CURVED), 3)
    scene = draw_scene(random, 3, motions)
    scenes = [scene, *(_turned(random, dial, scene, turn) for turn in range(1, min(dial.family, 3)))]
    return [
        Told(film(shot), tuple(_ask_events(random, shot))) for shot in place_each(random, list(map(unplaced, scenes)))
    ]


def _turned(random: Random, dial: Dial, scene: Scene, turn: int) -> Scene:
    """The scene with motions handed on; where the dial is low the things are of other shapes."""
    motions = [one.motion for one in scene.roles]
    roles = [
        replace(one, motion=motion) for one, motion in zip(scene.roles, (*motions[turn:], *motions[:turn]), strict=True)
    ]
    if random.random() >= dial.difficulty:
        roles = [replace(one, shape=random.choice(SHAPES)) for one in roles]
    return replace(scene, roles=tuple(roles))


def _ask_events(random: Random, shot: Shot) -> list[Asked]:
    return [_ask_event(thing) for thing in random.sample(shot.things, _EVENTS_ASKED)]


def _ask_event(thing: Thing) -> Asked:
    named, _, doing = thing_facts(thing)
    return Asked(frozenset({named, doing}), sentence(f"{article(name(thing))} {does(thing)}"))


def lovr_th(dial: Dial) -> Analogue:
    """A theme, which four videos share: all things of one shape, on one kind of texture, whatever they do.

    The themes are cells of a grid of shapes and textures, the fuller the harder: others share one half of a theme.
    """
    random, count = dial.random("LoVR-TH"), ceil(dial.queries / len(_THEME_WORDINGS))
    themes = _themes(random, dial, count)
    videos = [spec for theme in themes for spec in _on_theme(random, *theme)]
    asked = [_ask_theme(wording, *theme) for wording in _THEME_WORDINGS for theme in themes]
    return Analogue("LoVR-TH", tuple(videos), tuple(asked[: dial.queries]))


def _themes(random: Random, dial: Dial, count: int) -> list[tuple[str, str]]:
    """Pairs of a shape and a texture: along the diagonals of a grid that is the smaller, the higher the dial."""
    if count > len(SHAPES) * len(TEXTURES):
        raise UsageError(f"the sample LoVR-TH has {len(SHAPES) * len(TEXTURES)} themes; ask for fewer queries")
    side = max(round(len(SHAPES) * (1 - dial.difficulty)), ceil(count**0.5))
    shapes, textures = random.sample(SHAPES, side), random.sample(list(TEXTURES), side)
    return [(shapes[n % side], textures[(n + n // side) % side]) for n in range(count)]


def _on_theme(random: Random, shape: str, texture: str) -> list[VideoSpec]:
    """The videos of a theme."""
    found: list[VideoSpec] = []
    while len(found) < _THEME_POSITIVES:
        scene = draw_scene(random, 2, textures=(texture,))
        alike = replace(scene, roles=tuple(role(random, one.colour, one.motion, shape) for one in scene.roles))
        found += [film(shot) for shot in place_alike(random, [unplaced(alike)])]
    return found


def _ask_theme(wording: str, shape: str, texture: str) -> Asked:
    plural = f"{shape}es" if shape.endswith("s") else f"{shape}s"
    text = wording.format(shapes=plural, texture=TEXTURES[texture])
    return Asked(frozenset({theme_fact(shape), f"texture {texture}"}), sentence(text))


def pev_k(dial: Dial) -> Analogue:
    """Keywords, silent on what the second thing does; the corpus has videos that nobody asks for."""
    random = dial.random("PEV-K")
    told = gather("PEV-K", dial.queries + ceil(dial.queries / _MORE), lambda: _keyworded(random, dial))
    return told_analogue("PEV-K", told, dial.queries)


def _keyworded(random: Random, dial: Dial) -> list[Told]:
    scenes = family(random, dial, draw_scene(random, 2, (*STRAIGHT, *CURVED, *RESIZED)))
    shots = place_each(random, list(map(unplaced, scenes)))
    return [Told(film(shot), (_ask_keywords(shot),)) for shot in shots]


def _ask_keywords(shot: Shot) -> Asked:
    named, _, doing = thing_facts(shot.things[0])
    others = map(name, shot.things[1:])
    wanted = frozenset({named, doing, *others, setting_facts(shot.background)[0], camera_fact(shot.camera)})
    return Asked(wanted, keywords(shot))
