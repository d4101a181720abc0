"""What kind of footage a clip is, told by measurement: film, slides, or the recording of a screen."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from infra.recipe import Settings
from infra.stage import Row

FILM, SLIDES, SCREEN = "film", "slides", "screen"
KINDS = (FILM, SLIDES, SCREEN)
NEEDS = ("page_share", "held_share", "page_turns", "pages_held_share")  # columns that the answer depends on


@dataclass(frozen=True)
class Footage(Settings):
    """Where one kind ends and the next begins.

    slides  pages of text, or any pictures, that are held and give way to others at once
    screen  pages on which something keeps moving: a cursor, typing, scrolling
    film    everything else: what was filmed, drawn or rendered, with its titles
    """

    min_page_share: float = 0.5  # of a clip's pictures: flat ground with lines of text on it
    min_held_share: float = 0.9  # of the time that slides stand still
    min_turns: int = 1  # in the whole video: a single held page is a title, or a frozen picture


def footage_kind(settings: Footage, row: Row) -> str:
    """One of KINDS, from a clip's measures (`synth.spans`); pure."""
    turns = row["page_turns"] >= settings.min_turns
    is_held = row["held_share"] >= settings.min_held_share
    if not _is_page(settings, row) or (is_held and not turns):
        return SLIDES if is_held and turns else FILM
    return SLIDES if turns and row["pages_held_share"] >= settings.min_held_share else SCREEN


def why(settings: Footage, row: Row) -> Row:
    """The scores behind the answer and the thresholds; of pages the whole video's holds count, not the clip's."""
    idle = "held_share" if _is_page(settings, row) else "pages_held_share"
    return {name: row[name] for name in NEEDS if name != idle} | asdict(settings)


def _is_page(settings: Footage, row: Row) -> bool:
    return bool(row["page_share"] >= settings.min_page_share)
