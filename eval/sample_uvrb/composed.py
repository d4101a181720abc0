"""MS-TI and MS-TV: a picture or clip says which scene, the text what happens in it; each candidate misses a half.

Of a query's ten candidates one is right, up to five show its scene with something else happening, up to four the same
happening in another scene, and the rest neither.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random
from typing import Final

from eval.sample_uvrb.analogue import Analogue, Asked, Dial
from eval.sample_uvrb.stage import Scene, changed, draw_scene, film, legs, place_alike, unplaced
from eval.sample_uvrb.truth import name, setting_facts
from eval.sample_uvrb.wording import act, sentence
from infra.sample_world.spec import STRAIGHT, Shot, VideoSpec

CANDIDATES: Final = 10
_SCENES, _ENDINGS = 5, 6  # of a block, every scene with every ending
_SAME_SCENE, _SAME_ENDING = 5, 4  # candidates that have one half, at the most
_CLIP_FRAMES: Final = 12
_FRAMES: Final = 28
_LATER = ("what comes after this: the thing {act}", "this clip, going on until the thing {act}")
_IN_PICTURE = ("find the video where the thing in this picture {act}", "show me how the thing in this image {act}")


@dataclass(frozen=True)
class _Block:
    """Videos by scene and ending; those of one scene begin alike."""

    films: tuple[tuple[VideoSpec, ...], ...]
    endings: tuple[str, ...]

    def cells(self) -> list[tuple[int, int]]:
        return [(scene, ending) for scene in range(len(self.films)) for ending in range(len(self.endings))]

    def at(self, cell: tuple[int, int]) -> VideoSpec:
        return self.films[cell[0]][cell[1]]


def ms_ti(dial: Dial) -> Analogue:
    """A frame of the scene at rest, and what its thing does."""
    return _composed("MS-TI", dial)


def ms_tv(dial: Dial) -> Analogue:
    """A clip of the thing's first movement, and the one that follows; other scenes may differ in the movement alone."""
    return _composed("MS-TV", dial)


def _composed(dataset: str, dial: Dial) -> Analogue:
    random, videos, asked = dial.random(dataset), list[VideoSpec](), list[Asked]()
    while len(asked) < dial.queries:
        block = _block(random, dial, moving=dataset == "MS-TV")
        cells = random.sample(block.cells(), len(block.cells()))
        asked += [_ask(random, dial, block, cell, dataset == "MS-TV") for cell in cells]
        videos += [block.at(cell) for cell in block.cells()]
    return Analogue(dataset, tuple(videos), tuple(asked[: dial.queries]))


def _block(random: Random, dial: Dial, moving: bool) -> _Block:
    """Every scene with every ending; `moving` scenes begin with a movement of their own."""
    while True:
        motions = random.sample(list(STRAIGHT), _ENDINGS)
        scenes = _scenes(random, dial, moving)
        rows = [place_alike(random, [_shot(scene, ending) for ending in motions]) for scene in scenes]
        if all(rows):
            return _Block(tuple(tuple(film(shot) for shot in row) for row in rows), tuple(motions))


def _scenes(random: Random, dial: Dial, moving: bool) -> list[Scene]:
    """Scenes that can be told from each other, by less the higher the dial."""
    base = _medium(draw_scene(random, 1, tuple(STRAIGHT) if moving else ()))
    details = ("background", "0 colour", "0 shape", *(["0 motion"] if moving else []))
    found = {_looks(base): base}
    while len(found) < _SCENES:
        scene = changed(random, base, random.sample(details, dial.changes(len(details))))
        found.setdefault(_looks(scene), scene)
    return list(found.values())


def _looks(scene: Scene) -> tuple[object, ...]:
    """What scenes are told from each other by."""
    return scene.roles, scene.background.texture, scene.background.colours


def _medium(scene: Scene) -> Scene:
    return replace(scene, roles=tuple(replace(one, size="medium") for one in scene.roles))


def _shot(scene: Scene, ending: str) -> Shot:
    """The thing's first movement, if it has one, in the first part of the shot; its last in the rest."""
    shot, turn = unplaced(scene, _FRAMES), _CLIP_FRAMES / (_FRAMES - 1)
    acts = (*legs(scene.roles[0].motion, 0.0, turn - 0.04), *legs(ending, turn, 1.0))
    return replace(shot, things=(replace(shot.things[0], legs=acts),))


def _ask(random: Random, dial: Dial, block: _Block, cell: tuple[int, int], moving: bool) -> Asked:
    spec, ending = block.at(cell), block.endings[cell[1]]
    thing, background = spec.shots[0].things[0], spec.shots[0].background
    doing = " then ".join(leg.motion for leg in thing.legs)
    wanted = frozenset({name(thing), f"{name(thing)}: {doing}", setting_facts(background)[0]})
    candidates = tuple(block.at(other) for other in _candidates(random, dial, block, cell))
    text = sentence(random.choice(_LATER if moving else _IN_PICTURE).format(act=act(ending)))
    if moving:
        return Asked(wanted, text, clip=(spec, 0, _CLIP_FRAMES), candidates=candidates)
    return Asked(wanted, text, image=(spec, 0), candidates=candidates)


def _candidates(random: Random, dial: Dial, block: _Block, cell: tuple[int, int]) -> list[tuple[int, int]]:
    """Cells of a block in random order, `cell` among them."""
    scene, ending = cell
    cells = random.sample(block.cells(), len(block.cells()))
    same_scene = [other for other in cells if other[0] == scene and other != cell]
    same_ending = [other for other in cells if other[1] == ending and other != cell]
    neither = [other for other in cells if other[0] != scene and other[1] != ending]
    halves = same_scene[: 1 + round((_SAME_SCENE - 1) * dial.difficulty)]
    halves += same_ending[: 1 + round((_SAME_ENDING - 1) * dial.difficulty)]
    chosen = [cell, *halves, *neither][:CANDIDATES]
    return random.sample(chosen, len(chosen))
