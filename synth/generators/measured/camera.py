"""Global motion between samples of a clip, and the changes it does not explain.

Corners outside the foreground are followed by pyramidal Lucas-Kanade flow (Bouguet, 2000) with a
forward-backward check; a similarity fitted by RANSAC is the camera. Fits carried by one corner of
the frame are not trusted: they may be a thing that moves.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from synth.generators.measured.observation import Activity, Camera

Points = NDArray[np.float64]
_Gray = NDArray[np.uint8]
_Smooth = NDArray[np.int16]

_CHANGED = 12  # grey levels that count as change, after blurring
_STILL_SHARE = 0.01  # of the background may change under a camera that rests
_FLOW_STOP = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 12, 0.03)  # iterations, pixels
# By sign of the content's motion along x, y and scale: content that moves left is a camera that pans right.
_MOVES = (("pan_left", "pan_right"), ("tilt_up", "tilt_down"), ("zoom_in", "zoom_out"))
_UNSEEN = -10_000  # grey level of what the later frame does not show
_MIN_POINTS = 12
_MIN_INLIERS = 0.5
_MIN_CELLS = 5  # of 3x3 that must hold inliers
_LEAST_SHIFT = 0.06  # frame sizes of a pan or tilt
_LEAST_ZOOM = 0.12  # natural logarithm of the factor
_JOLT = 0.0015  # frame sizes from one sample to the next, of which an unsteady camera has many
_REST_LENGTH = 0.02  # frame sizes of way, below which the camera rests


@dataclass(frozen=True)
class Step:
    """Between two samples: the camera's similarity (float64 [3, 3], points of the first to the second).

    `moving` are velocities in pixels of corners that do not follow it, float64 [k, 2].
    """

    matrix: NDArray[np.float64]
    is_trusted: bool
    moving: Points
    changed: NDArray[np.bool_]


def steps(gray: NDArray[np.uint8], clear: NDArray[np.uint8], foreground: NDArray[np.bool_]) -> list[Step]:
    """The n-1 steps between n frames [n, h, w]: their luma, the channel to find corners in, what stands out."""
    smooth = [cv2.GaussianBlur(frame, (5, 5), 0).astype(np.int16) for frame in gray]
    things = [cv2.dilate(mask.astype(np.uint8), np.ones((7, 7), np.uint8)) for mask in foreground]
    return [
        _step((clear[i], clear[i + 1]), (smooth[i], smooth[i + 1]), (things[i] | things[i + 1]) == 0)
        for i in range(len(gray) - 1)
    ]


def _step(clear: tuple[_Gray, _Gray], smooth: tuple[_Smooth, _Smooth], behind: NDArray[np.bool_]) -> Step:
    before, after = _follow(*clear, behind * np.uint8(255))
    matrix, inside = _fit(before, after)
    if inside.mean() >= _MIN_INLIERS and _cells_hit(before[inside], behind.shape) >= _MIN_CELLS:
        residual = after - _apply(matrix, before)
        moving = residual[np.hypot(residual[:, 0], residual[:, 1]) > 2.0]
        return Step(matrix, True, moving, _unexplained(*smooth, matrix))
    changed = _differs(smooth[1] - smooth[0], _CHANGED)
    rests = bool(behind.any() and changed[behind].mean() < _STILL_SHARE)
    return Step(np.eye(3), rests, np.zeros((0, 2)), changed)


def _differs(difference: _Smooth, limit: int) -> NDArray[np.bool_]:
    """Pixels that changed more than the picture as a whole got brighter or darker."""
    return np.asarray(np.abs(difference - np.median(difference[::4, ::4]).astype(np.int16)) > limit)


def _fit(before: Points, after: Points) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """The similarity that most points follow, float64 [3, 3], and which of them do, bool [k]; none if too few."""
    if len(before) >= _MIN_POINTS:
        fit, inliers = cv2.estimateAffinePartial2D(before, after, method=cv2.RANSAC, ransacReprojThreshold=1.0)
        if fit is not None:
            return np.vstack([fit, (0.0, 0.0, 1.0)]), inliers.ravel().astype(bool)
    return np.eye(3), np.zeros(max(1, len(before)), np.bool_)


def _follow(a: NDArray[np.uint8], b: NDArray[np.uint8], where: NDArray[np.uint8]) -> tuple[Points, Points]:
    """Corners of `a` and where they are in `b`, float64 [k, 2] each, kept when the way back ends where it began."""
    corners = cv2.goodFeaturesToTrack(a, 100, 0.002, 8, mask=where, blockSize=7)
    if corners is None:
        return np.zeros((0, 2)), np.zeros((0, 2))
    there, ok = _flow(a, b, corners)
    back, ok_back = _flow(b, a, there)
    kept = (np.abs(back - corners).max(axis=(1, 2)) < 0.7) & ok & ok_back
    return corners[kept, 0].astype(np.float64), there[kept, 0].astype(np.float64)


def _flow(a: _Gray, b: _Gray, points: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Where points [k, 1, 2] of `a` are in `b`, and which were found [k]."""
    there, ok, _ = cv2.calcOpticalFlowPyrLK(a, b, points, None, winSize=(15, 15), maxLevel=3, criteria=_FLOW_STOP)
    return there, ok.ravel() == 1


def _apply(matrix: NDArray[np.float64], points: Points) -> Points:
    return np.asarray(points @ matrix[:2, :2].T + matrix[:2, 2])


def _cells_hit(points: Points, shape: tuple[int, ...]) -> int:
    columns = np.clip(points[:, 0] * 3 // shape[1], 0, 2)
    rows = np.clip(points[:, 1] * 3 // shape[0], 0, 2)
    cells, counts = np.unique(rows * 3 + columns, return_counts=True)
    return int((counts >= 2).sum()) if len(cells) else 0


def _unexplained(a: _Smooth, b: _Smooth, matrix: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Pixels of `a` that differ from `b` brought back by the camera's motion; False where `b` saw nothing of them."""
    if np.abs(matrix[:2] - np.eye(3)[:2]).max() < 1e-3:
        return _differs(b - a, _CHANGED)
    height, width = a.shape
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    returned = cv2.warpAffine(b, matrix[:2], (width, height), flags=flags, borderValue=_UNSEEN)
    return np.asarray(_differs(returned - a, 2 * _CHANGED) & (returned >= 0))


def to_first(path: list[Step]) -> NDArray[np.float64]:
    """For every sample the similarity from its pixels to those of the first; float64 [len(path) + 1, 3, 3]."""
    matrices = [np.eye(3)]
    for step in path:
        matrices.append(matrices[-1] @ np.linalg.inv(step.matrix))
    return np.stack(matrices)


def camera(path: list[Step], width: int, height: int) -> Camera:
    """The camera's move over all steps and over each half."""
    half = len(path) // 2
    halves = (_move(path[:half], width, height), _move(path[half:], width, height))
    return Camera(_move(path, width, height), halves)


def is_trusted(path: list[Step]) -> bool:
    """Whether nearly all steps are known."""
    return bool(path) and sum(step.is_trusted for step in path) >= 0.85 * len(path)


def _move(path: list[Step], width: int, height: int) -> str:
    if not is_trusted(path):
        return ""
    centre = np.array([[width / 2, height / 2]])
    known = [step.matrix for step in path if step.is_trusted]
    shifts = np.stack([(_apply(matrix, centre) - centre)[0] / (width, height) for matrix in known])
    zooms = np.log([np.sqrt(abs(np.linalg.det(matrix[:2, :2]))) for matrix in known])
    ways = np.stack([shifts[:, 0] / _LEAST_SHIFT, shifts[:, 1] / _LEAST_SHIFT, zooms / _LEAST_ZOOM])
    totals, lengths = ways.sum(axis=1), np.abs(ways).sum(axis=1)
    if lengths.max() < _REST_LENGTH / _LEAST_SHIFT:
        return "still"
    axis = int(np.abs(totals).argmax())
    if abs(totals[axis]) >= 1 and abs(totals[axis]) >= 0.8 * lengths[axis]:
        return _MOVES[axis][int(totals[axis] < 0)]
    jolts = np.abs(shifts).max(axis=1) > _JOLT
    restless = jolts.mean() > 0.7 and np.abs(totals).max() < 0.4 * lengths.max()
    return "unsteady" if restless else ""


def activity(path: list[Step], gray: NDArray[np.uint8]) -> Activity:
    """Change that the camera does not explain, over the steps between the grey frames uint8 [n, h, w]."""
    shares = np.array([step.changed.mean() for step in path])
    half = len(path) // 2
    total = np.mean([step.changed for step in path], axis=0, dtype=np.float64)
    rows = (cell for band in np.array_split(total, 3) for cell in np.array_split(band, 3, axis=1))
    cells = np.array([cell.sum() for cell in rows])
    light = gray[-1].mean() - gray[0].mean()
    return Activity(
        share=float(shares.mean()),
        halves=(float(shares[:half].mean()), float(shares[half:].mean())),
        places=tuple(float(v) for v in cells / max(1e-9, cells.sum())),
        direction=_common_direction(np.concatenate([step.moving for step in path])),
        light=float(light / 255),
    )


def _common_direction(velocities: Points) -> str:
    """The way most of many independently moving points go (mean resultant length of 0.8), or ""."""
    if len(velocities) < 25:
        return ""
    units = velocities / np.hypot(velocities[:, 0], velocities[:, 1])[:, None]
    mean = units.mean(axis=0)
    if np.hypot(*mean) < 0.8 or min(abs(mean)) > 0.6 * max(abs(mean)):
        return ""
    if abs(mean[0]) > abs(mean[1]):
        return "right" if mean[0] > 0 else "left"
    return "down" if mean[1] > 0 else "up"
