"""Patches linked through time into tracks: greedy nearest neighbours of one colour."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from synth.generators.measured.movement import moves
from synth.generators.measured.observation import Move, Patch, Track

_REACH = 0.3  # short sides a patch may be from where it is expected
_RESIZE = 2.5  # largest factor of its area between samples
_GAP = 2  # samples a track may miss
_LEAST_SHARE = 0.15  # of all samples a track must hold
_LEAST_FILL = 0.8  # of the samples of its life in which it must be seen


@dataclass
class _Trail:
    """A track in the making: sample numbers and patches, in order."""

    samples: list[int] = field(default_factory=list)
    patches: list[Patch] = field(default_factory=list)

    def expected(self, sample: int) -> tuple[float, float]:
        """Where it would be at `sample` if it kept its last velocity."""
        last = self.patches[-1]
        if len(self.patches) < 2:
            return last.x, last.y
        before = self.patches[-2]
        steps = (sample - self.samples[-1]) / (self.samples[-1] - self.samples[-2])
        return last.x + (last.x - before.x) * steps, last.y + (last.y - before.y) * steps


def link(
    found: list[tuple[Patch, ...]],
    times: NDArray[np.float64],
    aspect: float,
    to_first: NDArray[np.float64] | None,
    size: tuple[int, int],
) -> tuple[Track, ...]:
    """Tracks through the patches of n samples at `times` [n], the largest first.

    `to_first` [n, 3, 3] takes pixels of a frame of `size` (width, height) to those of the first;
    None says that the camera's motion is unknown, and then the tracks have no moves.
    """
    trails = _trails(found, aspect)
    least = max(3, _LEAST_SHARE * len(times))
    kept = [t for t in trails if len(t.samples) >= least and len(t.samples) >= _LEAST_FILL * _life(t)]
    tracks = [_track(trail, times, to_first, size) for trail in kept if not _is_torn(trail, kept)]
    return tuple(sorted(tracks, key=lambda track: -track.patch.area))


def _is_torn(trail: _Trail, trails: list[_Trail]) -> bool:
    """Whether another trail of its colour ends before it or begins after it: one thing, lost and found, perhaps."""
    return any(
        other.patches[0].colour == trail.patches[0].colour
        and (other.samples[-1] < trail.samples[0] or other.samples[0] > trail.samples[-1])
        for other in trails
    )


def _life(trail: _Trail) -> int:
    return trail.samples[-1] - trail.samples[0] + 1


def _trails(found: list[tuple[Patch, ...]], aspect: float) -> list[_Trail]:
    trails: list[_Trail] = []
    for sample, patches in enumerate(found):
        open_trails = [trail for trail in trails if sample - trail.samples[-1] <= _GAP + 1]
        options = sorted(
            (distance, i, j)
            for i, trail in enumerate(open_trails)
            for j, patch in enumerate(patches)
            if (distance := _distance(trail, patch, sample, aspect)) < _REACH
        )
        used: set[int] = set()
        taken: set[int] = set()
        for _, i, j in options:
            if i not in used and j not in taken:
                used.add(i)
                taken.add(j)
                open_trails[i].samples.append(sample)
                open_trails[i].patches.append(patches[j])
        trails += [_Trail([sample], [patch]) for j, patch in enumerate(patches) if j not in taken]
    return trails


def _distance(trail: _Trail, patch: Patch, sample: int, aspect: float) -> float:
    """Short sides between where a trail should be and a patch; infinite when it cannot be the same thing."""
    last = trail.patches[-1]
    if patch.colour != last.colour or not 1 / _RESIZE < patch.area / last.area < _RESIZE:
        return float("inf")
    wide, high = (aspect, 1.0) if aspect >= 1 else (1.0, 1 / aspect)
    spots = (trail.expected(sample), (last.x, last.y))  # it may go on, or turn round
    return min(float(np.hypot((patch.x - x) * wide, (patch.y - y) * high)) for x, y in spots)


def _track(
    trail: _Trail, times: NDArray[np.float64], to_first: NDArray[np.float64] | None, size: tuple[int, int]
) -> Track:
    first, last = trail.patches[0], trail.patches[-1]
    seen = times[trail.samples]
    found, growth = _motion(trail, seen, to_first, size)
    return Track(
        patch=_typical(trail.patches),
        start=(first.x, first.y),
        end=(last.x, last.y),
        first_s=float(seen[0]),
        last_s=float(seen[-1]),
        appears=trail.samples[0] >= 2,
        disappears=trail.samples[-1] <= len(times) - 3,
        moves=found,
        growth=growth,
    )


def _motion(
    trail: _Trail, seen: NDArray[np.float64], to_first: NDArray[np.float64] | None, size: tuple[int, int]
) -> tuple[tuple[Move, ...], float]:
    if to_first is None:
        return (), 1.0
    pixels = np.array([(p.x * size[0], p.y * size[1], 1.0) for p in trail.patches])
    matrices = to_first[trail.samples]
    world = np.einsum("nij,nj->ni", matrices, pixels)[:, :2] / min(size)
    scale = np.sqrt(np.abs(np.linalg.det(matrices[:, :2, :2])))
    widths = np.sqrt([p.area for p in trail.patches]) * scale
    edge = max(1, len(widths) // 6)
    return moves(world, seen), float(np.median(widths[-edge:]) / np.median(widths[:edge]))


def _typical(patches: list[Patch]) -> Patch:
    """The patch in the middle of the track's life, with the form and tone that most of its samples agree on."""
    middle = patches[len(patches) // 2]
    return replace(
        middle,
        form=_agreed([p.form for p in patches]),
        tone=_agreed([p.tone for p in patches]),
        is_certain=sum(p.is_certain for p in patches) >= 0.6 * len(patches),
        is_flat=sum(p.is_flat for p in patches) >= 0.6 * len(patches),
    )


def _agreed(votes: list[str]) -> str:
    value, count = Counter(votes).most_common(1)[0]
    return value if count >= 0.6 * len(votes) else ""
