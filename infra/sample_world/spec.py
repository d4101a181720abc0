"""What one sample video shows, as plain values: the ground truth its pixels are rendered from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

# sRGB values, far enough apart to keep their names after H.264 with 4:2:0 chroma.
THING_COLOURS: Final[dict[str, tuple[int, int, int]]] = {
    "red": (215, 35, 35),
    "orange": (250, 135, 15),
    "yellow": (245, 225, 50),
    "green": (40, 165, 60),
    "cyan": (50, 205, 215),
    "blue": (35, 75, 215),
    "purple": (130, 45, 185),
    "pink": (250, 130, 190),
    "brown": (120, 70, 30),
    "white": (250, 250, 250),
    "black": (12, 12, 12),
    "gray": (128, 128, 128),
}

# The last word is the colour's name, a word before it its tone.
BACKGROUND_COLOURS: Final[dict[str, tuple[int, int, int]]] = {
    "white": (242, 242, 242),
    "light gray": (192, 192, 192),
    "dark gray": (72, 72, 72),
    "black": (16, 16, 16),
    "light blue": (150, 195, 245),
    "dark blue": (20, 35, 105),
    "light green": (165, 222, 160),
    "dark green": (18, 80, 38),
    "light purple": (205, 170, 240),
    "dark purple": (72, 25, 105),
    "light pink": (252, 200, 222),
    "dark red": (120, 18, 24),
    "dark brown": (72, 42, 20),
    "orange": (236, 140, 40),
    "light yellow": (250, 240, 160),
}

SHAPES: Final = ("circle", "square", "triangle", "diamond", "star", "cross", "ring", "bar")

SIZES: Final[dict[str, float]] = {"small": 0.09, "medium": 0.14, "large": 0.2}  # radius / short side

STRAIGHT: Final[dict[str, tuple[float, float]]] = {  # unit vectors, x to the right, y down
    "right": (1.0, 0.0),
    "left": (-1.0, 0.0),
    "up": (0.0, -1.0),
    "down": (0.0, 1.0),
    "up_right": (0.7071, -0.7071),
    "up_left": (-0.7071, -0.7071),
    "down_right": (0.7071, 0.7071),
    "down_left": (-0.7071, 0.7071),
}
CURVED: Final = ("clockwise", "counterclockwise", "zigzag_right", "zigzag_left", "back_and_forth", "up_and_down")
RESIZED: Final = ("grow", "shrink")
MOTIONS: Final = (*STRAIGHT, *CURVED, *RESIZED)

TEXTURES: Final = ("plain", "vertical_gradient", "horizontal_gradient", "horizontal_stripes", "vertical_stripes",
                   "diagonal_stripes", "checker", "spots")  # fmt: skip
CAMERA_TEXTURES: Final = ("checker", "spots")  # the ones on which every camera move can be seen
CAMERAS: Final = ("still", "pan_right", "pan_left", "tilt_up", "tilt_down", "zoom_in", "zoom_out")


@dataclass(frozen=True)
class Leg:
    """One stretch of movement; between legs a thing rests. Progress u runs from 0 to 1 over the shot.

    `distance` is in short sides of the frame: the length of a straight way, the radius of a circle;
    for `grow` and `shrink` it is the factor of the radius at the end.
    """

    motion: str
    start_u: float
    stop_u: float
    distance: float


@dataclass(frozen=True)
class Thing:
    """A flat shape in world coordinates: the frame of the shot's resting camera is [0, 1] x [0, 1]."""

    shape: str
    colour: str
    size: str
    x: float
    y: float
    legs: tuple[Leg, ...]
    appears_u: float = 0.0
    disappears_u: float = 1.0


@dataclass(frozen=True)
class Background:
    """One or two tones; `cell` is the width of a stripe, square or spot in short sides of the frame."""

    texture: str
    colours: tuple[str, ...]
    cell: float
    seed: int


@dataclass(frozen=True)
class Shot:
    """One uninterrupted take. `amount` of the camera: frames moved, or the zoom factor."""

    frames: int
    background: Background
    camera: str
    amount: float
    things: tuple[Thing, ...]
    event: str


@dataclass(frozen=True)
class VideoSpec:
    """Ground truth of one video; `weak_kind` says how far its weak caption can be trusted.

    weak_kind: "true", "vague" (true and saying little), "wrong" (of another video), "boilerplate"
    (not about the picture) or "missing".
    """

    seed: int
    index: int
    width: int
    height: int
    fps: int
    shots: tuple[Shot, ...]
    weak_caption: str
    weak_kind: str

    @property
    def name(self) -> str:
        """File name of the video."""
        return f"world-{self.seed}-{self.index:06d}.mp4"

    def spans_s(self) -> list[tuple[float, float]]:
        """Start and end of every shot, in seconds."""
        spans, start = [], 0
        for shot in self.shots:
            spans.append((start / self.fps, (start + shot.frames) / self.fps))
            start += shot.frames
        return spans
