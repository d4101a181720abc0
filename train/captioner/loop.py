"""Training the captioner: to look at pictures, to watch clips, to begin answers, to write whole ones.

Taught to write alone it takes hours until it looks. So its vision tower first learns to tell of every
token what it shows, by a classifier that is thrown away; then its language model does, from clips, since
a motion is more than two frames. From then on the tower rests, and what it makes of every picture is
kept: looking again would take most of the time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property, partial

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from infra.errors import RunFailed
from infra.progress import Watcher
from train.captioner.batches import Lessons, lesson_texts
from train.captioner.model import Captioner
from train.captioner.scenes import Scene
from train.captioner.settings import CaptionerSettings
from train.captioner.sights import ANSWERS, SIGHTS
from train.optimizer import learning_rate, make_optimizer
from train.pixels import Patches
from train.progress import StepProgress
from train.threads import torch_threads

_TOKENIZER_SCENES = 400  # whose answers the tokenizer is learnt from
_SEEN_AT_ONCE = 64  # pictures
_WATCHING_WEIGHT = 0.2  # of its loss while it writes


def train_captioner(
    scenes: Sequence[Scene], settings: CaptionerSettings, watcher: Watcher | None = None
) -> tuple[Captioner, list[float]]:
    """A captioner that learnt from `scenes`, and the loss of every step.

    In nats: of all questions about a token of a picture, then a written token's and a part of the former.
    With as many threads the same call gives the same weights. Raises RunFailed when the loss is no number.
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
            self.looker, self.watcher = (nn.Linear(settings.sizes.hidden, ANSWERS) for _ in range(2))
        learners = nn.ModuleList([captioner.model, self.looker, self.watcher])
        self.optimizer = make_optimizer(learners, settings.weight_decay)

    def take(self, step: int) -> float:
        """Take step number `step` and return its loss. Every phase warms up and cools down."""
        settings = self.settings
        lower, number, steps = self._phase(step)
        loss = lower()
        if not torch.isfinite(loss):
            raise RunFailed(f"the captioner's loss is {float(loss)} in step {step + 1}")
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.captioner.model.parameters(), settings.max_gradient_norm)
        self.optimizer.step(learning_rate(number, steps, settings.learning_rate, settings.warmup_share))
        return float(loss.detach())

    def _phase(self, step: int) -> tuple[Callable[[], Tensor], int, int]:
        """The loss that step number `step` lowers, its number among those that do, and how many these are."""
        settings = self.settings
        phases = (
            (self._looking, settings.look_steps),
            (self._watching, settings.watch_steps),
            (partial(self._writing, False), settings.first_steps),
            (partial(self._writing, True), settings.whole_steps),
        )
        for loss, steps in phases:
            if step < steps:
                return loss, step, steps
            step -= steps
        raise AssertionError(f"there is no step {step}")

    def _looking(self) -> Tensor:
        pictures, seen = self.lessons.pictures()
        return _told(self.looker(torch.cat(self.captioner.look(pictures))), seen)

    def _watching(self) -> Tensor:
        clips, seen = self.lessons.clips()
        return _told(self.watcher(self.captioner.watch(clips, self._remembered)[0]), seen)

    def _writing(self, is_whole: bool) -> Tensor:
        """It goes on watching while it writes, or else it writes of what it no longer sees."""
        chats, seen = self.lessons.chats(is_whole)
        watched, logits, tokens = self.captioner.watch(chats, self._remembered)
        return cross_entropy(logits, tokens) + _WATCHING_WEIGHT * _told(self.watcher(watched), seen)

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


def _told(found: Tensor, shares: Tensor) -> Tensor:
    """Sum over `SIGHTS` of the mean cross-entropy of logits [n, answers] against those of n tokens that are asked."""
    widths = list(map(len, SIGHTS))
    pairs = zip(torch.split(found, widths, 1), torch.split(shares, widths, 1), strict=True)
    return -torch.stack(
        [(true * told.log_softmax(dim=1)).sum() / true.sum().clamp(min=1) for told, true in pairs]
    ).sum()
