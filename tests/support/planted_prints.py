"""Prints of clips that nobody filmed, with copies among them: as many as one likes.

A clip is a smooth random picture over which a few others come and go. As in a crawl, many clips share a
scene (a studio, a desktop, a game) and differ only in what moves, and some are nearly plain.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import pairwise

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from infra.media.fingerprint import LUMA_SIDE, PRINT_BYTES, PRINTS_PER_S, means

KINDS = ("re-encode", "trim", "brightness", "mirror", "shift", "speed 1.04", "crop to 70% width")
_CLIPS_A_SCENE = 12  # among those that share one, on average
_MODES = 512
_BLOCK = 5000  # clips made at once
_SIDE = 16  # pixels of the pictures that clips are made of


@dataclass(frozen=True)
class Planted:
    """A table of clips and the copies among them."""

    rows: pa.Table  # the columns that the stage `perceptual` needs, sorted by key
    copies: NDArray[np.int64]  # [copies, 2]: row of the copy, row of the clip that was copied
    kinds: Sequence[str]  # of each copy


def _pictures(rng: np.random.Generator, count: int) -> NDArray[np.float32]:
    """Smooth random pictures [count, pixels] of unit deviation: amplitudes fall with frequency, as in photographs."""
    k = np.arange(_SIDE)
    lines = np.cos(np.pi * np.outer(k, k + 0.5) / _SIDE)
    size = np.hypot(*np.meshgrid(k, k))
    amplitude = np.where((size > 0) & (size <= 10), 1 / np.maximum(size, 1) ** 1.3, 0)
    pictures = lines.T @ (rng.standard_normal((count, _SIDE, _SIDE)) * amplitude) @ lines
    return (pictures / pictures.std(axis=(1, 2), keepdims=True)).astype(np.float32).reshape(count, -1)


_CELLS = np.kron(means(0, 1, _SIDE, LUMA_SIDE), means(0, 1, _SIDE, LUMA_SIDE)).T
_MIRRORED = np.kron(means(0, 1, _SIDE, LUMA_SIDE), means(0, 1, _SIDE, LUMA_SIDE)[::-1]).T
_CROPPED = np.kron(means(0, 1, _SIDE, LUMA_SIDE), means(0.15, 0.85, _SIDE, LUMA_SIDE)).T


@dataclass(frozen=True)
class _Films:
    """Clips before they are seen: a scene each, and pictures that come and go over it."""

    scene: NDArray[np.int64]  # [clips, 4] of the pictures
    weight: NDArray[np.float32]  # [clips, 4]
    modes: NDArray[np.int64]  # [clips, 3]
    phase: NDArray[np.float32]  # [clips, 3]
    rate: NDArray[np.float32]  # [clips, 3] radians a second
    colour: NDArray[np.float32]  # [clips, 8]
    mean: NDArray[np.float32]  # grey levels
    contrast: NDArray[np.float32]
    length_s: NDArray[np.float32]

    @classmethod
    def draw(cls, rng: np.random.Generator, count: int, scenes: int) -> "_Films":
        shared = rng.random(count) < 0.3
        scene = rng.integers(0, _MODES, (count, 4))
        scene[shared, 0] = (_MODES + scenes * rng.random(count) ** 2)[shared]  # some are far more common than others
        weight = rng.standard_normal((count, 4)) / 2
        weight[shared] = (1, 0, 0, 0)
        return cls(
            scene,
            weight.astype(np.float32),
            rng.integers(0, _MODES, (count, 3)),
            rng.uniform(0, 2 * np.pi, (count, 3)).astype(np.float32),
            rng.uniform(0.2, 4.0, (count, 3)).astype(np.float32),
            rng.normal(128, 12, (count, 8)).astype(np.float32),
            rng.uniform(70, 180, count).astype(np.float32),
            np.where(rng.random(count) > 0.95, 5.0, rng.uniform(20, 45, count)).astype(np.float32),
            np.clip(rng.gamma(2.2, 3.6, count) + 2, 2, 30).astype(np.float32),
        )

    def some(self, which: NDArray[np.int64]) -> "_Films":
        return _Films(*(getattr(self, field.name)[which] for field in fields(self)))

    def prints(self, rng: np.random.Generator, pictures: NDArray[np.float32], kind: str = "") -> list[bytes]:
        """What a scan would tell of each, or of its copy."""
        start_s, end_s, speed = np.zeros_like(self.length_s), self.length_s, 1.04 if kind == "speed 1.04" else 1.0
        if kind == "trim":
            start_s, end_s = 0.2 * self.length_s, 0.9 * self.length_s
        if kind == "shift":
            start_s = start_s + 0.21
        counts = ((end_s - start_s) / speed * PRINTS_PER_S).astype(int)
        edges = np.cumsum([0, *counts])
        film = np.repeat(np.arange(len(counts)), counts)
        times = start_s[film] + speed * (np.arange(edges[-1]) - edges[film]) / PRINTS_PER_S
        matrix = {"mirror": _MIRRORED, "crop to 70% width": _CROPPED}.get(kind, _CELLS)
        cells = pictures[:_MODES] @ matrix
        scene = np.einsum("fk,fkp->fp", self.weight, pictures[self.scene]) @ matrix
        luma = scene[film]
        for k in range(self.modes.shape[1]):
            rate = self.rate[:, k]
            # The mean of a wave over half a second is a weaker wave.
            weaker = 0.5 * np.sinc(rate * speed / PRINTS_PER_S / (2 * np.pi))
            wave = weaker[film] * np.sin(times * rate[film] + self.phase[film, k])
            luma += wave.astype(np.float32)[:, None] * cells[self.modes[:, k]][film]
        gain, offset = (0.85, 12.0) if kind == "brightness" else (1.0, 0.0)
        luma = gain * (self.mean[film, None] + self.contrast[film, None] * luma) + offset
        values = np.hstack([luma, _seen_colour(self.colour, kind)[film]])
        values += 0.5 * rng.standard_normal(values.shape, np.float32)
        data = np.clip(np.rint(values), 0, 255).astype(np.uint8).tobytes()
        return [data[a * PRINT_BYTES : b * PRINT_BYTES] for a, b in pairwise(edges)]


def _seen_colour(colour: NDArray[np.float32], kind: str) -> NDArray[np.float32]:
    if kind == "mirror":
        return colour.reshape(-1, 2, 2, 2)[..., ::-1].reshape(-1, 8)
    if kind == "crop to 70% width":
        return colour.reshape(-1, 2, 4).mean(axis=2).repeat(4, axis=1)
    return colour


def plant(clips: int, seed: int, share: float = 0.05) -> Planted:
    """`clips` clips of 2 to 30 s, `share` of them copies of others, in the order of their random keys."""
    rng = np.random.default_rng(seed)
    many = round(clips * share)
    scenes = max(1, round(0.3 * clips / _CLIPS_A_SCENE))
    pictures = _pictures(rng, _MODES + scenes)
    prints: list[bytes] = []
    copies: list[tuple[int, int]] = []
    kinds: list[str] = []
    for begin in range(0, clips - many, _BLOCK):
        films = _Films.draw(rng, min(_BLOCK, clips - many - begin), scenes)
        first = len(prints)
        prints += films.prints(rng, pictures)
        quota = round(many * (begin + len(films.mean)) / (clips - many)) - len(copies)
        for k, kind in enumerate(KINDS):
            copied = np.arange(k, quota, len(KINDS))
            copies += [(len(prints) + i, first + film) for i, film in enumerate(copied.tolist())]
            kinds += [kind] * len(copied)
            prints += films.some(copied).prints(rng, pictures, kind)
    return _table(rng, prints, copies, kinds)


def _table(rng: np.random.Generator, prints: list[bytes], copies: list[tuple[int, int]], kinds: list[str]) -> Planted:
    """The clips in a random order, with metadata that makes the copied clip the better one."""
    count = len(prints)
    order = rng.permutation(count)
    place = np.empty(count, np.int64)
    place[order] = np.arange(count)
    lengths = np.array([len(value) for value in prints]) / PRINT_BYTES / PRINTS_PER_S
    is_copy = np.zeros(count, bool)
    is_copy[[copy for copy, _ in copies]] = True
    rows = pa.table(
        {
            "key": pa.array([f"{i:016x}" for i in range(count)]),
            "source": pa.array([f"v{i}.mp4" for i in range(count)]),
            "width": pa.array(np.where(is_copy[order], 640, 1280).astype(np.int32)),
            "height": pa.array(np.where(is_copy[order], 360, 720).astype(np.int32)),
            "size_bytes": pa.array(np.full(count, 1_000_000)),
            "duration_s": pa.array(lengths[order]),
            "start_s": pa.array(np.zeros(count)),
            "end_s": pa.array(lengths[order]),
            "prints": pa.chunked_array(
                [
                    pa.array([prints[i] for i in order[at : at + 100_000]], pa.binary())
                    for at in range(0, count, 100_000)
                ]
            ),
        }
    )
    return Planted(rows, place[np.array(copies, np.int64).reshape(-1, 2)], kinds)
