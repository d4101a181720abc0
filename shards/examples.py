"""Examples of what a filter does: film strips of what it dropped beside what it kept, each above its scores."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

FRAMES = 4  # of each strip
FRAME_WIDTH, FRAME_HEIGHT = 152, 86
STRIP = (FRAMES * FRAME_WIDTH, FRAME_HEIGHT)
TITLE_CHARACTERS, TEXT_CHARACTERS = 84, 98  # that fit beside each other under a strip
TEXT_LINES = 2
LINE_HEIGHT = 15
MARGIN = 12
INK, FAINT, PAPER, GROUND = (28, 28, 28), (110, 110, 110), (255, 255, 255), (225, 225, 225)


@dataclass(frozen=True)
class Example:
    """One clip to look at: its strip, and what to write below."""

    title: str
    text: str
    strip: Image.Image


@dataclass(frozen=True)
class Sheet:
    """The examples of one reason: two columns of equal standing, row by row beside each other."""

    heading: str
    left_title: str
    right_title: str
    left: tuple[Example, ...]
    right: tuple[Example, ...]


def film_strip(pictures: NDArray[np.uint8]) -> Image.Image:
    """The first FRAMES pictures, RGB uint8 [n, h, w, 3], side by side, each whole, on grey."""
    strip = Image.new("RGB", STRIP, GROUND)
    for place, frame in enumerate(pictures[:FRAMES]):
        picture = Image.fromarray(frame)
        picture.thumbnail((FRAME_WIDTH - 2, FRAME_HEIGHT))
        left = place * FRAME_WIDTH + (FRAME_WIDTH - picture.width) // 2
        strip.paste(picture, (left, (FRAME_HEIGHT - picture.height) // 2))
    return strip


def empty_strip(why: str) -> Image.Image:
    """A strip without pictures that says why."""
    strip = Image.new("RGB", STRIP, GROUND)
    ImageDraw.Draw(strip).text((MARGIN, FRAME_HEIGHT // 2 - 6), why, FAINT, ImageFont.load_default(12))
    return strip


def jpeg(picture: Image.Image) -> bytes:
    """The picture as JPEG bytes."""
    data = io.BytesIO()
    picture.save(data, format="JPEG", quality=85)
    return data.getvalue()


def draw_sheet(sheet: Sheet) -> bytes:
    """A JPEG of the sheet: the heading, two columns with titles, an example of each in every row."""
    rows = max(len(sheet.left), len(sheet.right), 1)
    cell = (STRIP[0] + 2 * MARGIN, FRAME_HEIGHT + (TEXT_LINES + 1) * LINE_HEIGHT + 2 * MARGIN)
    top = 64
    page = Image.new("RGB", (2 * cell[0], top + rows * cell[1]), PAPER)
    pen = ImageDraw.Draw(page)
    pen.text((MARGIN, MARGIN), sheet.heading, INK, ImageFont.load_default(18))
    columns: list[tuple[str, Sequence[Example]]] = [
        (sheet.left_title, sheet.left),
        (sheet.right_title, sheet.right),
    ]
    for number, (title, examples) in enumerate(columns):
        left = number * cell[0] + MARGIN
        pen.text((left, top - 22), title, FAINT, ImageFont.load_default(14))
        for row, example in enumerate(examples):
            _draw_example(page, example, (left, top + row * cell[1]))
    return jpeg(page)


def _draw_example(page: Image.Image, example: Example, corner: tuple[int, int]) -> None:
    pen = ImageDraw.Draw(page)
    left, top = corner
    page.paste(example.strip, corner)
    title = textwrap.shorten(example.title, TITLE_CHARACTERS, placeholder=" ...")
    pen.text((left, top + FRAME_HEIGHT + 4), title, INK, ImageFont.load_default(13))
    lines = textwrap.wrap(example.text, TEXT_CHARACTERS, max_lines=TEXT_LINES, placeholder=" ...")
    for line, text in enumerate(lines, start=1):
        at = (left, top + FRAME_HEIGHT + 6 + line * LINE_HEIGHT)
        pen.text(at, text, FAINT, ImageFont.load_default(12))
