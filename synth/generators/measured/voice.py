"""How a caption is worded: vocabulary by reading level, drawn at random, the facts staying the same."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Final

from synth.style import EDUCATION_LEVELS, READABILITY

# For every notion the words of the three levels; within a level one is drawn.
_LEXICON: Final[dict[str, tuple[tuple[str, ...], ...]]] = {
    "moves": (("moves", "goes"), ("moves", "travels", "goes"), ("moves", "travels", "proceeds")),
    "stays": (("stays still", "does not move"), ("stays in place", "stays still"), ("remains in place", "is at rest")),
    "stays in scene": (
        ("keeps its place", "stands still"),
        ("keeps its place in the scene",),
        ("keeps its place in the scene",),
    ),
    "stops": (("stops",), ("stops", "comes to rest"), ("comes to a halt", "comes to rest")),
    "waits": (("waits", "stays still"), ("waits", "rests at first"), ("rests at first", "is at rest initially")),
    "grows": (("gets bigger", "grows"), ("grows", "becomes larger"), ("grows", "expands")),
    "shrinks": (("gets smaller", "shrinks"), ("shrinks", "becomes smaller"), ("shrinks", "contracts")),
    "appears": (("appears", "shows up"), ("appears",), ("appears", "comes into being")),
    "vanishes": (("goes away", "is gone"), ("disappears", "vanishes"), ("disappears", "vanishes")),
    "video": (("video",), ("video", "clip"), ("clip", "shot")),
    "picture": (("picture",), ("picture", "frame"), ("frame", "image")),
    "background": (("background",), ("background",), ("background", "backdrop")),
    "mostly": (("mostly",), ("mostly", "mainly"), ("predominantly", "mainly")),
    "about": (("about",), ("about", "roughly"), ("approximately", "roughly")),
    "area": (("area", "part"), ("area", "patch"), ("region", "area")),
    "many": (("a lot of", "many"), ("many",), ("numerous", "many")),
    "shows": (("shows",), ("shows", "presents"), ("presents", "depicts")),
}

_SHARES: Final = ((0.04, "a very small part"), (0.15, "a small part"), (0.21, "less than a quarter"),
                  (0.29, "about a quarter"), (0.38, "about a third"), (0.45, "less than half"), (0.55, "about half"),
                  (0.75, "more than half"), (0.93, "most"), (2.0, "nearly all"))  # fmt: skip


class Voice:
    """One writer: draws words for one item. The same random state and level give the same words."""

    def __init__(self, random: Random, readability: str, education_level: str) -> None:
        """Unknown levels count as the middle one."""
        self.random = random
        self.level = READABILITY.index(readability) if readability in READABILITY else 1
        self.is_exact = education_level == EDUCATION_LEVELS[-1]  # numbers where others get words

    def pick(self, *options: str) -> str:
        """One of the options."""
        return self.random.choice(options)

    def word(self, notion: str) -> str:
        """A word for a notion at this reading level."""
        return self.random.choice(_LEXICON[notion][self.level])

    def chance(self, share: float) -> bool:
        """True in `share` of all cases."""
        return self.random.random() < share

    def share(self, value: float) -> str:
        """A share of the picture in words: "about a third", or a percentage for the exact."""
        if self.is_exact:
            return f"{self.word('about')} {max(1, round(value * 100))} percent"
        return next(text for limit, text in _SHARES if value < limit)


def words(text: str) -> int:
    """Number of words, as white space divides them."""
    return len(text.split())


def listed(parts: Sequence[str]) -> str:
    """a, b and c."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def with_article(noun: str) -> str:
    """a or an before a noun phrase."""
    return f"an {noun}" if noun[:1] in "aeiou" else f"a {noun}"


def sentence(text: str) -> str:
    """First letter in upper case, full stop at the end."""
    return text[:1].upper() + text[1:].rstrip(".") + "."
