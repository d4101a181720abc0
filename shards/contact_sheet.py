"""The contact sheet of a release: a few of its clips as film strips, each above one of its captions."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Iterable, Sequence
from itertools import islice

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from infra.media.decode import sample_frames
from infra.store import Store
from shards.manifest import Manifest
from shards.reader import read_pairs
from shards.records import Pair

NAME = "contact-sheet.jpg"  # beside the manifest
CLIPS = 12
COLUMNS = 2
FRAMES = 3  # of each clip's strip
FRAME_WIDTH, FRAME_HEIGHT = 144, 96
TEXT_LINES = 4
LINE_CHARACTERS = 68
LINE_HEIGHT = 16
MARGIN = 10
INK, PAPER = (34, 34, 34), (255, 255, 255)


def first_clips(release: Manifest, count: int = CLIPS) -> list[Pair]:
    """The first text-to-video pairs of a release with different clips; empty when it has none."""
    shards = [release.path(shard) for shard in release.shards if shard.task == "T2V"]
    return list(islice(_distinct(read_pairs(shards)), count))


def _distinct(pairs: Iterable[Pair]) -> Iterable[Pair]:
    seen: set[str] = set()
    for pair in pairs:
        if pair.target_id not in seen:
            seen.add(pair.target_id)
            yield pair


def draw_contact_sheet(pairs: Sequence[Pair]) -> bytes:
    """A JPEG of the clips and captions of text-to-video pairs, in reading order."""
    cell = (FRAMES * FRAME_WIDTH + 2 * MARGIN, FRAME_HEIGHT + TEXT_LINES * LINE_HEIGHT + 2 * MARGIN)
    rows = -(-len(pairs) // COLUMNS)
    sheet = Image.new("RGB", (min(COLUMNS, len(pairs)) * cell[0], rows * cell[1]), PAPER)
    pen = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(12)
    for number, pair in enumerate(pairs):
        left, top = number % COLUMNS * cell[0] + MARGIN, number // COLUMNS * cell[1] + MARGIN
        sheet.paste(_strip(pair.target.video or b""), (left, top))
        lines = textwrap.wrap(pair.query.text or "", LINE_CHARACTERS, max_lines=TEXT_LINES, placeholder=" ...")
        for line, text in enumerate(lines):
            pen.text((left, top + FRAME_HEIGHT + 4 + line * LINE_HEIGHT), text, INK, font)
    picture = io.BytesIO()
    sheet.save(picture, format="JPEG", quality=85)
    return picture.getvalue()


def _strip(video: bytes) -> Image.Image:
    frames, _ = sample_frames(video, FRAMES)
    strip = Image.new("RGB", (FRAMES * FRAME_WIDTH, FRAME_HEIGHT), PAPER)
    for place, frame in enumerate(np.asarray(frames)):
        picture = Image.fromarray(frame)
        picture.thumbnail((FRAME_WIDTH, FRAME_HEIGHT))
        strip.paste(picture, (place * FRAME_WIDTH, (FRAME_HEIGHT - picture.height) // 2))
    return strip


def ensure_contact_sheet(release: Manifest) -> str | None:
    """Make the sheet beside the manifest unless it is there; returns its path, None for a release without clips."""
    store = Store(release.folder)
    if not store.exists(NAME):
        pairs = first_clips(release)
        if not pairs:
            return None
        store.write(NAME, draw_contact_sheet(pairs))
    return f"{store.url}/{NAME}"
