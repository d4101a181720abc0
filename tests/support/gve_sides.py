"""Sides of every kind for tests of the embedder: noise that no two of them share."""

import numpy as np

from infra.media.encode import encode_image, encode_video
from shards.records import Side
from train.settings import InputSettings

TEXTS = ["a red square moves left over a grey ground", "the blue disc goes up", "naïve 🎈 café"]
INPUTS = InputSettings(frames=4, frame_max_pixels=8 * 28 * 28, image_max_pixels=8 * 28 * 28, max_tokens=128)


def frames(height: int, width: int, seed: int) -> list[np.ndarray]:
    """Six frames of noise."""
    rng = np.random.default_rng(seed)
    return [rng.integers(0, 256, (height, width, 3), dtype=np.uint8) for _ in range(6)]


def clip(height: int, width: int, seed: int) -> bytes:
    """An encoded clip of noise."""
    return encode_video(frames(height, width, seed), fps=6)


def picture(height: int, width: int, seed: int) -> bytes:
    """An encoded image of noise."""
    return encode_image(frames(height, width, seed)[0])


# Every combination of text, image and video, of different lengths.
SIDES = [
    Side(text="a red square"),
    Side(video=clip(96, 160, 1)),
    Side(text="the blue disc goes up and then it goes down again, slowly " * 3),
    Side(image=picture(70, 70, 2)),
    Side(text="then left", video=clip(120, 60, 3), image=picture(60, 90, 4)),
    Side(text="what comes before this", image=picture(90, 60, 5)),
    Side(text="the same from above", video=clip(60, 60, 6)),
    Side(video=clip(60, 120, 7), image=picture(100, 60, 8)),
]
