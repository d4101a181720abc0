"""The funnel's picture shows what the counts say."""

import io

import numpy as np
from PIL import Image

from infra.counts import Counts
from infra.funnel import FATES, draw_funnel


def colour_shares(picture: bytes) -> dict[str, float]:
    """Pixels of each fate's colour, as a share of all fates' pixels."""
    image = np.asarray(Image.open(io.BytesIO(picture)).convert("RGB"))[60:]  # below the legend
    counts = {}
    for field, _, color in FATES:
        rgb = [int(color[i : i + 2], 16) for i in (1, 3, 5)]
        counts[field] = float((image == rgb).all(axis=2).sum())
    return {field: count / sum(counts.values()) for field, count in counts.items()}


def test_every_fate_takes_its_share_of_the_bars() -> None:
    empty = Counts("sources", 0, 0, 0, 0, 0, 0, 0.0, 0)
    probe = Counts("probe", 100, 60, 60, 30, 10, 0, 1.0, 0)
    counts = [empty, probe, Counts("cut", 60, 90, 30, 0, 0, 30, 1.0, 0)]
    shares = colour_shares(draw_funnel(counts))
    for field, expected in {"parents": 0.55, "dropped": 0.15, "quarantined": 0.05, "pending": 0.25}.items():
        assert abs(shares[field] - expected) < 0.02, shares
    assert draw_funnel(counts) == draw_funnel(counts)


def test_an_empty_stage_is_no_trouble() -> None:
    assert draw_funnel([Counts("probe", 0, 0, 0, 0, 0, 0, 0.0, 0)]).startswith(b"\x89PNG")
