"""How steady a stretch of video is: pictures that are held, and cameras that are not."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_MAX_GAP_S = 0.6  # between samples, beyond which a change of course is no shake
_HOLD, _TURN = 3, 8  # steps from sample to sample


def longest_hold_s(times: NDArray[np.float64], changed: NDArray[np.bool_], start_s: float, end_s: float) -> float:
    """Seconds of the longest part of [start_s, end_s) in which one picture was held.

    `changed[i]` says whether samples i and i + 1 differ. What changes all the time gives the time between
    two samples.
    """
    edges = np.concatenate([[start_s], times[1:][changed], [end_s]])
    return float(np.diff(edges).max())


def shake(times: NDArray[np.float64], shift_x: NDArray[np.float64], shift_y: NDArray[np.float64]) -> float:
    """Median change of the camera's course from sample to sample, in short sides of the picture.

    `shift_x[i], shift_y[i]` lead from sample i to sample i + 1. The second difference of the camera's path, which
    stabilizers minimize (Grundmann, Kwatra and Essa, "Auto-directed video stabilization with robust L1 optimal
    camera paths", 2011, section 3): small for a tripod and for a smooth pan, about twice the standard
    deviation of a camera that jumps about. 0.0 when no three samples are near each other.
    """
    near = np.diff(times) <= _MAX_GAP_S
    turns = np.hypot(np.diff(shift_x), np.diff(shift_y))[near[1:] & near[:-1]]
    return float(np.median(turns)) if turns.size else 0.0


def page_turns(changed: NDArray[np.bool_], changed_shares: NDArray[np.float64], turn_change: float) -> int:
    """How often a picture that was held soon gives way to another that is held too.

    `changed[i]` says whether samples i and i + 1 differ, `changed_shares[i]` in which share of the pixels. A
    picture is held for at least `_HOLD` steps without change; a turn takes at most `_TURN` steps (a dissolve,
    an animation) that together change at least `turn_change`.
    """
    bounds = np.diff((~changed).astype(np.int8), prepend=0, append=0)
    starts, ends = np.flatnonzero(bounds == 1), np.flatnonzero(bounds == -1)
    long = ends - starts >= _HOLD
    starts, ends = starts[long], ends[long]
    total = np.concatenate([[0.0], np.cumsum(changed_shares)])
    change, steps = total[starts[1:]] - total[ends[:-1]], starts[1:] - ends[:-1]
    return int(((change >= turn_change) & (steps <= _TURN)).sum())
