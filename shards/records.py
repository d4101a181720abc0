"""The records that cross from making data to using it: tasks, sides and pairs.

A retrieval task is query -> target, each side made of text (T), an image (I) and a video (V)
(arXiv 2510.27571, section 3.1). The seven training tasks and their shares are table 7.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

TASKS: Final = ("T2T", "T2I", "T2V", "TI2V", "TV2V", "I2V", "V2V")

# Pairs by task in UVRD, in thousands (table 7); a smaller target keeps these ratios.
UVRD_THOUSANDS: Final = {
    "T2T": 100,
    "T2I": 210,
    "T2V": 879,
    "TI2V": 89,
    "TV2V": 35,
    "I2V": 200,
    "V2V": 36,
}

# Tasks whose queries get one hard negative each, the others none (table 7). The targets of all of them are clips.
HARD_NEGATIVE_TASKS: Final = ("T2V", "TI2V", "TV2V")

SPLITS: Final = ("train", "val", "test")  # trained on; judged by, again and again; for the last word only

# The five caption kinds asked of the generator for every clip and every frame (appendix A.6).
CAPTION_KINDS: Final = ("summary", "detailed", "abstract", "keywords", "partial")

# Query-side instruction by task; targets are embedded without one.
INSTRUCTIONS: Final = {
    "T2T": "Find the text that describes the same video.",
    "T2I": "Find the image that the text describes.",
    "T2V": "Find the video that the text describes.",
    "TI2V": "Find the video that the image and the text describe together.",
    "TV2V": "Find the video that the video clip and the text describe together.",
    "I2V": "Find the video that the image comes from.",
    "V2V": "Find the video that the clip comes from.",
}


@dataclass(frozen=True)
class Side:
    """One side of a pair: any combination of text, an encoded image (JPEG) and an encoded video (MP4).

    Any image and video that `infra.media.decode` reads will do, frames packed by `infra.media.frames` too.
    """

    text: str | None = None
    image: bytes | None = None
    video: bytes | None = None


@dataclass(frozen=True)
class Pair:
    """One positive pair as read back from a shard.

    `query_id` and `target_id` are derived from content: two pairs that share a target share its id,
    which is what makes one of them a positive of the other and never its negative. `negatives` are ids of
    pairs of the same release, task and split; their targets are hard negatives of this query.
    """

    pair_id: str
    task: str
    video_id: str
    query_id: str
    target_id: str
    query: Side
    target: Side
    negatives: tuple[str, ...] = ()
