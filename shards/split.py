"""Which split a source video belongs to; every pair made from it goes there."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable


def rank(seed: int, *parts: str) -> float:
    """A number in [0, 1) drawn from a seed and some names: stable, uniform, independent of all other draws."""
    text = "\x1f".join([str(seed), *parts])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") / 2**64


def is_held_out(video_id: str, val_share: float, seed: int) -> bool:
    """Whether a video is held out by every release of these settings, whatever other videos there are."""
    return rank(seed, "split", video_id) < val_share


def val_videos(video_ids: Iterable[str], val_share: float, seed: int) -> set[str]:
    """The held-out source videos: those whose rank is under `val_share`, at least one of two or more.

    A rank depends on the video alone, so a video keeps its split when others come or go.
    """
    ranked = sorted((rank(seed, "split", video_id), video_id) for video_id in set(video_ids))
    chosen = {video_id for value, video_id in ranked if value < val_share}
    if not chosen and val_share > 0 and len(ranked) > 1:
        chosen = {ranked[0][1]}
    return chosen
