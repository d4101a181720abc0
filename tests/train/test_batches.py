"""Batches: one task each, an order that the seed alone decides, every pair at most once an epoch."""

from collections import Counter
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from shards.manifest import load_manifest
from train.batches import TrainBatch, TrainingBatches, steps_of_epoch
from train.inputs import InputBuilder
from train.settings import BatchSettings, InputSettings
from train.tiny import train_tokenizer

INPUTS = InputSettings(frames=4, frame_max_pixels=56 * 56, image_max_pixels=56 * 56)
SETTINGS = BatchSettings(size=16, shuffle_pairs=20)


def make(release: str, settings: BatchSettings = SETTINGS, seed: int = 1) -> TrainingBatches:
    tokenizer: Tokenizer = train_tokenizer([], 300)
    return TrainingBatches(load_manifest(release), InputBuilder(tokenizer, INPUTS, 2), settings, seed)


def content(batches: list[TrainBatch]) -> list[tuple[str, list[str], Any]]:
    return [
        (batch.task, [pair.pair_id for pair in batch.pairs], [pair.query.ids.tolist() for pair in batch.pairs])
        for batch in batches
    ]


def test_an_epoch_serves_each_task_with_its_own_pairs_once(toy_release: str) -> None:
    batches = list(make(toy_release).epoch(0))
    assert Counter(batch.task for batch in batches) == {"T2V": 2, "I2V": 2, "T2T": 2}
    assert all(pair.pair_id.startswith(batch.task) for batch in batches for pair in batch.pairs)
    seen = [pair.pair_id for batch in batches for pair in batch.pairs]
    assert len(seen) == len(set(seen)) == 6 * 16


def test_the_order_depends_on_seed_and_epoch_and_not_on_what_is_cached(toy_release: str) -> None:
    warm, cold = make(toy_release), make(toy_release, replace(SETTINGS, cache_bytes=0))
    first = content(list(warm.epoch(0)))
    assert content(list(warm.epoch(0))) == first  # now from memory
    assert content(list(cold.epoch(0))) == first
    assert content(list(warm.epoch(1))) == content(list(cold.epoch(1))) != first
    assert content(list(make(toy_release, seed=2).epoch(0))) != first


@pytest.mark.parametrize("left_at", [0, 1, 4, 5])
def test_an_epoch_goes_on_where_it_was_left(toy_release: str, left_at: int) -> None:
    whole = content(list(make(toy_release).epoch(1)))
    first = make(toy_release).epoch(1)
    begun = content(list(islice(first, left_at)))
    second = make(toy_release).epoch(1)
    second.load_state_dict(first.state_dict())
    assert begun + content(list(second)) == whole


def test_bad_samples_are_counted_and_their_task_has_fewer_pairs(toy_release: str, tmp_path: Path) -> None:
    for file in Path(toy_release).parent.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    hurt = tmp_path / "train-T2V-000001.tar"
    hurt.write_bytes(hurt.read_bytes()[:2000])  # the first of 16 samples is whole, if any
    batches = make(str(tmp_path / "manifest.json"))
    found = list(batches.epoch(0))
    assert sum(len(batch.pairs) for batch in found if batch.task == "T2V") in (40 - 16, 40 - 15)
    assert batches.bad.counts["corrupt_sample"] in (15, 16)
    assert "train-T2V-000001.tar" in batches.bad.first["corrupt_sample"]


@given(st.dictionaries(st.sampled_from(["T2T", "T2V", "V2V"]), st.integers(0, 300)), st.integers(2, 64))
def test_steps_are_whole_batches_in_a_seeded_order(pairs: dict[str, int], size: int) -> None:
    steps = Counter(steps_of_epoch(pairs, size, seed=3, epoch=5))
    for task, n in pairs.items():
        assert steps[task] == (n // size or int(n > 1))


def test_the_order_of_steps_is_uniform_over_epochs() -> None:
    """The place of the only V2V step among 10 is uniform: chi-square over 2,000 epochs, 9 degrees of freedom."""
    places = Counter(steps_of_epoch({"T2V": 90, "V2V": 10}, 10, 0, epoch).index("V2V") for epoch in range(2000))
    assert sum((places[i] - 200) ** 2 / 200 for i in range(10)) < 27.9  # p = 0.001
