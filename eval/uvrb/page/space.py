"""The embedding space in two dimensions: queries and targets of every dataset, and the gap between them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from infra.errors import UsageError
from shards.preview.charts import short

POINTS: Final = 150  # of each dataset's queries and of its targets, drawn at random
SIDE, MARGIN = 150, 8  # of a panel, in SVG units
SUBSPACE, ITERATIONS = 16, 20  # of the search for the principal axes: directions, rounds
Matrix = NDArray[np.float32]


@dataclass(frozen=True)
class Sample:
    """Some unit vectors of one dataset, up to POINTS a side, and the gap between all of them."""

    queries: Matrix  # [q, dim]
    targets: Matrix  # [n, dim]
    gap: float  # distance of the sides' means in all dimensions: the modality gap (Liang et al., 2022)


def draw_vectors(queries: Matrix, targets: Matrix, seed: int) -> Sample:
    """The sample of one dataset's unit vectors: queries [q, dim] and targets [n, dim], float32, as many as there are.

    Raises UsageError where a side has none or the sides' vectors are of different lengths.
    """
    if not len(queries) or not len(targets) or queries.shape[1] != targets.shape[1]:
        raise UsageError(f"no space to draw: vectors of queries {queries.shape} and of targets {targets.shape}")
    rng = np.random.default_rng(seed)
    gap = float(np.linalg.norm(queries.mean(axis=0) - targets.mean(axis=0)))
    return Sample(_draw(queries, rng), _draw(targets, rng), gap)


def _draw(rows: Matrix, rng: np.random.Generator) -> Matrix:
    return rows[np.sort(rng.choice(len(rows), min(POINTS, len(rows)), replace=False))]


@dataclass(frozen=True)
class Panel:
    """One dataset's points, and the gap of its sample."""

    dataset: str
    gap: float
    picture: Markup


@dataclass(frozen=True)
class Space:
    """All panels lie in one plane: the two principal axes of all points drawn, each dataset moved to the middle.

    So the axes show what varies within datasets, which the distances between datasets would hide.
    """

    panels: tuple[Panel, ...]
    explained: tuple[float, float]  # share of the variance along each axis
    everything: Markup  # all points, which the panels refer to


def draw_space(samples: Mapping[str, Sample]) -> Space | None:
    """A panel for each dataset's sample; None without any. Raises UsageError for vectors of different lengths."""
    if not samples:
        return None
    if len(lengths := sorted({each.queries.shape[1] for each in samples.values()})) > 1:
        raise UsageError(f"no space to draw: vectors of different lengths, {', '.join(map(str, lengths))}")
    moved = {name: _centred(each) for name, each in samples.items()}
    points = np.concatenate([side for sides in moved.values() for side in sides])
    axes, explained = principal_axes(points)
    flat = points @ axes
    low, scale = flat.min(axis=0), (SIDE - 2 * MARGIN) / max(float(np.ptp(flat, axis=0).max()), 1e-9)
    slack = (SIDE - scale * np.ptp(flat, axis=0)) / 2  # what centres the narrower axis

    def project(some: Matrix) -> NDArray[np.float64]:
        return np.asarray((some @ axes - low) * scale + slack, np.float64)

    panels = tuple(
        _panel(name, samples[name].gap, project(queries), project(targets))
        for name, (queries, targets) in moved.items()
    )
    everything = Markup('<path id="all-points" class="all" d="{}"/>').format(_dots(project(points)))
    return Space(panels, explained, everything)


def _centred(sample: Sample) -> tuple[Matrix, Matrix]:
    """Both sides moved so that the middle between their means is the origin."""
    middle = (sample.queries.mean(axis=0) + sample.targets.mean(axis=0)) / 2
    return sample.queries - middle, sample.targets - middle


def principal_axes(centred: Matrix) -> tuple[NDArray[np.float64], tuple[float, float]]:
    """The two directions [dim, 2] of most variance of `centred` [n, dim >= 2], and their shares of all of it.

    By randomised subspace iteration (Halko et al., 2011, algorithm 4.4), from a fixed start. Each direction's largest
    component is positive, so that the same points always give the same plane.
    """
    dim = centred.shape[1]
    basis = np.random.default_rng(0).normal(size=(dim, min(dim, SUBSPACE))).astype(np.float32)
    for _ in range(ITERATIONS):
        basis = np.linalg.qr(centred.T @ (centred @ basis))[0]
    _, lengths, turned = np.linalg.svd(centred @ basis, full_matrices=False)
    axes = np.asarray(basis @ turned[:2].T, np.float64)
    axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), [0, 1]])
    whole = max(float(np.square(centred).sum()), 1e-12)
    return axes, (float(lengths[0] ** 2) / whole, float(lengths[1] ** 2) / whole)


def _panel(name: str, gap: float, queries: NDArray[np.float64], targets: NDArray[np.float64]) -> Panel:
    (ax, ay), (bx, by) = queries.mean(axis=0), targets.mean(axis=0)
    picture = Markup(
        '<svg viewBox="0 0 {side} {side}" role="img" aria-label="{name}: queries and targets"><use href="#all-points"/>'
        '<path class="targets" d="{targets}"/><path class="queries" d="{queries}"/><path class="gap" d="{gap}"/></svg>'
    ).format(
        side=SIDE,
        name=name,
        targets=_dots(targets),
        queries="".join(f"M{short(x - 1.7)} {short(y)}h3.4m-1.7-1.7v3.4" for x, y in queries),
        gap=f"M{short(ax)} {short(ay)}L{short(bx)} {short(by)}",
    )
    return Panel(name, gap, picture)


def _dots(points: NDArray[np.float64]) -> str:
    """Path data of points without extent, which a stroke with round ends shows as dots."""
    return "".join(f"M{x:.1f} {y:.1f}h0" for x, y in points)
