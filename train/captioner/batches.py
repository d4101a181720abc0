"""Batches that the captioner learns from, drawn from rendered scenes by a seed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random
from typing import Final

import torch
from tokenizers import Tokenizer
from torch import Tensor

from train.captioner.chat import (
    MEDIA,
    SECONDS_PER_GRID,
    Answer,
    Chat,
    answer_tokens,
    build_chat,
    realistic_rest,
    task_text,
)
from train.captioner.lessons import KINDS, Kind, answer, lesson
from train.captioner.scenes import Scene
from train.captioner.sights import ANSWERS, Glance, sights
from train.inputs import SPECIAL_TOKENS, encode_text
from train.pixels import PATCH, TEMPORAL, Patches, patchify, unpatchify

# Shares of batches by the kinds of their requests. Queries are told apart by the task's word alone; learnt in batches
# of their own, the kind that came last was written for both (7 of 8 image queries, seen once).
_GROUPS: Final[dict[tuple[Kind, ...], int]] = {
    ("video_captions",): 55,
    ("frame_captions",): 20,
    ("image_query", "video_query"): 25,
}
_REST_SHARE: Final = {False: 0.15, True: 0.8}  # of batches whose texts go on after the task's word, by is_whole
_WEAK_SHARE: Final = 0.5  # of realistic texts that quote a weak caption: rectified ones are often empty
_MOST_NOISE: Final = 120  # tokens
_END: Final = '."'  # of a field


def lesson_texts(scenes: Sequence[Scene]) -> Iterator[str]:
    """The answers about `scenes` and texts that a request may have: what a tokenizer is learnt from."""
    random = Random(0)
    for scene in scenes:
        for kind in KINDS:
            yield answer("", _fields(scene, kind))
            yield task_text(kind, realistic_rest(random, kind, "", ""))


class Lessons:
    """Endless batches; the same arguments give the same ones, in the order of the calls."""

    def __init__(self, tokenizer: Tokenizer, scenes: Sequence[Scene], size: int, seed: int) -> None:
        self.tokenizer, self.scenes, self.size = tokenizer, scenes, size
        self.random = Random(f"lessons/{seed}")
        specials = {tokenizer.token_to_id(token) for token in SPECIAL_TOKENS}
        self.words = sorted(set(tokenizer.get_vocab().values()) - specials)
        self.order = self._shuffled(range(len(scenes)))
        self.references = self._shuffled([n for n, scene in enumerate(scenes) if scene.subclip])

    def pictures(self) -> tuple[list[Patches], Tensor]:
        """The next batch of frames and of pairs of frames out of clips, each moved by any distance, and their sights.

        For all their tokens the shares of the answers to `SIGHTS`, float32 [tokens, answers].
        """
        pictures, seen = [], []
        for _ in range(self.size):
            scene = self.scenes[next(self.order)]
            picture, first_u, last_u = self._picture(scene)
            pixels = unpatchify(picture)
            height, width = pixels.shape[2:]
            moved = self.random.randrange(width), self.random.randrange(height)
            glance = Glance(scene.view.spec, scene.view.shot, first_u, last_u, moved, self.random.random() < 0.5)
            pixels = pixels.roll(moved, dims=(3, 2))
            pictures.append(patchify(pixels.flip(3) if glance.is_mirrored else pixels))
            seen.append(sights(glance, height, width))
        return pictures, torch.cat(seen)

    def _picture(self, scene: Scene) -> tuple[Patches, float, float]:
        """The frame, or one of the clip's pairs of frames, and the moments it shows."""
        t, h, w = scene.clip.grid
        pair = self.random.randrange(-1, t)
        if pair < 0:
            return scene.frame, scene.view.frame_u, scene.view.frame_u
        return Patches(scene.clip.data[pair * h * w : (pair + 1) * h * w], (1, h, w)), *_moments(pair, t)

    def clips(self) -> tuple[list[Chat], Tensor]:
        """The next batch of clips, shown without a word, and the sights of all their tokens (see `pictures`)."""
        scenes = [self.scenes[next(self.order)] for _ in range(self.size)]
        return [self._shown(scene) for scene in scenes], torch.cat([_sights(scene) for scene in scenes])

    def _shown(self, scene: Scene) -> Chat:
        media, seconds = scene.media("video_captions"), self._seconds_per_grid(scene)
        return build_chat(self.tokenizer, "video_captions", media, (), Answer((), ()), seconds)

    def chats(self, is_whole: bool) -> tuple[list[Chat], Tensor]:
        """The next batch of whole answers, or of their beginnings up to the end of the first sentence, and sights.

        All are of one kind, or of kinds that are about as long: they are padded to one length. Of reference clips
        nothing is asked.
        """
        has_rest = self.random.random() < _REST_SHARE[is_whole]
        rest = self.random.choice(("realistic", "realistic", "noise")) if has_rest else ""
        [group] = self.random.choices(list(_GROUPS), list(_GROUPS.values()))
        kinds = [self.random.choice(group) for _ in range((self.size + 1) // 2 if is_whole else self.size)]
        asked = [(next(self.references if kind == "video_query" else self.order), kind) for kind in kinds]
        seen = [part for scene, kind in asked for part in _asked(self.scenes[scene], kind)]
        return [self._chat(self.scenes[scene], kind, rest, is_whole) for scene, kind in asked], torch.cat(seen)

    def _chat(self, scene: Scene, kind: Kind, rest: str, is_whole: bool) -> Chat:
        clip_id = f"{self.random.getrandbits(64):016x}"[: 16 if is_whole else 4]
        text = answer(clip_id, _fields(scene, kind))
        begun = text if is_whole else text[: text.index(_END) + len(_END) + 2]  # with the marks up to the next field
        tokens = answer_tokens(self.tokenizer, clip_id, begun)
        text_ids, seconds = self._text(kind, rest, clip_id), self._seconds_per_grid(scene)
        return build_chat(self.tokenizer, kind, scene.media(kind), text_ids, tokens, seconds)

    def _text(self, kind: Kind, rest: str, clip_id: str) -> tuple[int, ...]:
        """The request's text as tokens; weak captions are of another clip, so that nothing is learnt from them."""
        if rest == "realistic":
            quotes = self.random.random() < _WEAK_SHARE
            weak = self.random.choice(self.scenes).view.spec.weak_caption if quotes else ""
            return encode_text(self.tokenizer, task_text(kind, realistic_rest(self.random, kind, clip_id, weak)))
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


def _sights(scene: Scene) -> Tensor:
    """Those of a clip's pairs of frames."""
    t, h, w = scene.clip.grid
    view = scene.view
    return torch.cat([sights(Glance(view.spec, view.shot, *_moments(n, t)), PATCH * h, PATCH * w) for n in range(t)])


def _asked(scene: Scene, kind: Kind) -> Iterator[Tensor]:
    """The sights of the tokens of a chat's clips; zeros for a reference clip."""
    if kind == "video_query" and scene.subclip:
        yield torch.zeros(scene.subclip.tokens, ANSWERS)
    if "video" in MEDIA[kind]:
        yield _sights(scene)
    else:
        yield torch.zeros(0, ANSWERS)


def _moments(pair: int, pairs: int) -> tuple[float, float]:
    """What a pair of a clip's frames shows, as progress of the shot."""
    first, last = TEMPORAL * pair, TEMPORAL * pairs - 1
    return first / last, (first + 1) / last


def _fields(scene: Scene, kind: Kind) -> dict[str, str]:
    return lesson(kind, scene.view.spec, scene.view.shot, scene.view.frame_u)
