"""Regions that stand out: colours which never touch the frame's edges, cut into connected patches.

The boundary prior of salient-object detection (Wei et al., ECCV 2012): what lies along the edges of
the frame is background. Its colours form a set of 15-bit colour cells; a pixel away from all of
them is foreground. A scene whose edges hold most colours has no such region, and nothing is said.
"""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from synth.generators.measured import colour
from synth.generators.measured.forms import form_of
from synth.generators.measured.observation import Patch

MIN_AREA = 0.0025  # share of the frame
MAX_FOREGROUND = 0.45  # more than this is not a few things before a background
MAX_PATCHES = 5
_BORDER = 2  # pixels
_REACH = 3  # colour cells around a border colour that still count as background
_SAMPLED = 500  # pixels of a patch that its colour is taken from
_FLAT = 28.0  # sRGB distance from its tone within which most of an evenly coloured patch lies
_FRINGE = 70.0  # sRGB distance from its tone at which such a patch ends

Mask = NDArray[np.bool_]


def foreground(cells: NDArray[np.uint16]) -> Mask:
    """Pixels whose colour is far from every border colour of all frames; bool [n, h, w] from colour cells."""
    rows, columns = (cells[:, :_BORDER], cells[:, -_BORDER:]), (cells[:, :, :_BORDER], cells[:, :, -_BORDER:])
    border = np.concatenate([edge.ravel() for edge in (*rows, *columns)])
    counts = np.bincount(border, minlength=1 << 15).reshape(32, 32, 32)
    near = counts > max(1.0, 0.0003 * border.size)
    for axis in range(3):
        near = _spread(near, axis)
    away = (~near.ravel()[cells]).astype(np.uint8)
    square = np.ones((3, 3), np.uint8)  # opening removes the mixed colours along edges
    return np.stack([cv2.morphologyEx(mask, cv2.MORPH_OPEN, square) for mask in away]).astype(bool)


def _spread(near: Mask, axis: int) -> Mask:
    """`near` grown by _REACH cells both ways along `axis`."""
    wide = near.copy()
    lines, grown = np.moveaxis(near, axis, 0), np.moveaxis(wide, axis, 0)
    for step in range(1, _REACH + 1):
        grown[step:] |= lines[:-step]
        grown[:-step] |= lines[step:]
    return wide


def patches(frame: NDArray[np.uint8], labels: NDArray[np.uint8], mask: Mask) -> tuple[Patch, ...]:
    """The patches of one frame, largest first: from its pixels [h, w, 3], colour labels and foreground [h, w].

    Nothing when the foreground is too large or in too many pieces to be a few things.
    """
    if mask.mean() > MAX_FOREGROUND:
        return ()
    found = sorted(_components(frame, labels, mask.astype(np.uint8)), key=lambda patch: -patch.area)
    return tuple(found) if len(found) <= MAX_PATCHES else ()


def _components(frame: NDArray[np.uint8], labels: NDArray[np.uint8], mask: NDArray[np.uint8]) -> Iterator[Patch]:
    count, ids, stats, centres = cv2.connectedComponentsWithStats(mask, connectivity=4)
    for i in range(1, count):
        left, top, width, height, area = (int(v) for v in stats[i])
        if area >= MIN_AREA * mask.size:
            box = np.s_[max(0, top - 1) : top + height + 1, max(0, left - 1) : left + width + 1]
            yield _patch(frame[box], labels[box], ids[box] == i, (centres[i][0], centres[i][1]), mask.shape)


def _patch(
    pixels: NDArray[np.uint8],
    labels: NDArray[np.uint8],
    mask: Mask,
    centre: tuple[float, float],
    shape: tuple[int, ...],
) -> Patch:
    core = cv2.erode(np.pad(mask, 1).astype(np.uint8), np.ones((3, 3), np.uint8))[1:-1, 1:-1].astype(bool)
    core = core if core.any() else mask
    votes = np.bincount(labels[core], minlength=len(colour.NAMES))
    name = colour.NAMES[int(votes.argmax())] if votes.max() >= 0.7 * votes.sum() else ""
    values = pixels[core].astype(np.float64)
    values = values[:: max(1, len(values) // _SAMPLED)]
    tone = np.median(values, axis=0)
    is_flat = bool((np.linalg.norm(values - tone, axis=1) < _FLAT).mean() > 0.65)
    height, width = shape[:2]
    return Patch(
        x=float((centre[0] + 0.5) / width),
        y=float((centre[1] + 0.5) / height),
        width=(np.ptp(np.flatnonzero(mask.any(axis=0))) + 1) / width,
        height=(np.ptp(np.flatnonzero(mask.any(axis=1))) + 1) / height,
        area=float(mask.sum() / (height * width)),
        colour=name,
        tone=colour.tone(tone, name) if name else "",
        is_certain=bool(name) and colour.is_certain(tone),
        form=form_of(_sharpened(pixels, tone) & _grown(mask)) if is_flat else "",
        is_flat=is_flat,
    )


def _grown(mask: Mask) -> Mask:
    return np.asarray(cv2.dilate(mask.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool))


def _sharpened(pixels: NDArray[np.uint8], tone: NDArray[np.float64]) -> Mask:
    """An evenly coloured patch without the fringe that scaling and chroma subsampling left around it."""
    return np.asarray(np.linalg.norm(pixels - tone, axis=-1) < _FRINGE)
