"""Training the captioner: to look, then to write the beginnings of answers, then to write whole ones.

Taught to write alone it takes hours until it looks. So its vision tower first learns to tell of every
token what it shows, by a classifier that is thrown away. While it learns to write the tower rests, and
what it makes of every picture is kept: looking again would take most of the time.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

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
from train.pixels import Patches
from train.progress import StepProgress

_TOKENIZER_SCENES = 400  # whose answers the tokenizer is learnt from
_SEEN_AT_ONCE = 64  # pictures


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
            batch, widths = self.lessons.pictures(), list(map(len, SIGHTS))
            found = self.classifier(torch.cat(self.captioner.look(batch.patches))).split(widths, 1)
            return torch.stack(list(map(_shared_cross_entropy, found, torch.split(batch.sights, widths, 1)))).sum()
        is_whole = step >= self.settings.look_steps + self.settings.first_steps
        return cross_entropy(*self.captioner.logits(self.lessons.chats(is_whole), self._remembered))

    def _remembered(self, pictures: Sequence[Patches]) -> list[Tensor]:
        return [self._seen[id(picture)] for picture in pictures]

    @cached_property
    def _seen(self) -> dict[int, Tensor]:
        """The tokens of everything in the scenes, by the identity of its patches, as the tower sees it by now."""
        shown = [
            part
            for scene in self.lessons.scenes
            for part in (scene.clip, scene.frame, scene.subclip)
            if part is not None
        ]
        seen: dict[int, Tensor] = {}
        with torch.no_grad():
            for start in range(0, len(shown), _SEEN_AT_ONCE):
                few = shown[start : start + _SEEN_AT_ONCE]
                seen |= zip(map(id, few), map(Tensor.clone, self.captioner.look(few)), strict=True)
        return seen


def _shared_cross_entropy(found: Tensor, shares: Tensor) -> Tensor:
    """Cross-entropy of logits against shares, both [n, options]: the mean of those that have any."""
    return -(shares * found.log_softmax(dim=1)).sum() / shares.sum().clamp(min=1)
