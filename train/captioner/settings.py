"""Settings of the captioner and its training; light to import."""

from __future__ import annotations

from dataclasses import dataclass, field

from infra.recipe import Settings
from train.settings import TINY_INPUTS, InputSettings, TinySettings


@dataclass(frozen=True)
class WorldSettings(Settings):
    """What it is shown while it learns."""

    seed: int = 90_001  # of the sample world; demo and tests draw from other seeds
    videos: int = 3600
    canaries: int = 240  # one large still thing on plain white
    subclip_share: float = 0.25  # of the shots, those that a reference clip is cut from as well


@dataclass(frozen=True)
class CaptionerSettings(Settings):
    """Defaults take about seven minutes on one core."""

    seed: int = 42
    world: WorldSettings = field(default_factory=WorldSettings)
    inputs: InputSettings = TINY_INPUTS  # a clip is 4 grids of 6 tokens, or of 4 when it is square
    sizes: TinySettings = field(default_factory=lambda: TinySettings(vocab_size=1280))
    look_steps: int = 2000  # seeing what single pictures show
    first_steps: int = 800  # writing the first sentences of answers, which tell the facts
    whole_steps: int = 60  # writing whole answers
    batch: int = 32  # examples
    learning_rate: float = 2e-3  # at its peak
    warmup_share: float = 0.03
    weight_decay: float = 0.01  # on matrices only
    max_gradient_norm: float = 1.0
    threads: int = 1  # torch's

    @property
    def steps(self) -> int:
        """Steps of training in all."""
        return self.look_steps + self.first_steps + self.whole_steps
