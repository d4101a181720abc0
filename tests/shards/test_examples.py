"""The drawing of examples: strips in their places, the same bytes every time."""

import io

import numpy as np
from PIL import Image

from shards.examples import FRAME_WIDTH, FRAMES, STRIP, Example, Sheet, draw_sheet, empty_strip, film_strip

RED, BLUE = (220, 20, 20), (20, 20, 220)


def pictures(colour: tuple[int, int, int], height: int = 90, width: int = 160) -> np.ndarray:
    return np.full((FRAMES, height, width, 3), colour, np.uint8)


def share(picture: Image.Image, colour: tuple[int, int, int]) -> float:
    """Of the pixels, those that are about this colour."""
    return float((abs(np.asarray(picture).astype(int) - colour) < 40).all(axis=2).mean())


def test_a_strip_shows_every_picture_whole() -> None:
    strip = film_strip(pictures(RED))
    assert strip.size == STRIP
    assert share(strip, RED) > 0.9
    upright = film_strip(pictures(RED, 160, 90))  # a telephone's
    assert 0.2 < share(upright, RED) < 0.4
    centres = [upright.getpixel((place * FRAME_WIDTH + FRAME_WIDTH // 2, 40)) for place in range(FRAMES)]
    assert centres == [RED] * FRAMES


def test_a_sheet_puts_dropped_and_kept_beside_each_other() -> None:
    dropped = Example("one", "score 3, max_score 2", film_strip(pictures(RED)))
    kept = Example("two", "score 1, max_score 2", film_strip(pictures(BLUE)))
    sheet = Sheet("stage: reason (7 dropped)", "dropped", "kept", (dropped, dropped), (kept,))
    drawn = draw_sheet(sheet)
    page = Image.open(io.BytesIO(drawn))
    left, right = (page.crop((x, 0, x + page.width // 2, page.height)) for x in (0, page.width // 2))
    assert share(left, RED) > 1.8 * share(right, BLUE) > 0.1
    assert share(left, BLUE) == share(right, RED) == 0.0
    assert draw_sheet(sheet) == drawn


def test_a_strip_without_pictures_says_why() -> None:
    assert empty_strip("no pictures: damaged").tobytes() != empty_strip("not of one video").tobytes()
    nothing = Sheet("stage: reason (1 dropped)", "dropped", "kept", (Example("", "", empty_strip("x")),), ())
    assert Image.open(io.BytesIO(draw_sheet(nothing))).width > 2 * STRIP[0]
