"""From ground truth to pixels, with NumPy and OpenCV."""

from __future__ import annotations

import math
from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from infra.sample_world.path import camera_at, is_visible, on_screen
from infra.sample_world.spec import BACKGROUND_COLOURS, SIZES, THING_COLOURS, Background, Shot, Thing, VideoSpec

Frame = NDArray[np.uint8]
_SHIFT = 4  # fixed-point bits of OpenCV's sub-pixel coordinates


def render(spec: VideoSpec) -> Iterator[Frame]:
    """The frames of a video in order, RGB uint8 [height, width, 3]."""
    for shot in spec.shots:
        yield from render_shot(spec, shot)


def render_shot(spec: VideoSpec, shot: Shot) -> Iterator[Frame]:
    """The frames of one shot of `spec`, RGB uint8 [height, width, 3]."""
    canvas = _canvas(shot.background, spec.width, spec.height)
    for number in range(shot.frames):
        u = number / max(1, shot.frames - 1)
        frame = _view(canvas, shot, u, spec.width, spec.height)
        for thing in shot.things:
            if is_visible(thing, u):
                _draw(frame, shot, thing, u)
        yield frame


def _canvas(background: Background, width: int, height: int) -> Frame:
    """The background around the frame, twice as wide and high, RGB uint8 [2 height, 2 width, 3]."""
    weights = _pattern(background, width, height)[..., None]
    first = np.array(BACKGROUND_COLOURS[background.colours[0]], np.float32)
    second = np.array(BACKGROUND_COLOURS[background.colours[-1]], np.float32)
    return np.rint(first + (second - first) * weights).astype(np.uint8)


def _pattern(background: Background, width: int, height: int) -> NDArray[np.float32]:
    """Share of the second tone in every pixel of the canvas, float32 [2 height, 2 width] in [0, 1]."""
    y, x = np.mgrid[0 : 2 * height, 0 : 2 * width].astype(np.float32)
    cell = max(4.0, background.cell * min(width, height))
    texture = background.texture
    if texture == "vertical_gradient":
        return np.asarray(np.clip((y - height / 2) / height, 0, 1), np.float32)
    if texture == "horizontal_gradient":
        return np.asarray(np.clip((x - width / 2) / width, 0, 1), np.float32)
    if texture == "checker":
        return np.asarray((x // cell + y // cell) % 2, np.float32)
    if texture == "spots":
        return _spots(background.seed, width, height, cell)
    bands = {"horizontal_stripes": y, "vertical_stripes": x, "diagonal_stripes": (x + y) / math.sqrt(2)}
    if texture in bands:
        return np.asarray(bands[texture] // cell % 2, np.float32)
    return np.zeros_like(x)


def _spots(seed: int, width: int, height: int, cell: float) -> NDArray[np.float32]:
    """Round-edged blotches about `cell` wide: thresholded smooth noise."""
    rng = np.random.default_rng(seed)
    coarse = rng.random((math.ceil(2 * height / cell), math.ceil(2 * width / cell)), dtype=np.float32)
    smooth = cv2.resize(coarse, (2 * width, 2 * height), interpolation=cv2.INTER_CUBIC)
    return np.asarray(smooth > np.median(smooth), np.float32)


def _view(canvas: Frame, shot: Shot, u: float, width: int, height: int) -> Frame:
    """What the camera sees of the canvas at progress `u`."""
    if shot.camera == "still":
        return canvas[height // 2 : height // 2 + height, width // 2 : width // 2 + width].copy()
    zoom, shift_x, shift_y = camera_at(shot, u)
    left = width * (0.5 + shift_x - zoom)  # the canvas' centre is the frame's
    top = height * (0.5 + shift_y - zoom)
    matrix = np.array([[zoom, 0, left], [0, zoom, top]], np.float32)
    return np.asarray(cv2.warpAffine(canvas, matrix, (width, height), flags=cv2.INTER_LINEAR), np.uint8)


def _draw(frame: Frame, shot: Shot, thing: Thing, u: float) -> None:
    height, width = frame.shape[:2]
    x, y, factor = on_screen(shot, thing, u, width / height)
    side = min(width, height)
    outline = _outline(thing.shape) * SIZES[thing.size] * factor * side + (x * width, y * height)
    colour = THING_COLOURS[thing.colour]
    # The outer and, for a ring, inner way round: even-odd filling leaves the hole open.
    loops = [outline[: len(outline) // 2], outline[len(outline) // 2 :]] if thing.shape == "ring" else [outline]
    points = [np.rint((loop - 0.5) * (1 << _SHIFT)).astype(np.int32) for loop in loops]
    cv2.fillPoly(frame, points, colour, lineType=cv2.LINE_AA, shift=_SHIFT)


def _outline(shape: str) -> NDArray[np.float64]:
    """Corners of a shape around (0, 0) that fits a circle of radius 1; float64 [n, 2], y down."""
    if shape == "circle":
        return _regular(40, 0.0)
    if shape == "ring":
        return np.concatenate([_regular(40, 0.0), 0.55 * _regular(40, 0.0)])
    if shape == "square":
        return _regular(4, 45.0)
    if shape == "diamond":
        return _regular(4, 0.0) * (0.72, 1.0)
    if shape == "triangle":
        return _regular(3, -90.0)
    if shape == "star":
        radii = np.where(np.arange(10) % 2 == 0, 1.0, 0.42)[:, None]
        return np.asarray(_regular(10, -90.0) * radii)
    if shape == "cross":
        a = 0.32
        x = np.array([-a, a, a, 1, 1, a, a, -a, -a, -1, -1, -a])
        return 0.95 * np.stack([x, np.roll(x, 3)], axis=1)
    return np.array([(-1, -0.3), (1, -0.3), (1, 0.3), (-1, 0.3)], np.float64)  # bar


def _regular(corners: int, start_deg: float) -> NDArray[np.float64]:
    angles = np.deg2rad(start_deg) + 2 * np.pi * np.arange(corners) / corners
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)
