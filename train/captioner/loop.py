"""Training the captioner: to look, then to write what tells clips apart, then to write whole answers.

Taught to write alone it takes many minutes until it looks. So its vision tower first learns to see
what is in single pictures, by a classifier that is thrown away: a tenth of the time of a step of writing.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from infra.errors import RunFailed
from infra.progress import Watcher
from train.captioner.batches import Lessons, lesson_texts
from train.captioner.model import Captioner
from train.captioner.scenes import Scene
from train.captioner.settings import CaptionerSettings
from train.captioner.sights import SIGHTS
from train.loop import learning_rate, make_optimizer, torch_threads
from train.progress import StepProgress

_TOKENIZER_SCENES = 400  # whose answers the tokenizer is learnt from


def train_captioner(
    scenes: Sequence[Scene], settings: CaptionerSettings, watcher: Watcher | None = None
) -> tuple[Captioner, list[float]]:
    """A captioner that learnt from `scenes`, and the loss of every step: nats a picture, then nats a token.

    On one thread the same call gives the same weights. Raises RunFailed when the loss is no number.
    """
    with torch_threads(settings.threads), StepProgress(settings.steps, 0, watcher) as progress:
        texts = lesson_texts(scenes[:_TOKENIZER_SCENES])
        captioner = Captioner.tiny(texts, settings.sizes, settings.inputs, settings.seed)
        run = _Run(captioner, Lessons(captioner.tokenizer, scenes, settings.batch, settings.seed), settings)
        losses = []
        for step in range(settings.steps):
            losses.append(run.take(step))
            progress.advance({"loss": losses[-1], "pairs": settings.batch})
        captioner.model.eval()
    return captioner, losses


class _Run:
    """A captioner in training."""

    def __init__(self, captioner: Captioner, lessons: Lessons, settings: CaptionerSettings) -> None:
        self.captioner, self.lessons, self.settings = captioner, lessons, settings
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed)
            self.classifier = nn.Linear(settings.sizes.hidden, sum(map(len, SIGHTS)))
        learners = nn.ModuleList([captioner.model, self.classifier])
        self.optimizer = make_optimizer(learners, settings.learning_rate, settings.weight_decay)

    def take(self, step: int) -> float:
        """Take step number `step` and return its loss."""
        loss = self._loss(step)
        if not torch.isfinite(loss):
            raise RunFailed(f"the captioner's loss is {float(loss)} in step {step + 1}")
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.captioner.model.parameters(), self.settings.max_gradient_norm)
        for group in self.optimizer.param_groups:
            group["lr"] = self._rate(step)
        self.optimizer.step()
        return float(loss.detach())

    def _rate(self, step: int) -> float:
        """Looking, writing beginnings and writing whole answers each warm up and cool down."""
        settings = self.settings
        for steps in (settings.look_steps, settings.first_steps, settings.whole_steps):
            if step < steps:
                return learning_rate(step, steps, settings.learning_rate, settings.warmup_share)
            step -= steps
        raise AssertionError(f"there is no step {step}")

    def _loss(self, step: int) -> Tensor:
        if step < self.settings.look_steps:
            batch = self.lessons.pictures()
            found = self.classifier(self.captioner.look(batch.patches)).split(list(map(len, SIGHTS)), dim=1)
            return torch.stack([cross_entropy(*pair) for pair in zip(found, batch.sights, strict=True)]).sum()
        is_whole = step >= self.settings.look_steps + self.settings.first_steps
        return cross_entropy(*self.captioner.logits(self.lessons.chats(is_whole)))
