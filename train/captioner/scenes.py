"""What the captioner is shown: shots of the sample world, rendered and cut into patches in memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from random import Random

import numpy as np
import torch
from numpy.typing import NDArray

from infra.processes import process_pool
from infra.sample_world.draw import FRAME_SIZES, draw_world
from infra.sample_world.render import render_shot
from infra.sample_world.spec import SHAPES, THING_COLOURS, Background, Leg, Shot, Thing, VideoSpec
from train.captioner.chat import MEDIA
from train.captioner.lessons import Kind
from train.captioner.settings import WorldSettings
from train.pixels import Patches, patchify, resize
from train.settings import InputSettings

CANARY = "canary"  # event of its shot
_LARGEST = 2.2  # times the radius of a large thing: nearly the height of the frame


@dataclass(frozen=True)
class View:
    """One shot, the moment of the frame shown of it, and the stretch of its frames that is a reference clip."""

    spec: VideoSpec
    shot: Shot
    frame: int
    subclip: tuple[int, int] | None

    @property
    def frame_u(self) -> float:
        """The moment of the frame as progress of the shot."""
        return self.frame / max(1, self.shot.frames - 1)


@dataclass(frozen=True)
class Scene:
    """A view and its pixels; `subclip` only where the view has one."""

    view: View
    clip: Patches
    frame: Patches
    subclip: Patches | None

    def media(self, kind: Kind) -> tuple[Patches, ...]:
        """The media of a request, in the order of the chat. Raises ValueError for one that needs a missing sub-clip."""
        if kind == "video_query":
            if self.subclip is None:
                raise ValueError("this scene has no sub-clip")
            return self.subclip, self.clip
        return tuple(self.frame if medium == "image" else self.clip for medium in MEDIA[kind])


def draw_views(world: WorldSettings) -> list[View]:
    """Every shot of the world's videos, then the canaries."""
    specs = (draw_world(world.seed, index) for index in range(world.videos))
    canaries = (draw_canary(world.seed, index) for index in range(world.canaries))
    return [
        _view(world, spec, number) for group in (specs, canaries) for spec in group for number in range(len(spec.shots))
    ]


def draw_canary(seed: int, index: int) -> VideoSpec:
    """A video of one large thing that rests before a plain white background: what no captioner may get wrong."""
    random = Random(f"canary/{seed}/{index}")
    width, height = random.choice(FRAME_SIZES)
    colour = random.choice([name for name in THING_COLOURS if name != "white"])
    grown = Leg("grow", -1.0, 0.0, random.uniform(1.0, _LARGEST))  # before the shot begins
    thing = Thing(random.choice(SHAPES), colour, "large", 0.5, 0.5, (grown,))
    shot = Shot(36, Background("plain", ("white",), 0.2, 0), "still", 0.0, (thing,), CANARY)
    return VideoSpec(seed, index, width, height, 12, (shot,), "", "missing")


def _view(world: WorldSettings, spec: VideoSpec, number: int) -> View:
    shot, random = spec.shots[number], Random(f"view/{spec.name}/{spec.shots[number].event}/{number}")
    frame = random.randrange(shot.frames)
    if random.random() >= world.subclip_share:
        return View(spec, shot, frame, None)
    length = round(shot.frames * random.uniform(0.4, 0.6))
    first = random.randrange(shot.frames - length + 1)
    return View(spec, shot, frame, (first, first + length))


def render_scenes(views: Sequence[View], inputs: InputSettings, workers: int = 1) -> Iterator[Scene]:
    """The scenes of `views`, in their order; `workers` processes render at once."""
    pixels = partial(_pixels, inputs)
    if workers <= 1:
        yield from map(_scene, views, map(pixels, views))
        return
    with process_pool(workers, partial(torch.set_num_threads, 1)) as pool:
        yield from map(_scene, views, pool.map(pixels, views, chunksize=32))


def _scene(view: View, pixels: tuple[NDArray[np.uint8], ...]) -> Scene:
    clip, frame, *subclip = (patchify(torch.from_numpy(part)) for part in pixels)
    return Scene(view, clip, frame, subclip[0] if subclip else None)


def _pixels(inputs: InputSettings, view: View) -> tuple[NDArray[np.uint8], ...]:
    """Resized frames uint8 [n, 3, h, w] of the clip, of the frame and of the sub-clip if there is one.

    Arrays, since tensors would travel between processes as open files.
    """
    frames = np.stack(list(render_shot(view.spec, view.shot)))
    clip = resize(frames[_even(0, len(frames), inputs.frames)], inputs.frame_min_pixels, inputs.frame_max_pixels)
    frame = resize(frames[view.frame, None], inputs.image_min_pixels, inputs.image_max_pixels)
    parts = [clip, frame]
    if view.subclip:
        part = frames[_even(*view.subclip, inputs.frames)]
        parts.append(resize(part, inputs.frame_min_pixels, inputs.frame_max_pixels))
    return tuple(part.numpy() for part in parts)


def _even(first: int, end: int, count: int) -> NDArray[np.int64]:
    """Numbers of `count` frames spread evenly over [first, end)."""
    return np.rint(np.linspace(first, end - 1, count)).astype(np.int64)
