"""Settings of the captioner and its training; light to import."""

from __future__ import annotations

from dataclasses import dataclass, field

from infra.recipe import Settings
from train.settings import InputSettings, TinySettings

# Twice the side of the tiny GVE's: at 56 pixels a small thing is smaller than a patch, and its colour is lost in it
# (71% right after 1,200 steps of looking, against 94% after 900 at this size).
CAPTIONER_INPUTS = InputSettings(
    frame_min_pixels=16 * 28 * 28,
    frame_max_pixels=32 * 28 * 28,
    image_min_pixels=16 * 28 * 28,
    image_max_pixels=32 * 28 * 28,
)


@dataclass(frozen=True)
class WorldSettings(Settings):
    """What it is shown while it learns."""

    seed: int = 90_001  # of the sample world; demo and tests draw from other seeds
    videos: int = 3000
    canaries: int = 240  # one large still thing on plain white
    subclip_share: float = 0.25  # of the shots, those that a reference clip is cut from as well


@dataclass(frozen=True)
class CaptionerSettings(Settings):
    """Defaults take about ten minutes on two cores."""

    seed: int = 42
    world: WorldSettings = field(default_factory=WorldSettings)
    inputs: InputSettings = CAPTIONER_INPUTS
    sizes: TinySettings = field(
        default_factory=lambda: TinySettings(vocab_size=1280, hidden=128, layers=3, intermediate=256, vision_hidden=128)
    )
    look_steps: int = 900  # of the vision tower: what every token of single pictures shows
    watch_steps: int = 600  # of the language model: the same of clips, which takes several pictures
    first_steps: int = 300  # writing the beginnings of answers, which tell the facts
    whole_steps: int = 300  # writing whole answers
    batch: int = 32  # examples; half as many whole answers, which are long
    learning_rate: float = 2e-3  # at its peak
    warmup_share: float = 0.03
    weight_decay: float = 0.01  # on matrices only
    max_gradient_norm: float = 1.0
    threads: int = 2  # torch's

    @property
    def steps(self) -> int:
        """Steps of training in all."""
        return self.look_steps + self.watch_steps + self.first_steps + self.whole_steps
