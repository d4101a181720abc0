"""Batches that the captioner learns from, drawn from rendered scenes by a seed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

import torch
from tokenizers import Tokenizer
from torch import Tensor

from train.captioner.chat import SECONDS_PER_GRID, Chat, answer_tokens, build_chat, realistic_rest, task_text
from train.captioner.lessons import KINDS, Kind, answer, lesson
from train.captioner.scenes import Scene
from train.captioner.sights import SIGHTS, sights
from train.inputs import SPECIAL_TOKENS, encode_text
from train.pixels import TEMPORAL, Patches, patchify, unpatchify

_KINDS: Final[dict[Kind, int]] = {"video_captions": 55, "frame_captions": 20, "image_query": 10, "video_query": 15}
_REST_SHARE: Final = {False: 0.15, True: 0.6}  # of batches whose texts go on after the task's word, by is_whole
_MOST_NOISE: Final = 120  # tokens


def lesson_texts(scenes: Sequence[Scene]) -> Iterator[str]:
    """The answers about `scenes` and texts that a request may have: what a tokenizer is learnt from."""
    random = Random(0)
    for scene in scenes:
        for kind in KINDS:
            yield answer("", _fields(scene, kind))
            yield task_text(kind, realistic_rest(random, "", ""))


@dataclass(frozen=True)
class Pictures:
    """Pictures of one thing at one moment, and for each of `SIGHTS` the shares of its answers, float32 [n, answers]."""

    patches: list[Patches]
    sights: list[Tensor]


class Lessons:
    """Endless batches; the same arguments give the same ones, in the order of the calls."""

    def __init__(self, tokenizer: Tokenizer, scenes: Sequence[Scene], size: int, seed: int) -> None:
        self.tokenizer, self.scenes, self.size = tokenizer, scenes, size
        self.random = Random(f"lessons/{seed}")
        specials = {tokenizer.token_to_id(token) for token in SPECIAL_TOKENS}
        self.words = sorted(set(tokenizer.get_vocab().values()) - specials)
        self.order = self._shuffled(range(len(scenes)))
        self.singles = self._shuffled([n for n, scene in enumerate(scenes) if len(scene.view.shot.things) == 1])
        self.references = self._shuffled([n for n, scene in enumerate(scenes) if scene.subclip])

    def pictures(self) -> Pictures:
        """The next batch of frames and of pairs of frames out of clips."""
        patches, seen = [], []
        for _ in range(self.size):
            scene = self.scenes[next(self.singles)]
            picture, first_u, last_u = self._picture(scene)
            is_mirrored = self.random.random() < 0.5
            patches.append(self._moved(picture, is_mirrored))
            seen.append(sights(scene.view.spec, scene.view.shot, first_u, last_u, is_mirrored))
        shares = [_shares(options, answers) for options, answers in zip(SIGHTS, zip(*seen, strict=True), strict=True)]
        return Pictures(patches, shares)

    def _picture(self, scene: Scene) -> tuple[Patches, float, float]:
        """The frame, or one of the clip's pairs of frames, and the moments it shows."""
        t, h, w = scene.clip.grid
        pair = self.random.randrange(-1, t)
        if pair < 0:
            return scene.frame, scene.view.frame_u, scene.view.frame_u
        first_u, last_u = (frame / (TEMPORAL * t - 1) for frame in (TEMPORAL * pair, TEMPORAL * pair + 1))
        return Patches(scene.clip.data[pair * h * w : (pair + 1) * h * w], (1, h, w)), first_u, last_u

    def _moved(self, picture: Patches, is_mirrored: bool) -> Patches:
        """The picture shifted by any distance, what leaves on one side entering on the other."""
        pixels = unpatchify(picture)
        height, width = pixels.shape[2:]
        pixels = pixels.roll((self.random.randrange(height), self.random.randrange(width)), dims=(2, 3))
        return patchify(pixels.flip(3) if is_mirrored else pixels)

    def chats(self, is_whole: bool) -> list[Chat]:
        """The next batch of whole answers, or of their beginnings up to the end of the first sentence."""
        has_rest = self.random.random() < _REST_SHARE[is_whole]
        rest = self.random.choice(("realistic", "noise")) if has_rest else ""
        kinds = self.random.choices(list(_KINDS), list(_KINDS.values()), k=self.size)
        return [self._chat(kind, rest, is_whole) for kind in kinds]

    def _chat(self, kind: Kind, rest: str, is_whole: bool) -> Chat:
        scene = self.scenes[next(self.references if kind == "video_query" else self.order)]
        clip_id = f"{self.random.getrandbits(128):032x}"[: 32 if is_whole else 4]
        text = answer(clip_id, _fields(scene, kind))
        tokens = answer_tokens(self.tokenizer, clip_id, text if is_whole else text[: text.index('."')])
        text_ids, seconds = self._text(kind, rest, clip_id), self._seconds_per_grid(scene)
        return build_chat(self.tokenizer, kind, scene.media(kind), text_ids, tokens, seconds)

    def _text(self, kind: Kind, rest: str, clip_id: str) -> tuple[int, ...]:
        """The request's text as tokens; weak captions are of another clip, so that nothing is learnt from them."""
        if rest == "realistic":
            weak = self.random.choice(self.scenes).view.spec.weak_caption
            return encode_text(self.tokenizer, task_text(kind, realistic_rest(self.random, clip_id, weak)))
        noise = self.random.choices(self.words, k=self.random.randrange(_MOST_NOISE)) if rest == "noise" else ()
        return (*encode_text(self.tokenizer, task_text(kind)), *noise)

    def _seconds_per_grid(self, scene: Scene) -> float:
        """What a request may say of its frames: nothing, their true times, or of parts and longer clips others."""
        true = scene.view.shot.frames / scene.view.spec.fps / scene.clip.grid[0]
        return self.random.choice((SECONDS_PER_GRID, true, self.random.uniform(0.5, 4.0) * true))

    def _shuffled(self, numbers: Sequence[int]) -> Iterator[int]:
        order = list(numbers)
        while True:
            self.random.shuffle(order)
            yield from order


def _fields(scene: Scene, kind: Kind) -> dict[str, str]:
    return lesson(kind, scene.view.spec, scene.view.shot, scene.view.frame_u)


def _shares(options: Sequence[str], answers: Sequence[Sequence[str]]) -> Tensor:
    """The share of each option in each of n answers [n, options]."""
    return torch.tensor([[given.count(option) / len(given) for option in options] for given in answers])
