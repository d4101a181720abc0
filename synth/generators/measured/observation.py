"""What has been measured in a picture or a clip, as plain values; wording reads nothing else.

Positions are fractions of the frame's width and height (x to the right, y down), distances are in
short sides of the frame, times in seconds from the start of the clip. An empty string says that
the measurement abstains.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Patch:
    """A connected region that differs in colour from everything along the frame's edges."""

    x: float
    y: float
    width: float
    height: float
    area: float  # share of the frame
    colour: str
    tone: str  # "light", "dark" or ""
    is_certain: bool  # people would hardly disagree about the colour's name
    form: str  # circle, oval, square, rectangle, triangle, diamond, star, cross, ring or ""
    is_flat: bool  # one even colour, as drawn


@dataclass(frozen=True)
class Ground:
    """What lies behind the patches. `colours`: names with tone and their share of it, most first."""

    structure: str  # plain, gradient, stripes, checker, blotches or "" (anything else)
    axis: str  # of a gradient the way it changes, of stripes the way they run: horizontal, vertical, diagonal or ""
    colours: tuple[tuple[str, float], ...]  # of a gradient: its two ends, left to right or top to bottom


@dataclass(frozen=True)
class Look:
    """The still appearance of a picture, or of all frames of a clip together."""

    aspect: float  # width / height
    palette: tuple[tuple[str, float], ...]  # colour names with their share of the pixels, most first
    grid: tuple[str, ...]  # the dominant colour of the 3x3 cells, row by row, "" where none has half of it
    brightness: float  # mean luma, 0-1
    lights: tuple[float, ...]  # mean luma of the 3x3 cells, row by row
    spots: tuple[tuple[str, int], ...]  # colours that lie mostly in one cell: name and cell, most pixels first
    contrast: float  # standard deviation of luma, 0-0.5
    colourfulness: float  # Hasler and Suesstrunk (2003): below 15 hardly any, above 60 strong
    detail: float  # share of pixels on an edge
    ground: Ground
    patches: tuple[Patch, ...]  # of the picture, or of the clip's middle frame
    faces: int  # frontal faces found with great certainty; 0 says nothing


@dataclass(frozen=True)
class Move:
    """One stretch of a track's way: `kind` is a direction, a figure, "still" or "" (unclear)."""

    kind: str
    start_s: float
    stop_s: float
    distance: float


@dataclass(frozen=True)
class Track:
    """One patch followed through time, its way measured against the background."""

    patch: Patch  # as it typically looks
    start: tuple[float, float]  # on screen, when first seen
    end: tuple[float, float]
    first_s: float
    last_s: float
    appears: bool  # it was not there before first_s
    disappears: bool
    moves: tuple[Move, ...]
    growth: float  # factor of its width from first to last seen


@dataclass(frozen=True)
class Camera:
    """Global motion: still, pan_right, tilt_up, zoom_in, ..., unsteady or "" (unclear).

    `halves` are the moves of the first and the second half of the clip alone.
    """

    move: str
    halves: tuple[str, str]


@dataclass(frozen=True)
class Activity:
    """Change between frames that the camera does not explain."""

    share: float  # mean share of pixels that change from one sample to the next
    halves: tuple[float, float]  # the same in the first and the second half
    places: tuple[float, ...]  # how much of all change falls into each 3x3 cell
    direction: str  # of most independently moving points: right, left, up, down or ""
    light: float  # last minus first brightness


@dataclass(frozen=True)
class Observation:
    """Everything measured in one clip."""

    duration_s: float
    look: Look
    camera: Camera
    tracks: tuple[Track, ...]
    activity: Activity
