"""Settings of the model, its inputs and its training; light to import, for recipes."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from infra.errors import UsageError
from infra.recipe import Settings
from shards.records import TASKS

PIXELS_PER_TOKEN = 28 * 28  # of a picture, or of a pair of frames


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

    @property
    def frame_tokens(self) -> int:
        """Tokens that a frame takes at most; the language model sees half of it, two frames being one."""
        return self.frame_max_pixels // PIXELS_PER_TOKEN

    def scaled(self, frames: int | None, frame_tokens: int | None) -> InputSettings:
        """With other frames of a clip and tokens of a frame, and as much more room for them as they take (A.12).

        None keeps what there is. Raises UsageError when no frame can be so small.
        """
        frames, frame_tokens = frames or self.frames, frame_tokens or self.frame_tokens
        most = self.frame_max_pixels if frame_tokens == self.frame_tokens else frame_tokens * PIXELS_PER_TOKEN
        if most < self.frame_min_pixels or frames < 1:
            least = -(-self.frame_min_pixels // PIXELS_PER_TOKEN)
            raise UsageError(f"a clip has at least 1 frame and a frame of this model at least {least} tokens")
        more = -(-frames // 2) * frame_tokens - -(-self.frames // 2) * self.frame_tokens
        return replace(self, frames=frames, frame_max_pixels=most, max_tokens=self.max_tokens + max(0, more))


@dataclass(frozen=True)
class TinySettings(Settings):
    """Sizes of the tiny model; the text hidden size is also the length of its embeddings."""

    vocab_size: int = 1024  # 256 bytes, the special tokens, and merges learnt from the release's texts
    hidden: int = 96
    layers: int = 1
    heads: int = 4
    kv_heads: int = 2
    intermediate: int = 128
    vision_hidden: int = 96
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

    size: int = 32  # pairs of a step, over all ranks; the paper's are 32 or 64 a GPU, at least 1024 in all (table 7)
    sizes: dict[str, int] = field(default_factory=dict)  # of single tasks, over all ranks, as {T2I = 16}
    tasks: tuple[str, ...] = ()  # that are trained on; empty: all that the release has
    hard_negatives: bool = True  # those that the release names
    mine_negatives: bool = False  # anew before each epoch (`train.mining`), in place of those that the release names
    negative_max_share: float = 0.95  # of the positive's cosine that a mined negative's is at most
    shuffle_pairs: int = 2048  # pairs of a task that are shuffled among themselves, from a few shards at once
    neighbours: int = 0  # of those, near ones that come right behind a pair, into its batch (`train.neighbours`)
    readers: int = 3  # threads that read samples, decode and resize media
    cache_bytes: int = 2**30  # inputs kept in memory, so that a clip is decoded once and not every epoch
    shard_cache: str = "~/.cache/uvr/shards"  # where copies of shards from an object store are kept
    shard_cache_bytes: int = 50_000_000_000

    def __post_init__(self) -> None:
        if unknown := ({*self.sizes, *self.tasks} - {*TASKS}):
            raise UsageError(f"recipe: train.batches names tasks {sorted(unknown)}; there are {', '.join(TASKS)}")
        if min([self.size, *self.sizes.values()]) < 2:
            raise UsageError("recipe: a batch of train.batches has at least two pairs: one has no negatives")
        if self.readers < 1:
            raise UsageError("recipe: train.batches.readers is at least 1")
        if not 0 <= self.neighbours < min([self.size, *self.sizes.values()]):
            raise UsageError("recipe: train.batches.neighbours is at least 0 and less than the pairs of a batch")
        if not 0 < self.negative_max_share <= 1:
            raise UsageError("recipe: train.batches.negative_max_share is a share of a cosine, over 0 to 1")

    def size_of(self, task: str) -> int:
        """Pairs of a step of `task`, over all ranks."""
        return self.sizes.get(task, self.size)


@dataclass(frozen=True)
class CurriculumSettings(Settings):
    """Which task each step serves (section 3.3; see `train.curriculum`)."""

    # The paper's is the pyramid. A model that starts from random weights, which no prober knows, learns less by it.
    schedule: Literal["pyramid", "uniform", "proportional", "reversed"] = "proportional"
    prober: str = ""  # checkpoint folder that scores for the first epoch; empty: the model as it starts
    probes: int = 64  # N_p: pairs of each task that are scored at the start of an epoch
    first_sigma: float = 0.1
    last_sigma: float = 1.0
    max_passes: float = 4.0  # over the pairs of one task in one epoch: P(k) does not ask how many there are

    def __post_init__(self) -> None:
        if self.max_passes < 1:
            raise UsageError("recipe: train.curriculum.max_passes is at least 1, else an epoch has too few pairs")
        if min(self.first_sigma, self.last_sigma) <= 0 or self.probes < 1:
            raise UsageError("recipe: sigmas and probes of train.curriculum are above 0")

    @property
    def probing(self) -> bool:
        """Whether the shares depend on how a prober scores."""
        return self.schedule in ("pyramid", "reversed")


# Inputs of the tiny model: a clip is 2 grids of at most 16 tokens. Few sharp frames teach more than many small ones.
TINY_INPUTS = InputSettings(
    frames=4, frame_max_pixels=16 * PIXELS_PER_TOKEN, image_max_pixels=24 * PIXELS_PER_TOKEN, max_tokens=160
)


@dataclass(frozen=True)
class TrainSettings(Settings):
    """Settings of one training run; the defaults fit the tiny model on two CPU cores.

    The paper's values (section 3.3, appendix A.7): AdamW, learning rate 3e-5, weight decay 0.1,
    temperature 0.03, cosine schedule, 3 epochs, seed 42, at least 1024 pairs a step.
    """

    checkpoint: str = ""  # local folder of the model to start from; empty: a tiny one from random weights
    seed: int = 42
    epochs: int = 20
    max_steps: int = 0  # stop after this many steps; 0: after the epochs
    # Empty: the paper's AdamW for a checkpoint; from random weights Muon for linear layers, which learn faster by it.
    optimizer: Literal["", "adamw", "muon"] = ""
    learning_rate: float = 3e-3  # at its peak
    warmup_share: float = 0.05  # of all steps
    weight_decay: float = 0.1  # on matrices only
    max_gradient_norm: float = 1.0
    temperature: float = 0.03
    false_negative_margin: float = 0.1  # a negative whose cosine is so far above the positive's is taken for a positive
    chunk_tokens: int = 0  # that are in memory with their gradients at once (GradCache); 0: a whole batch
    bfloat16: bool = False  # compute in it; weights that are not trained are kept in it
    checkpoint_activations: bool = False  # compute them again on the way back, which takes less memory
    threads: int = 1  # torch's on a CPU; the second core decodes
    rank_timeout_s: float = 1800.0  # how late a rank may be: it may have to fetch and decode its first shards
    checkpoint_steps: int = 500  # between two checkpoints; there is one after every epoch as well
    checkpoints_kept: int = 1
    batches: BatchSettings = field(default_factory=BatchSettings)
    curriculum: CurriculumSettings = field(default_factory=CurriculumSettings)
    tiny: TinySettings = field(default_factory=TinySettings)
    tiny_inputs: InputSettings = TINY_INPUTS
    lora: LoraSettings = field(default_factory=LoraSettings)

    def __post_init__(self) -> None:
        if min(self.checkpoint_steps, self.checkpoints_kept) < 1:
            raise UsageError("recipe: train.checkpoint_steps and train.checkpoints_kept are at least 1")

    @property
    def muon(self) -> bool:
        """Whether linear layers are left to Muon."""
        return self.optimizer == "muon" or not (self.optimizer or self.checkpoint)

    def decisive(self) -> dict[str, Any]:
        """The settings that decide the weights: all but how the machine is used."""
        batches = replace(self.batches, readers=1, cache_bytes=0, shard_cache="", shard_cache_bytes=0)
        return {
            name: value
            for name, value in asdict(replace(self, batches=batches)).items()
            if name not in ("threads", "rank_timeout_s", "checkpoint_steps", "checkpoints_kept")
        }
