"""What a model is shown: frames of a clip sampled here, so that it sees what we say it saw, and when."""

from __future__ import annotations

import base64
import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from infra.media.decode import decode_image, sample_frames
from infra.media.encode import encode_image


@dataclass(frozen=True)
class Shown:
    """JPEG pictures in base64, in the order of time, and the seconds of the clip they were taken at."""

    pictures: tuple[str, ...]
    times_s: tuple[float, ...]


def frames_of(video: bytes, count: int, max_pixels: int) -> Shown:
    """`count` frames spread evenly over a clip; raises RowError for what cannot be decoded."""
    frames, times = sample_frames(video, count)
    return Shown(tuple(_encoded(frame, max_pixels) for frame in frames), tuple(float(time) for time in times))


def picture_of(image: bytes, max_pixels: int) -> Shown:
    """One still picture; raises RowError for what cannot be decoded."""
    return Shown((_encoded(decode_image(image), max_pixels),), (0.0,))


def _encoded(picture: NDArray[np.uint8], max_pixels: int) -> str:
    height, width = picture.shape[:2]
    if height * width > max_pixels:
        scale = math.sqrt(max_pixels / (height * width))
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        picture = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
    return base64.b64encode(encode_image(picture)).decode()
