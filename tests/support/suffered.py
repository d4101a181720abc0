"""What a film can suffer, one fault at a time: what the quality filter is shown in tests and in pictures."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import cv2
import numpy as np
from numpy.typing import NDArray
from sample_clips import Frames

Picture = NDArray[np.uint8]


def shaken(frames: Frames, spread: float) -> Frames:
    """Windows of `frames` that jump about by `spread` of the window's height (standard deviation)."""
    rng = np.random.default_rng(0)
    height, width = (length * 2 // 3 // 2 * 2 for length in frames[0].shape[:2])
    corner = np.array(frames[0].shape[:2]) - (height, width)
    jumps = np.clip(corner / 2 + rng.normal(0, spread * height, (len(frames), 2)), 0, corner).astype(int)
    return [frame[y : y + height, x : x + width] for frame, (y, x) in zip(frames, jumps, strict=True)]


def jpeg(frame: Picture, quality: int) -> Picture:
    """A picture after JPEG."""
    data = cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)


def shrunk(frame: Picture) -> Picture:
    """A picture half as large in a black frame of its size."""
    height, width = frame.shape[:2]
    framed = np.zeros_like(frame)
    top, left = height // 4, width // 4
    small = cv2.resize(frame, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    framed[top : top + height // 2, left : left + width // 2] = small
    return framed


def written_over(frames: Frames) -> Frames:
    """Frames with one page of large white words over all of them."""
    words = np.zeros_like(frames[0])
    for line in range(words.shape[0] // 24):
        cv2.putText(words, "BUY NOW " * 5, (0, 24 * line + 20), cv2.FONT_HERSHEY_DUPLEX, 0.8, (255, 255, 255), 2)
    return [np.where(words == 255, words, frame) for frame in frames]


SUFFERED: Mapping[str, Callable[[Frames], Frames]] = MappingProxyType(
    {
        "too_small": lambda frames: [np.asarray(cv2.resize(frame, (160, 90)), np.uint8) for frame in frames],
        "wrong_aspect": lambda frames: [frame[:136] for frame in frames],
        "black": lambda frames: [frame // 32 for frame in frames],
        "blown_out": lambda frames: [255 - frame // 64 for frame in frames],
        "static": lambda frames: [frames[0]] * len(frames),
        "frozen": lambda frames: frames[:8] + [frames[8]] * (len(frames) - 8),
        "blurry": lambda frames: [np.asarray(cv2.GaussianBlur(frame, (0, 0), 9), np.uint8) for frame in frames],
        "blocky": lambda frames: [jpeg(frame, 2) for frame in frames],
        "letterboxed": lambda frames: [shrunk(frame) for frame in frames],
    }
)
