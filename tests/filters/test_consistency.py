"""Cross-modal consistency: true captions pass, captions of other clips do not, thresholds do what they say."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_vectors import unit

from filters.consistency import Consistency, row_cosines, score
from infra.errors import UsageError
from infra.stage import Drop
from shards.vectors import VECTOR, pack

COLUMNS = pa.schema([("key", pa.string()), ("clip_vector", VECTOR), ("text_vector", VECTOR), ("video_id", pa.string())])
NOTHING = pa.table({"key": pa.array([], pa.string())})


def clips(count: int, seed: int = 0, noise: float = 0.5, swapped: int = 0, videos: int = 0) -> pa.Table:
    """Clips whose captions share half of what they show; the first `swapped` have each other's captions."""
    rng = np.random.default_rng(seed)
    shown = unit(rng.standard_normal((count, 16)))
    told = unit(shown + noise * unit(rng.standard_normal((count, 16))))
    told[:swapped] = np.roll(told[:swapped], 1, axis=0)
    return pa.Table.from_pylist(
        [
            {"key": f"{i:04d}", "clip_vector": pack(v), "text_vector": pack(t), "video_id": str(i % (videos or count))}
            for i, (v, t) in enumerate(zip(shown, told, strict=True))
        ],
        schema=COLUMNS,
    )


def split(outcomes: Any) -> tuple[dict[str, float | None], dict[str, Drop]]:
    found = list(outcomes)
    kept = {o["key"]: o["consistency"] for o in found if isinstance(o, dict)}
    drops = {o.key: o for o in found if isinstance(o, Drop)}
    assert len(kept) + len(drops) == len(found)
    return kept, drops


def test_captions_of_other_clips_are_found_and_true_ones_pass() -> None:
    kept, drops = split(Consistency(shuffled_quantile=0.9).compute(clips(1000, swapped=100), NOTHING))
    wrong = {f"{i:04d}" for i in range(100)}
    assert len(wrong & set(drops)) >= 80  # nine tenths of them, give or take
    assert not set(drops) - wrong
    assert len(kept) + len(drops) == 1000


def test_a_drop_says_what_it_scored_and_against_what() -> None:
    stage = Consistency(min_cosine=-0.5, shuffled_quantile=0.9, drop_quantile=0.01)
    _, drops = split(stage.compute(clips(300, swapped=30), NOTHING))
    for drop in drops.values():
        detail = drop.detail
        assert drop.reason == "inconsistent"
        assert detail["cosine"] < detail["threshold"] == max(detail["shuffled_cosine"], detail["quantile_cosine"])
        assert (detail["min_cosine"], detail["shuffled_quantile"], detail["drop_quantile"]) == (-0.5, 0.9, 0.01)
        assert detail["shuffled_pairs"] == 300


@given(
    seed=st.integers(0, 1000),
    count=st.integers(0, 60),
    low=st.floats(0, 1),
    high=st.floats(0, 1),
    setting=st.sampled_from(["min_cosine", "shuffled_quantile", "drop_quantile"]),
)
@settings(deadline=None, max_examples=60)
def test_a_higher_threshold_drops_no_less(seed: int, count: int, low: float, high: float, setting: str) -> None:
    table = clips(count, seed, noise=1.5, swapped=count // 4)
    loose, strict = (Consistency(**{setting: value}) for value in sorted((low, high)))
    lost = [set(split(stage.compute(table, NOTHING))[1]) for stage in (loose, strict)]
    assert lost[0] <= lost[1]


@given(seed=st.integers(0, 1000), count=st.integers(1, 60), released=st.integers(0, 10))
@settings(deadline=None, max_examples=40)
def test_every_row_has_one_answer_and_no_released_one_is_dropped(seed: int, count: int, released: int) -> None:
    table = clips(count, seed, noise=2.0)
    past = table.select(["key"]).slice(0, released)
    stage = Consistency(min_cosine=0.5)
    kept, drops = split(stage.compute(table, past))
    assert sorted([*kept, *drops]) == table["key"].to_pylist()
    assert not set(drops) & set(past["key"].to_pylist())
    in_pieces = pa.concat_tables([table.slice(start, 7) for start in range(0, count, 7)])
    assert split(stage.compute(in_pieces, past)) == (kept, drops)
    assert not split(Consistency(min_cosine=0.5, score_only=True).compute(table, past))[1]


def test_the_lowest_share_goes() -> None:
    stage = Consistency(shuffled_quantile=0, drop_quantile=0.1)
    _, drops = split(stage.compute(clips(200, noise=1.0), NOTHING))
    assert len(drops) == 20


def test_cosines_are_the_mean_over_captions_and_shuffled_ones_cross_videos() -> None:
    rng = np.random.default_rng(0)
    shown, captions = unit(rng.standard_normal((9, 16))), unit(rng.standard_normal((45, 16))).reshape(9, 5, 16)
    means = captions.mean(axis=1).astype(np.float16)
    found = row_cosines(shown.astype(np.float16), means)
    np.testing.assert_allclose(found, np.einsum("nd,ncd->nc", shown, captions).mean(axis=1), atol=2e-3)
    own, shuffled = score(clips(40, videos=1), 0)
    assert (len(own), len(shuffled)) == (40, 0)  # all of one video: nothing to learn from
    assert len(score(clips(40), 0)[1]) == 40
    assert 20 < len(score(clips(40, videos=4), 0)[1]) < 40


def test_without_vectors_everything_passes_and_says_so() -> None:
    bare = pa.Table.from_pylist([{"key": "a", "video_id": "v"}, {"key": "b", "video_id": "w"}], schema=COLUMNS)
    assert split(Consistency(min_cosine=1, drop_quantile=1).compute(bare, NOTHING)) == ({"a": None, "b": None}, {})
    assert split(Consistency().compute(bare.slice(0, 0), NOTHING)) == ({}, {})


def test_a_share_is_between_0_and_1() -> None:
    with pytest.raises(UsageError, match="shuffled_quantile"):
        Consistency(shuffled_quantile=95)
