"""All matches among many clips: candidates by keys, then each looked at."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from filters.perceptual.candidates import Candidates, find_candidates
from filters.perceptual.choice import Pair
from filters.perceptual.entries import VIEWS
from filters.perceptual.geometry import View
from filters.perceptual.matching import Limits, Match, find_match
from filters.perceptual.prints import Prints
from infra.media.fingerprint import PRINTS_PER_S, whole_prints
from infra.processes import process_pool
from infra.stage import Row

_MANY = 2000  # comparisons, of some milliseconds each, that are worth starting processes for
_CHUNK = 100  # comparisons a process is given at once


@dataclass(frozen=True)
class Clips:
    """The clips that are compared, as columns."""

    prints: Prints
    video: NDArray[np.int64]  # clips of one video have one number
    group: NDArray[np.int8]  # clips of one group are not compared with each other; those of group 0 are
    place: NDArray[np.int64]  # which of two clips counts as the first: not the order they came in


def find_matches(limits: Limits, clips: Clips) -> dict[Pair, Match]:
    """Every match that the keys lead to, by the two clips in the order of their places."""
    pairs = list(_by_pair(find_candidates(clips.prints, clips.group, limits.cropped), clips.place))
    columns = (
        [clips.prints.clip(a) for (a, _), _ in pairs],
        [clips.prints.clip(b) for (_, b), _ in pairs],
        [crops for _, crops in pairs],
        [bool(clips.video[a] == clips.video[b]) for (a, b), _ in pairs],
    )
    work = partial(find_match, limits)
    if len(pairs) < _MANY:
        found = list(map(work, *columns))
    else:
        with process_pool(os.cpu_count() or 1) as pool:
            found = list(pool.map(work, *columns, chunksize=_CHUNK))
    return {pair: match for (pair, _), match in zip(pairs, found, strict=True) if match is not None}


def _by_pair(candidates: Candidates, place: NDArray[np.int64]) -> Iterator[tuple[Pair, list[tuple[View, bool]]]]:
    """Pairs of clips by their places, each with the crops worth trying and whether the first clip is the whole."""
    in_order = place[candidates.whole] < place[candidates.copy]
    first = np.where(in_order, candidates.whole, candidates.copy)
    second = np.where(in_order, candidates.copy, candidates.whole)
    order = np.lexsort((in_order, candidates.view, place[second], place[first]))
    rows = zip(*(column[order].tolist() for column in (first, second, candidates.view, in_order)), strict=True)
    for pair, group in groupby(rows, key=lambda row: (row[0], row[1])):
        yield pair, [(VIEWS[view], whole_is_first) for _, _, view, whole_is_first in group if view]


def describe(limits: Limits, match: Match, of_a: bool, lead_a_s: float = 0.0, lead_b_s: float = 0.0) -> Row:
    """The scores of a match, the thresholds they were compared with, and what was done to the picture.

    `offset_s` is where the other clip begins in A (`of_a`) or in B, in seconds from its beginning; the leads are
    the seconds of A and B before their first prints.
    """
    found, view = match.alignment, match.view
    speed = found.speed if of_a == match.whole_is_a else 1 / found.speed
    here, there = (lead_a_s, lead_b_s) if of_a else (lead_b_s, lead_a_s)
    max_distance, max_change_distance = limits.of(view, match.fitted, found)
    told: Row = {
        "distance": round(found.distance, 4),
        "max_distance": round(max_distance, 4),
        "colour_distance": round(match.colour_distance, 2),
        "max_colour_distance": limits.colour_of(view, found),
        "change_distance": round(found.change_distance, 4),
        "max_change_distance": round(max_change_distance, 4),
        "change": round(found.change, 2),
        "contrast": round(found.contrast, 2),
        "offset_s": round(match.offset_s(of_a) + here - speed * there, 2),
        "overlap": round(match.overlap, 2),
        "min_overlap": limits.min_overlap,
        "speed": round(speed, 2),
        "mirrored": view.mirrored,
    }
    if view.is_crop:
        told["shown"] = {"left": view.left, "right": view.right, "top": view.top, "bottom": view.bottom}
        told["cropped"] = "this" if of_a == match.whole_is_a else "the other"
    return told


def lead_s(start_s: float) -> float:
    """Seconds of a clip that begins at `start_s` of its video before its first print."""
    return whole_prints(start_s, start_s)[0] / PRINTS_PER_S - start_s
