"""What copies of a film went through: the transformations that duplicates are planted with, at known strength."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import cv2
import numpy as np
from numpy.typing import NDArray
from sample_clips import Frames, shot, write_video

Picture = NDArray[np.uint8]


@dataclass(frozen=True)
class Copy:
    """How a copy is made of RGB frames at `fps`, and how it is encoded."""

    frames: Callable[[Frames, int], Frames] = lambda frames, fps: frames
    crf: int = 28
    codec: str = "libx264"


def each(change: Callable[[Picture], Picture]) -> Callable[[Frames, int], Frames]:
    """The same change of every picture."""
    return lambda frames, fps: [np.ascontiguousarray(change(picture)) for picture in frames]


def scaled(picture: Picture, width: float, height: float) -> Picture:
    """A picture with its sides multiplied, to even numbers of pixels."""
    h, w = picture.shape[:2]
    size = (2 * round(w * width / 2), 2 * round(h * height / 2))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)


def cropped(picture: Picture, left: float, right: float, top: float, bottom: float) -> Picture:
    """A picture without these shares of its sides, to even numbers of pixels."""
    h, w = picture.shape[:2]
    rows, columns = slice(int(h * top), int(h * (1 - bottom))), slice(int(w * left), int(w * (1 - right)))
    part = picture[rows, columns]
    return part[: part.shape[0] // 2 * 2, : part.shape[1] // 2 * 2]


def boxed(picture: Picture, across: float, down: float) -> Picture:
    """A picture between black bars that add these shares to its sides."""
    h, w = picture.shape[:2]
    y, x = 2 * round(h * down / 4), 2 * round(w * across / 4)
    return np.asarray(cv2.copyMakeBorder(picture, y, y, x, x, cv2.BORDER_CONSTANT, value=(0, 0, 0)), np.uint8)


def lit(picture: Picture, gain: float, offset: float) -> Picture:
    """A picture with another contrast and brightness."""
    return np.asarray(cv2.convertScaleAbs(picture, alpha=gain, beta=offset), np.uint8)


def faster(rate: float) -> Callable[[Frames, int], Frames]:
    """Frames of a film that runs `rate` times as fast."""
    return lambda frames, fps: [frames[int(i * rate)] for i in range(int(len(frames) / rate))]


def embedded(frames: Frames, fps: int) -> Frames:
    """The frames inside a longer video, without a cut that a detector would have to find."""
    height, width = frames[0].shape[:2]
    seed = int(sum(int(frame.sum()) for frame in frames[::10]))  # another one around every video
    return shot(seed, 3 * fps, height, width) + frames + shot(seed + 1, 2 * fps, height, width)


COPIES: Mapping[str, Copy] = MappingProxyType(
    {
        "re-encode": Copy(crf=38),
        "re-encode vp9": Copy(crf=45, codec="libvpx-vp9"),
        "rescale": Copy(each(lambda p: scaled(p, 0.7, 0.7))),
        "stretch": Copy(each(lambda p: scaled(p, 0.75, 1.0))),
        "trim start": Copy(lambda frames, fps: frames[round(1.3 * fps) :]),
        "trim end": Copy(lambda frames, fps: frames[: -round(1.7 * fps)]),
        "trim both": Copy(lambda frames, fps: frames[round(0.9 * fps) : -round(0.7 * fps)]),
        "letterbox": Copy(each(lambda p: boxed(p, 0.0, 0.33))),
        "pillarbox": Copy(each(lambda p: boxed(p, 0.33, 0.0))),
        "brighter": Copy(each(lambda p: lit(p, 1.0, 25))),
        "darker": Copy(each(lambda p: lit(p, 0.8, -5))),
        "contrast": Copy(each(lambda p: lit(p, 1.2, -20))),
        "mirror": Copy(each(lambda p: p[:, ::-1])),
        "crop 5% a side": Copy(each(lambda p: cropped(p, 0.05, 0.05, 0.05, 0.05))),
        "crop to 70% width": Copy(each(lambda p: cropped(p, 0.15, 0.15, 0.0, 0.0))),
        "crop to 80% height": Copy(each(lambda p: cropped(p, 0.0, 0.0, 0.1, 0.1))),
        "crop to 80% both": Copy(each(lambda p: cropped(p, 0.1, 0.1, 0.1, 0.1))),
        "crop one corner 10%": Copy(each(lambda p: cropped(p, 0.1, 0.0, 0.1, 0.0))),
        "speed 1.04": Copy(faster(1.04)),
        "speed 0.96": Copy(faster(0.96)),
        "speed 1.08": Copy(faster(1.08)),
        "embedded": Copy(embedded),
    }
)


def write_copy(path: Path, name: str, frames: Frames, fps: int) -> Path:
    """Encode `frames` after the transformation `name`."""
    copy = COPIES[name]
    options = {"crf": str(copy.crf), "b": "0"} | (
        {"deadline": "realtime", "cpu-used": "8"} if "vp" in copy.codec else {}
    )
    return write_video(path, copy.frames(frames, fps), codec=copy.codec, fps=fps, options=options)
