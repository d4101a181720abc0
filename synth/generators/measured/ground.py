"""How the background is built: plain, a gradient, stripes, squares, blotches, or none of these."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from synth.generators.measured import colour
from synth.generators.measured.observation import Ground

_PLAIN_SPREAD = 9.0  # grey levels of standard deviation in a plain background
_EXPLAINED = 0.88  # share of the variance that a profile must explain
_TWO_TONES = 0.85  # share of the background that two even tones must cover
_TONE_REACH = 26.0  # sRGB distance from an even tone, at most this and _TONE_SHARE of the way to the other
_TONE_SHARE = 0.22
_LEAST_PIECES = {"stripes": 2, "checker": 5, "blotches": 2}  # of either tone
_LEAST_SHARE = 0.12  # of the background, for its second tone


def ground(frame: NDArray[np.uint8], labels: NDArray[np.uint8], things: NDArray[np.bool_]) -> Ground:
    """The background of a picture [h, w, 3] around the pixels that belong to `things` [h, w]."""
    behind = cv2.dilate(things.astype(np.uint8), np.ones((9, 9), np.uint8)) == 0
    if behind.mean() < 0.4:
        return Ground("", "", ())
    pixels = frame[behind].astype(np.float64)
    if pixels.std(axis=0).max() < _PLAIN_SPREAD:
        return Ground("plain", "", ((name_of(np.median(pixels, axis=0)), 1.0),))
    for axis in (1, 0):
        found = _profiled(frame.astype(np.float64), behind, axis)
        if found is not None:
            return found
    return _two_toned(frame, behind) or Ground("", "", _shares(labels[behind], pixels))


def name_of(rgb: NDArray[np.float64]) -> str:
    """Name with tone, like "dark blue", of a colour [3]; "" when people might disagree about the name."""
    if not colour.is_certain(rgb):
        return ""
    name = colour.NAMES[int(colour.label(colour.cells(np.rint(rgb).astype(np.uint8)[None]))[0])]
    return f"{colour.tone(rgb, name)} {name}".strip()


def _profiled(pixels: NDArray[np.float64], behind: NDArray[np.bool_], axis: int) -> Ground | None:
    """A background that changes along one axis only (1: from left to right): a gradient or stripes."""
    weights = behind.sum(axis=1 - axis)
    if (weights < 0.15 * behind.shape[1 - axis]).any():
        return None
    profile = np.where(behind[..., None], pixels, 0).sum(axis=1 - axis) / weights[:, None]
    spread = np.expand_dims(profile, 1 - axis)
    rest = ((pixels - spread)[behind] ** 2).sum()
    total = ((pixels[behind] - pixels[behind].mean(axis=0)) ** 2).sum()
    if 1 - rest / total < _EXPLAINED:
        return None
    steps = np.abs(np.diff(profile, axis=0)).sum(axis=1)
    ends = np.linalg.norm(profile[-1] - profile[0])
    if steps.max() < 0.12 * ends and steps.sum() < 2.2 * ends:
        edge = max(2, len(profile) // 12)
        names = [name_of(profile[:edge].mean(axis=0)), name_of(profile[-edge:].mean(axis=0))]
        return Ground("gradient", "horizontal" if axis else "vertical", ((names[0], 0.5), (names[1], 0.5)))
    tones = _tones(pixels[behind])
    if tones is None or _alternations(profile, *tones[0]) < 3:
        return None
    return Ground("stripes", "vertical" if axis else "horizontal", _named(tones))


def _alternations(profile: NDArray[np.float64], first: NDArray[np.float64], second: NDArray[np.float64]) -> int:
    nearer = np.linalg.norm(profile - first, axis=1) < np.linalg.norm(profile - second, axis=1)
    return int((nearer[1:] != nearer[:-1]).sum())


_Tones = tuple[tuple[NDArray[np.float64], NDArray[np.float64]], tuple[float, float]]


def _tones(pixels: NDArray[np.float64]) -> _Tones | None:
    """Two even tones that cover nearly all of `pixels` [k, 3], with their shares, the larger first."""
    cells = colour.cells(pixels.astype(np.uint8))
    first = pixels[cells == np.bincount(cells).argmax()].mean(axis=0)
    far = pixels[np.linalg.norm(pixels - first, axis=1) > 2 * _TONE_REACH]
    if len(far) < _LEAST_SHARE * len(pixels):
        return None
    far_cells = colour.cells(far.astype(np.uint8))
    second = far[far_cells == np.bincount(far_cells).argmax()].mean(axis=0)
    reach = min(_TONE_REACH, _TONE_SHARE * float(np.linalg.norm(first - second)))
    shares = [float((np.linalg.norm(pixels - tone, axis=1) < reach).mean()) for tone in (first, second)]
    if sum(shares) < _TWO_TONES or min(shares) < _LEAST_SHARE:
        return None
    if shares[1] > shares[0]:
        return (second, first), (shares[1], shares[0])
    return (first, second), (shares[0], shares[1])


def _named(tones: _Tones) -> tuple[tuple[str, float], ...]:
    return tuple((name_of(rgb), share) for rgb, share in zip(*tones, strict=True))


def _two_toned(frame: NDArray[np.uint8], behind: NDArray[np.bool_]) -> Ground | None:
    """Diagonal stripes, squares or blotches of two even tones, told apart by the way their edges run."""
    tones = _tones(frame[behind].astype(np.float64))
    if tones is None:
        return None
    first, second = tones[0]
    pixels = frame.astype(np.float64)
    member = np.linalg.norm(pixels - first, axis=-1) < np.linalg.norm(pixels - second, axis=-1)
    smooth = cv2.GaussianBlur(member.astype(np.float32), (5, 5), 1.2)
    across, down = cv2.Sobel(smooth, cv2.CV_32F, 1, 0), cv2.Sobel(smooth, cv2.CV_32F, 0, 1)
    strength = np.hypot(across, down) * behind
    edges = strength > 0.3 * strength.max()
    angles = np.rad2deg(np.arctan2(down[edges], across[edges])) % 180
    if not len(angles):
        return None
    structure, axis = _edge_structure(angles)
    pieces = sorted((_pieces(member), _pieces(~member)))
    if pieces[0] < _LEAST_PIECES[structure]:
        return None
    return Ground(structure, axis, _named(tones))


def _pieces(member: NDArray[np.bool_]) -> int:
    """How many connected pieces a tone is in, not counting specks."""
    _, _, stats, _ = cv2.connectedComponentsWithStats(member.astype(np.uint8), connectivity=4)
    return int((stats[1:, cv2.CC_STAT_AREA] > 0.003 * member.size).sum())


def _edge_structure(angles: NDArray[np.float64]) -> tuple[str, str]:
    """From the directions of edge gradients, in degrees modulo 180: one slant, two upright ones, or many."""
    near = [float((np.abs((angles - target + 90) % 180 - 90) < 12).mean()) for target in (0, 45, 90, 135)]
    if max(near[1], near[3]) > 0.85:
        return "stripes", "diagonal"
    if near[0] + near[2] > 0.75 and min(near[0], near[2]) > 0.2:
        return "checker", ""
    return "blotches", ""


def _shares(labels: NDArray[np.uint8], pixels: NDArray[np.float64]) -> tuple[tuple[str, float], ...]:
    """The two commonest colour names of a background without a structure that has a name."""
    counts = np.bincount(labels, minlength=len(colour.NAMES)) / len(labels)
    best = [int(i) for i in np.argsort(-counts, kind="stable")[:2] if counts[i] >= _LEAST_SHARE]
    return tuple((name_of(np.median(pixels[labels == i], axis=0)), float(counts[i])) for i in best)
