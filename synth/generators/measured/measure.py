"""From pixels to an Observation: what can be seen and checked in a picture or a clip, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from infra.media.decode import decode_image, sample_frames
from synth.generators.measured import camera as global_motion
from synth.generators.measured import colour, faces, regions, tracks
from synth.generators.measured.ground import ground
from synth.generators.measured.observation import Look, Observation, Patch

WORK_SIDE: Final = 160  # pixels of the short side at which everything but faces is measured
SAMPLES_A_SECOND: Final = 6.0
MIN_SAMPLES: Final = 24
MAX_SAMPLES: Final = 32
_SPOT_SHARE = 0.55  # of a colour's pixels in one of nine cells, to say that it lies there
_MOST_GAIN = 4.0  # of contrast, before noise would be taken for a pattern

Frames = NDArray[np.uint8]


def measure_clip(data: bytes, duration_s: float) -> Observation:
    """What is seen in a video file that lasts `duration_s` seconds; raises RowError as `sample_frames` does."""
    count = int(np.clip(round(duration_s * SAMPLES_A_SECOND), MIN_SAMPLES, MAX_SAMPLES))
    frames, times = sample_frames(data, count)
    return observe(frames, times, duration_s)


def measure_image(data: bytes) -> Look:
    """What is seen in an encoded picture; raises RowError `not_an_image`."""
    frame = decode_image(data)[None]
    return _look(_see(frame), 0, faces.count(frame))


def observe(frames: Frames, times: NDArray[np.float64], duration_s: float) -> Observation:
    """What is seen in sampled frames, RGB uint8 [n, h, w, 3], at `times` [n] in seconds; n is 2 or more."""
    seen = _see(frames)
    path = global_motion.steps(seen.gray, _clearest_channel(seen), seen.things)
    height, width = seen.gray.shape[1:]
    to_first = global_motion.to_first(path) if global_motion.is_trusted(path) else None
    return Observation(
        duration_s=duration_s,
        look=_look(seen, len(frames) // 2, faces.count(frames)),
        camera=global_motion.camera(path, width, height),
        tracks=tracks.link(seen.patches, times, width / height, to_first, (width, height)),
        activity=global_motion.activity(path, seen.gray),
    )


@dataclass(frozen=True)
class _Seen:
    """Frames at working size with what was derived from every pixel, all [n, h, w, ...]."""

    frames: Frames
    gray: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    things: NDArray[np.bool_]
    patches: list[tuple[Patch, ...]]


def _see(frames: Frames) -> _Seen:
    small = _small(frames)
    cells = colour.cells(small)
    labels = colour.label(cells)
    masks = regions.foreground(cells)
    found = [regions.patches(*one) for one in zip(small, labels, masks, strict=True)]
    gray = np.stack([cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in small])
    return _Seen(small, gray, labels, masks if any(found) else np.zeros_like(masks), found)


def _clearest_channel(seen: _Seen) -> NDArray[np.uint8]:
    """The one of red, green and blue in which the background has most contrast, stretched; uint8 [n, h, w].

    Two colours can be equal in luma, and a dark pattern hardly changes it.
    """
    middle = len(seen.frames) // 2
    behind = seen.frames[middle][~seen.things[middle]].astype(np.float32)
    low, high = np.percentile(behind, (1, 99), axis=0) if len(behind) else (np.zeros(3), np.full(3, 255.0))
    channel = int((high - low).argmax())
    gain = np.clip(200 / max(1.0, high[channel] - low[channel]), 1, _MOST_GAIN)
    levels = (np.arange(256) - low[channel]) * gain + 27
    table = np.clip(levels, 0, 255).astype(np.uint8) if gain > 1 else np.arange(256, dtype=np.uint8)
    return table[seen.frames[..., channel]]


def _small(frames: Frames) -> Frames:
    height, width = frames.shape[1:3]
    factor = WORK_SIDE / min(height, width)
    if factor >= 1:
        return frames
    size = (round(width * factor), round(height * factor))
    return np.stack([cv2.resize(frame, size, interpolation=cv2.INTER_AREA) for frame in frames])


def _look(seen: _Seen, which: int, face_count: int) -> Look:
    """The appearance of all frames together, with the background and patches of frame `which`."""
    frame, gray = seen.frames[which], seen.gray[which]
    shares = np.bincount(seen.labels.ravel(), minlength=len(colour.NAMES)) / seen.labels.size
    order = [int(i) for i in np.argsort(-shares, kind="stable") if shares[i] >= 0.02]
    return Look(
        aspect=frame.shape[1] / frame.shape[0],
        palette=tuple((colour.NAMES[i], float(shares[i])) for i in order),
        grid=tuple(_dominant(cell) for cell in _cells(seen.labels)),
        brightness=float(seen.gray.mean() / 255),
        lights=tuple(float(cell.mean() / 255) for cell in _cells(seen.gray)),
        spots=_spots(seen.labels, order),
        contrast=float(seen.gray.std() / 255),
        colourfulness=_colourfulness(seen.frames[:: max(1, len(seen.frames) // 4)]),
        detail=float((cv2.Canny(gray, 60, 150) > 0).mean()),
        ground=ground(frame, seen.labels[which], seen.things[which]),
        patches=seen.patches[which],
        faces=face_count,
    )


def _cells(planes: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    """The 3x3 cells of [n, h, w], row by row."""
    return [cell for band in np.array_split(planes, 3, axis=1) for cell in np.array_split(band, 3, axis=2)]


def _spots(labels: NDArray[np.uint8], order: list[int]) -> tuple[tuple[str, int], ...]:
    """Colours with most of their pixels in one cell, of the colours numbered in `order`, with that cell."""
    found = []
    for i in order:
        inside = np.array([(cell == i).sum() for cell in _cells(labels)])
        if inside.max() > _SPOT_SHARE * inside.sum():
            found.append((colour.NAMES[i], int(inside.argmax())))
    return tuple(found)


def _dominant(labels: NDArray[np.uint8]) -> str:
    counts = np.bincount(labels.ravel(), minlength=len(colour.NAMES))
    return colour.NAMES[int(counts.argmax())] if counts.max() > 0.6 * labels.size else ""


def _colourfulness(frames: Frames) -> float:
    """Hasler and Suesstrunk's measure (2003) over all pixels of `frames`."""
    red, green, blue = (frames[..., i].astype(np.float32) for i in range(3))
    rg, yb = red - green, (red + green) / 2 - blue
    return float(np.hypot(rg.std(), yb.std()) + 0.3 * np.hypot(rg.mean(), yb.mean()))
