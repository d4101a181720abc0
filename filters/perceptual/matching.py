"""Whether one clip is a copy of another: alignments in time for every way a picture may have been changed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from filters.perceptual.alignment import CROP_SPEEDS, Alignment, align, alignment_of, badness, distances, laid_over
from filters.perceptual.geometry import Cells, View, comparable, comparable_chroma, luma, luma_matrices
from infra.media.fingerprint import PRINTS_PER_S
from infra.recipe import Settings

Prints = NDArray[np.uint8]

WHOLE = View()

_NOISE = 0.4  # grey levels by which what changes in a cell of a copy may differ
_GUESSES = tuple(View(x, 1 - x, y, 1 - y) for x, y in ((0.05, 0.05), (0.1, 0.1), (0.05, 0.0), (0.15, 0.0), (0.0, 0.1)))
_CROP_CHANGE = 100.0  # grey levels of change at which changes may differ wholly: in a crop little change says little
_MOST_OF_IT = 0.9  # share of the picture from which a crop is to be as near as the whole
_STEPS = (0.05, 0.025)  # shares of a side by which the edges of a crop are moved
_MIN_AREA = 0.5  # share of the picture that a crop may leave
_MAX_CUT = 0.3  # share of a side that a crop may lack on one side
_CROP_HOPE = (0.12, 0.3)  # distances before the crop is known, of the picture and of what changes, that may come right
_NEARLY = (0.06, 0.15)  # the same of whole pictures, where no key hints at a crop


@dataclass(frozen=True)
class Limits(Settings):
    """What counts as the same film."""

    max_distance: float = 0.02  # 1 - correlation of the pictures; other stretches of one fixed camera begin at 0.023
    max_change_distance: float = 0.15  # 1 - correlation of what moves, noise aside; those begin at 0.17
    max_crop_distance: float = 0.04  # of the pictures where one is cropped, which is known to a few percent only
    max_crop_change_distance: float = 0.1
    min_change: float = 1.0  # grey levels: what changes less is still, says less and has to be nearer
    max_still_distance: float = 0.005
    max_colour_distance: float = 8.0  # root mean square difference of chroma in levels
    max_still_colour_distance: float = 1.5  # small things on one ground, of two colours, begin at 2.06; a copy had 0.44
    min_overlap: float = 0.5  # share of the shorter clip that both show
    mirrored: bool = True  # look for mirrored copies
    cropped: bool = True  # look for copies that lack parts of the picture

    def of(self, view: View, fitted: bool, found: Alignment) -> tuple[float, float]:
        """The largest distances of the picture and of what changes that make a match, of a `fitted` view or not.

        What has little contrast, or changes little, is mixed with rounding and with what encoding did.
        """
        plain, calm = (_NOISE / max(1e-3, found.contrast)) ** 2, (_NOISE / max(1e-3, found.change)) ** 2
        if found.change < self.min_change:
            return self.max_still_distance + plain, self.max_change_distance + calm
        if fitted:
            distance = self.max_crop_distance if view.area < _MOST_OF_IT else self.max_distance
            return distance + plain, min(self.max_crop_change_distance, found.change / _CROP_CHANGE) + calm
        return self.max_distance + plain, self.max_change_distance + calm

    def colour_of(self, view: View, found: Alignment) -> float:
        """The largest colour distance that makes a match; of a crop only the mean is compared, and must be nearer."""
        if found.change < self.min_change:
            return self.max_still_colour_distance
        return 0.75 * self.max_colour_distance if view.is_crop else self.max_colour_distance


@dataclass(frozen=True)
class Match:
    """That clip B shows what clip A shows, and how."""

    alignment: Alignment
    view: View  # what the copy shows of the whole
    fitted: bool  # whether the view was looked for, and the limits of crops hold
    whole_is_a: bool  # else A is the copy
    colour_distance: float
    overlap: float  # share of the shorter clip

    def offset_s(self, of_a: bool) -> float:
        """Seconds in A's prints (`of_a`), or in B's, at which the other's first print lies; may be negative."""
        lag, speed = self.alignment.lag, self.alignment.speed
        return (lag if of_a == self.whole_is_a else -lag / speed) / PRINTS_PER_S


def find_match(
    limits: Limits, a: Prints, b: Prints, crops: Iterable[tuple[View, bool]], same_video: bool
) -> Match | None:
    """The match of two clips by their prints, or None.

    `crops` are views worth trying, each with whether A is the whole. Still stretches of one video are
    different moments by construction and never match; across videos nothing but the picture can tell.
    """
    first: list[tuple[Alignment, View]] = []
    for view in (WHOLE, replace(WHOLE, mirrored=True))[: 2 if limits.mirrored else 1]:
        alignment = align(*comparable(a, b, view), limits.min_overlap)
        if alignment is None:
            continue
        match = _judged(limits, a, b, view, True, alignment, same_video, fitted=False)
        if match is not None:
            return match
        first.append((alignment, view))
    if not limits.cropped:
        return None
    for start, whole_is_a in _starts(first, crops):
        match = _cropped(limits, *((a, b) if whole_is_a else (b, a)), start, whole_is_a, same_video)
        if match is not None:
            return match
    return None


def _starts(first: list[tuple[Alignment, View]], crops: Iterable[tuple[View, bool]]) -> Iterator[tuple[View, bool]]:
    """Views from which a crop is looked for, the likely ones first."""
    yield from crops
    for alignment, view in first:
        if _is_within(alignment, _NEARLY):
            yield view, True
            yield view, False


def _is_within(alignment: Alignment, limits: tuple[float, float]) -> bool:
    return alignment.distance <= limits[0] and alignment.change_distance <= limits[1]


def _cropped(
    limits: Limits, whole: Prints, copy: Prints, start: View, whole_is_a: bool, same_video: bool
) -> Match | None:
    alignment = align(*comparable(whole, copy, start), limits.min_overlap, CROP_SPEEDS)
    if alignment is None or not _is_within(alignment, _CROP_HOPE):
        return None
    view = fitted_view(whole, copy, start, alignment)
    if view != start:
        alignment = align(*comparable(whole, copy, view), limits.min_overlap, CROP_SPEEDS)
    if alignment is None or alignment.change < limits.min_change or view.area < _MIN_AREA:
        return None  # a still picture, or a small part of one, says too little
    return _judged(limits, whole, copy, view, whole_is_a, alignment, same_video, fitted=True)


def fitted_view(whole: Prints, copy: Prints, start: View, alignment: Alignment) -> View:
    """The view of least distance that is found from `start`, or a common crop, by moving one edge at a time."""
    x, y = _on_each_other(luma(whole), luma(copy), alignment)
    guesses = [start, *(replace(guess, mirrored=start.mirrored) for guess in _GUESSES)]
    least, best = min(((_view_badness(x, y, view), view) for view in guesses), key=lambda scored: scored[0])
    for step in _STEPS:
        while True:
            tried = [(_view_badness(x, y, view), view) for view in _neighbours(best, step)]
            badness_now, view = min(tried, key=lambda scored: scored[0])
            if badness_now > least - 1e-6:
                break
            least, best = badness_now, view
    return best


def _neighbours(view: View, step: float) -> Iterator[View]:
    for sign in (1, -1):
        yield replace(view, left=round(min(max(view.left + sign * step, 0.0), _MAX_CUT), 3))
        yield replace(view, right=round(max(min(view.right - sign * step, 1.0), 1 - _MAX_CUT), 3))
        yield replace(view, top=round(min(max(view.top + sign * step, 0.0), _MAX_CUT), 3))
        yield replace(view, bottom=round(max(min(view.bottom - sign * step, 1.0), 1 - _MAX_CUT), 3))


def _view_badness(x: Cells, y: Cells, view: View) -> float:
    pick, reduce = luma_matrices(view)
    scores = distances((x @ pick.T)[None], (y @ reduce.T)[None], np.ones((1, len(x)), bool))
    return badness(alignment_of(scores, 0, 0.0, 1.0, len(x)))


def _on_each_other(whole: Cells, copy: Cells, alignment: Alignment) -> tuple[Cells, Cells]:
    """The cells [prints, n] of both that lie over each other."""
    position = (alignment.lag + alignment.speed * np.arange(len(copy))).astype(np.float32)
    on = (position >= -0.5) & (position <= len(whole) - 0.5)
    x, y = laid_over(whole, copy, position[None], alignment.speed)
    return x[0, on], y[0, on]


def _judged(
    limits: Limits,
    whole: Prints,
    copy: Prints,
    view: View,
    whole_is_a: bool,
    found: Alignment,
    same_video: bool,
    fitted: bool,
) -> Match | None:
    """The match an alignment makes, if it is one."""
    max_distance, max_change_distance = limits.of(view, fitted, found)
    if found.distance > max_distance or found.change_distance > max_change_distance:
        return None
    if found.change < limits.min_change and same_video:
        return None
    x, y = _on_each_other(*comparable_chroma(whole, copy, view), found)
    colour = float(np.sqrt(np.mean((x - y) ** 2)))
    if colour > limits.colour_of(view, found):
        return None
    share = found.overlap * max(1.0, found.speed) / min(len(whole), len(copy))
    return Match(found, view, fitted, whole_is_a, colour, min(1.0, share))
