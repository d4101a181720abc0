"""Training the captioner: to tell clips apart, then to say what tells them apart, then to answer whole.

A language model alone learns for minutes to write before it learns to look. So the tower and the
decoder first match clips with summaries, as GVE does, which ties words to pixels within a minute.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from infra.errors import RunFailed
from infra.progress import Watcher
from train.captioner.batches import Lessons, lesson_texts
from train.captioner.model import Captioner
from train.captioner.scenes import Scene
from train.captioner.settings import CaptionerSettings
from train.gve import Gve
from train.loop import learning_rate, make_optimizer, torch_threads
from train.loss import same_content, symmetric_info_nce
from train.progress import StepProgress

_TOKENIZER_SCENES = 400  # whose answers the tokenizer is learnt from


def train_captioner(
    scenes: Sequence[Scene], settings: CaptionerSettings, watcher: Watcher | None = None
) -> tuple[Captioner, list[float]]:
    """A captioner that learnt from `scenes`, and the loss of every step: contrastive, then nats a token.

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
        self.embedder = Gve(captioner.model.model, captioner.tokenizer, settings.inputs)
        self.optimizer = make_optimizer(captioner.model, settings.learning_rate, settings.weight_decay)

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
        """Each of the two parts warms up; only the last part cools down."""
        settings, written = self.settings, step - self.settings.match_steps
        if written >= 0:
            steps = settings.steps - settings.match_steps
            return learning_rate(written, steps, settings.learning_rate, settings.warmup_share)
        return settings.match_rate * min(1.0, (step + 1) / (settings.warmup_share * settings.match_steps))

    def _loss(self, step: int) -> Tensor:
        if step < self.settings.match_steps:
            batch = self.lessons.matches()
            requests, summaries = self.embedder.encode(batch.requests), self.embedder.encode(batch.summaries)
            same = same_content(batch.texts, batch.texts)
            return symmetric_info_nce(requests, summaries, same, self.settings.temperature).loss
        is_whole = step >= self.settings.match_steps + self.settings.first_steps
        return cross_entropy(*self.captioner.logits(self.lessons.chats(is_whole)))
