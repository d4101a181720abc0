"""Batches of the toy release, and what is in them."""

from collections.abc import Iterable
from typing import Any

from tokenizers import Tokenizer

from shards.manifest import load_manifest
from train.batches import TrainBatch, TrainingBatches
from train.inputs import InputBuilder
from train.settings import BatchSettings, InputSettings
from train.tiny import train_tokenizer

INPUTS = InputSettings(frames=4, frame_max_pixels=56 * 56, image_max_pixels=56 * 56)
SETTINGS = BatchSettings(size=16, shuffle_pairs=20)


def make(
    release: str, settings: BatchSettings = SETTINGS, seed: int = 1, rank: int = 0, ranks: int = 1
) -> TrainingBatches:
    """The batches of one rank, for a model that spells every word."""
    tokenizer: Tokenizer = train_tokenizer([], 300)
    return TrainingBatches(load_manifest(release), InputBuilder(tokenizer, INPUTS, 2), settings, seed, rank, ranks)


def content(batches: Iterable[TrainBatch]) -> list[tuple[str, list[str], Any]]:
    """Task, ids and query tokens of each batch."""
    return [
        (batch.task, [pair.pair_id for pair in batch.pairs], [pair.query.ids.tolist() for pair in batch.pairs])
        for batch in batches
    ]
