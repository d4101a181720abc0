"""Settings of the model, its inputs and its training; light to import, for recipes."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any

from infra.recipe import Settings


@dataclass(frozen=True)
class InputSettings(Settings):
    """How sides become inputs; saved with the model, since its weights only fit the inputs they saw.

    The defaults are those of the released GVE checkpoints (appendix A.7): 8 uniform frames, at most
    200 tokens a frame, 8192 tokens a sequence, frames taken as 1 FPS.
    """

    frames: int = 8  # frames sampled from a clip, uniformly
    frame_min_pixels: int = 56 * 56  # area of one frame after resizing
    frame_max_pixels: int = 200 * 28 * 28
    image_min_pixels: int = 56 * 56
    image_max_pixels: int = 1280 * 28 * 28
    seconds_per_grid: float = 2.0  # nominal seconds that a pair of frames covers, whatever the clip's length
    max_tokens: int = 8192  # longer texts lose their end
    default_instruction: str = "You are a helpful assistant."
    pooled_token: str = "<|endoftext|>"


@dataclass(frozen=True)
class TinySettings(Settings):
    """Sizes of the tiny model; the text hidden size is also the length of its embeddings."""

    vocab_size: int = 1024  # 256 bytes, the special tokens, and merges learnt from the release's texts
    hidden: int = 128
    layers: int = 2
    heads: int = 4
    kv_heads: int = 2
    intermediate: int = 256
    vision_hidden: int = 64
    vision_depth: int = 1
    vision_heads: int = 4
    initializer_range: float = 0.06  # the usual 0.02 halves what is learnt in minutes


@dataclass(frozen=True)
class LoraSettings(Settings):
    """Low-rank adapters of the language model; the defaults but the rank are those of table 9, whose rank is 16."""

    rank: int = 0  # 0: no adapters, all weights are trained
    alpha: int = 32  # what an adapter adds is scaled by alpha / rank
    dropout: float = 0.1  # of an adapter's input


@dataclass(frozen=True)
class BatchSettings(Settings):
    """How batches are made."""

    size: int = 32  # pairs in a batch; the paper's are 32 or 64 a GPU, at least 1024 over all (table 7)
    shuffle_pairs: int = 2048  # pairs of a task that are shuffled among themselves, from a few shards at once
    cache_bytes: int = 2**30  # inputs kept in memory, so that a clip is decoded once and not every epoch
    shard_cache: str = "~/.cache/uvr/shards"  # where copies of shards from an object store are kept
    shard_cache_bytes: int = 50_000_000_000


# Inputs of the tiny model: a clip is 4 grids of at most 8 tokens.
TINY_INPUTS = InputSettings(frame_max_pixels=8 * 28 * 28, image_max_pixels=8 * 28 * 28, max_tokens=160)


@dataclass(frozen=True)
class TrainSettings(Settings):
    """Settings of one training run; the defaults fit the tiny model on two CPU cores.

    The paper's values (section 3.3, appendix A.7): learning rate 3e-5, weight decay 0.1, temperature
    0.03, cosine schedule, 3 epochs, seed 42, at least 1024 pairs a step.
    """

    checkpoint: str = ""  # local folder of the model to start from; empty: a tiny one from random weights
    seed: int = 42
    epochs: int = 20
    max_steps: int = 0  # stop after this many steps; 0: after the epochs
    learning_rate: float = 1e-3  # at its peak
    warmup_share: float = 0.05  # of all steps
    weight_decay: float = 0.1  # on matrices only
    max_gradient_norm: float = 1.0
    temperature: float = 0.03
    threads: int = 1  # torch's; the second core decodes
    batches: BatchSettings = field(default_factory=BatchSettings)
    tiny: TinySettings = field(default_factory=TinySettings)
    tiny_inputs: InputSettings = TINY_INPUTS
    lora: LoraSettings = field(default_factory=LoraSettings)

    def decisive(self) -> dict[str, Any]:
        """The settings that decide the weights: all but how the machine is used."""
        batches = replace(self.batches, cache_bytes=0, shard_cache="", shard_cache_bytes=0)
        return asdict(replace(self, threads=0, batches=batches))
