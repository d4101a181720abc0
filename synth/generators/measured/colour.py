"""Colour names of pixels: the basic colour terms as regions of the OKLab colour space.

OKLab is Björn Ottosson's perceptual space (2020), in which hue stays constant from light to dark;
the terms are Berlin and Kay's eleven (1969), with cyan and beige added because people use them.
"""

from __future__ import annotations

from functools import cache, lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

NAMES: Final = ("black", "gray", "white", "red", "orange", "yellow", "green", "cyan", "blue", "purple", "pink", "brown",
                "beige")  # fmt: skip
_INDEX: Final = {name: index for index, name in enumerate(NAMES)}
_BITS = 5  # of each channel kept by the table
# Hues (degrees in OKLab) where one name ends and the next begins, for saturated colours of middle lightness.
_HUE_ENDS: Final = ((8, "pink"), (42, "red"), (76, "orange"), (118, "yellow"), (172, "green"), (224, "cyan"),
                    (284, "blue"), (327, "purple"), (360, "pink"))  # fmt: skip


def oklch(rgb: NDArray[np.float64]) -> NDArray[np.float64]:
    """Lightness (0-1), chroma (0-0.33) and hue (degrees) of sRGB colours in [0, 255]; shape [..., 3] to [..., 3]."""
    c = rgb / 255.0
    linear = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
    to_lms = np.array([[0.4122214708, 0.5363325363, 0.0514459929], [0.2119034982, 0.6806995451, 0.1073969566],
                       [0.0883024619, 0.2817188376, 0.6299787005]])  # fmt: skip
    to_lab = np.array([[0.2104542553, 0.7936177850, -0.0040720468], [1.9779984951, -2.4285922050, 0.4505937099],
                       [0.0259040371, 0.7827717662, -0.8086757660]])  # fmt: skip
    lab = np.cbrt(linear @ to_lms.T) @ to_lab.T
    chroma = np.hypot(lab[..., 1], lab[..., 2])
    hue = np.rad2deg(np.arctan2(lab[..., 2], lab[..., 1])) % 360
    return np.stack([lab[..., 0], chroma, hue], axis=-1)


def _names_of(lch: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Index into NAMES of each colour; uint8 [n] from [n, 3]."""
    light, chroma, hue = lch[:, 0], lch[:, 1], lch[:, 2]
    named = np.zeros(len(lch), np.uint8)
    for end, name in reversed(_HUE_ENDS):
        named[hue < end] = _INDEX[name]
    pinkish = (hue < 42) | (hue >= 327)
    named[pinkish & (light < 0.62)] = _INDEX["red"]
    named[(hue >= 327) & (hue < 350) & (light < 0.55)] = _INDEX["purple"]
    named[(hue < 35) & (light > 0.74)] = _INDEX["pink"]
    warm = (hue >= 36) & (hue < 108)
    named[warm & (chroma < 0.13) & (light < 0.64)] = _INDEX["brown"]
    named[(hue >= 42) & (hue < 90) & (light < 0.6)] = _INDEX["brown"]
    named[(hue >= 74) & (hue < 108) & (chroma >= 0.08) & (light >= 0.5)] = _INDEX["yellow"]  # mustard
    named[warm & (chroma < 0.085) & (light >= 0.64)] = _INDEX["beige"]
    colourless = chroma < np.where(light < 0.35, 0.045, 0.035)
    named[colourless] = _INDEX["gray"]
    named[colourless & (light > 0.92)] = _INDEX["white"]
    named[(colourless & (light < 0.27)) | (light < 0.14)] = _INDEX["black"]
    return named


@cache
def _table() -> NDArray[np.uint8]:
    """The name of every colour of 5 bits a channel, at the middle of its cell; uint8 [32768]."""
    levels = (np.arange(1 << _BITS) + 0.5) * (256 >> _BITS)
    cells = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), axis=-1).reshape(-1, 3)
    return _names_of(oklch(cells))


_DOUBTS: Final = np.array([(dl, dc, dh) for dl in (-0.025, 0.025) for dc in (-0.01, 0.01) for dh in (-6.0, 6.0)])


def is_certain(rgb: NDArray[np.float64]) -> bool:
    """Whether a colour [3] keeps its name when a little lighter or darker, greyer or stronger, and in the next hues."""
    return _is_certain(*np.rint(rgb).astype(int).tolist())


@lru_cache(maxsize=1 << 15)
def _is_certain(red: int, green: int, blue: int) -> bool:
    near = oklch(np.array([red, green, blue], np.float64)) + np.concatenate([np.zeros((1, 3)), _DOUBTS])
    near[:, 1], near[:, 2] = np.maximum(near[:, 1], 0), near[:, 2] % 360
    return len(set(_names_of(near).tolist())) == 1


def cells(frames: NDArray[np.uint8]) -> NDArray[np.uint16]:
    """The 15-bit colour cell of every pixel: uint16 [...] from RGB uint8 [..., 3]."""
    coarse = (frames >> (8 - _BITS)).astype(np.uint16)
    return np.asarray((coarse[..., 0] << (2 * _BITS)) | (coarse[..., 1] << _BITS) | coarse[..., 2])


def label(colour_cells: NDArray[np.uint16]) -> NDArray[np.uint8]:
    """Index into NAMES of every pixel, from its colour cell."""
    return _table()[colour_cells]


def tone(rgb: NDArray[np.float64], name: str) -> str:
    """`light`, `dark` or nothing, for a colour [3] called `name`; black, white and in-between get nothing."""
    if name in ("black", "white"):
        return ""
    light = float(oklch(rgb)[0])
    bright, dim = (0.75, 0.45) if name == "gray" else (0.78, 0.42)
    if name in ("yellow", "beige"):
        return "light" if light > 0.93 else ""
    return "light" if light > bright else "dark" if light < dim else ""
