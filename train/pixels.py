"""Pixels of GVE's vision tower: from decoded frames to normalised patches, as Qwen2-VL's processors make them.

The numbers are those of transformers' Qwen2-VL image and video processors, bit for bit: uint8 bicubic
resize with antialiasing, fused rescale and normalisation, an odd frame repeated to fill its pair. Patches
stay uint8 until a batch is made, so that a prepared clip costs a quarter of the memory.
"""

from __future__ import annotations

import hashlib
import math
import threading
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from infra.errors import RowError

PATCH = 14  # pixels on a patch's side
MERGE = 2  # patches on the side of the block that becomes one token of the language model
TEMPORAL = 2  # frames in one patch
BLOCK = PATCH * MERGE  # heights and widths are multiples of this many pixels
PATCH_VALUES = 3 * TEMPORAL * PATCH * PATCH

MAX_ASPECT = 200

# Mean and standard deviation of the pixels that CLIP was trained on, per RGB channel, in [0, 1].
CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


@dataclass(frozen=True)
class Patches:
    """Patches of one image or clip.

    `data` is uint8 [t * h * w, 3 * 2 * 14 * 14]; `grid` is (t, h, w) in patches. Rows run by pair of
    frames, then by 2 x 2 block, then inside the block; columns by channel, frame, row, column.
    """

    data: Tensor
    grid: tuple[int, int, int]

    @property
    def tokens(self) -> int:
        """Positions that this image or clip takes in the language model."""
        t, h, w = self.grid
        return t * h * w // MERGE**2


def smart_resize(height: int, width: int, min_pixels: int, max_pixels: int) -> tuple[int, int]:
    """Height and width nearest to the given ones that are multiples of 28 with an area inside the bounds.

    The rule is Qwen2-VL's. Raises RowError when one side is more than 200 times the other.
    """
    if max(height, width) > MAX_ASPECT * min(height, width):
        raise RowError("extreme_aspect_ratio", f"{width} x {height} pixels: more than {MAX_ASPECT} to 1")
    h, w = round(height / BLOCK) * BLOCK, round(width / BLOCK) * BLOCK
    if h * w > max_pixels:
        shrink = math.sqrt(height * width / max_pixels)
        h = max(BLOCK, math.floor(height / shrink / BLOCK) * BLOCK)
        w = max(BLOCK, math.floor(width / shrink / BLOCK) * BLOCK)
    elif h * w < min_pixels:
        grow = math.sqrt(min_pixels / (height * width))
        h = math.ceil(height * grow / BLOCK) * BLOCK
        w = math.ceil(width * grow / BLOCK) * BLOCK
    return h, w


def resize(frames: NDArray[np.uint8], min_pixels: int, max_pixels: int) -> Tensor:
    """Frames [n, height, width, 3] as uint8 [n, 3, h, w], resized by `smart_resize`."""
    size = smart_resize(frames.shape[1], frames.shape[2], min_pixels, max_pixels)
    pixels = torch.from_numpy(np.require(frames, requirements=["C", "W"])).permute(0, 3, 1, 2)
    if pixels.shape[2:] == size:
        return pixels
    return torch.nn.functional.interpolate(pixels, size=size, mode="bicubic", antialias=True)


def patchify(pixels: Tensor) -> Patches:
    """Patches of uint8 frames [n, 3, h, w]; h and w are multiples of 28, an image is one frame."""
    if missing := -len(pixels) % TEMPORAL:
        pixels = torch.cat([pixels, pixels[-1:].expand(missing, -1, -1, -1)])
    frames, channels, height, width = pixels.shape
    grid = (frames // TEMPORAL, height // PATCH, width // PATCH)
    blocks = pixels.reshape(
        grid[0], TEMPORAL, channels, grid[1] // MERGE, MERGE, PATCH, grid[2] // MERGE, MERGE, PATCH
    )  # pair, frame, channel, block row, row in block, y, block column, column in block, x
    rows = blocks.permute(0, 3, 6, 4, 7, 2, 1, 5, 8)
    return Patches(rows.reshape(-1, PATCH_VALUES).contiguous(), grid)


def unpatchify(patches: Patches) -> Tensor:
    """The frames uint8 [n, 3, h, w] that `patches` were cut from, the one repeated to fill a pair included."""
    t, h, w = patches.grid
    rows = patches.data.reshape(t, h // MERGE, w // MERGE, MERGE, MERGE, 3, TEMPORAL, PATCH, PATCH)
    return rows.permute(0, 6, 5, 1, 3, 7, 2, 4, 8).reshape(TEMPORAL * t, 3, PATCH * h, PATCH * w)


def normalize(patches: Tensor) -> Tensor:
    """Patches uint8 [n, 1176] as float32: (value - 255 * mean) / (255 * std), per channel."""
    mean = (torch.tensor(CLIP_MEAN) * 255.0).to(patches.device).view(1, 3, 1)
    std = (torch.tensor(CLIP_STD) * 255.0).to(patches.device).view(1, 3, 1)
    values = patches.view(len(patches), 3, -1).to(torch.float32)
    return values.sub_(mean).div_(std).view(len(patches), -1)


class PatchCache:
    """Patches of media already decoded, by content, up to a number of bytes; what came first stays.

    Nothing is evicted: training runs over everything again and again, where eviction of the oldest
    would keep nothing of use. Safe to share between threads.
    """

    def __init__(self, capacity_bytes: int) -> None:
        self.capacity_bytes = capacity_bytes
        self.size_bytes = 0
        self.full = False  # something found no room, and from then on nothing does
        self._kept: dict[bytes, Patches] = {}
        self._lock = threading.Lock()

    def read(self, data: bytes, make: Callable[[bytes], Patches]) -> Patches:
        """Patches of the encoded media `data`, made by `make` where they are not kept."""
        key = hashlib.blake2b(data, digest_size=16).digest()
        kept = self._kept.get(key)
        if kept is not None:
            return kept
        made = make(data)
        with self._lock:
            if key not in self._kept and self._take(made.data.nbytes):
                self._kept[key] = made
            return self._kept.get(key, made)  # of two threads that made the same at once, the first one's

    def reserve(self, size_bytes: int) -> bool:
        """Whether there is room for this much more, which is then taken."""
        with self._lock:
            return self._take(size_bytes)

    def _take(self, size_bytes: int) -> bool:
        self.full |= self.size_bytes + size_bytes > self.capacity_bytes
        self.size_bytes += 0 if self.full else size_bytes
        return not self.full
