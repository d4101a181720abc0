"""How often the captioner is right about scenes it never saw: colour, shape and motion of a single thing."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from train.captioner.chat import Chat, answer_tokens, build_chat, realistic_rest, task_text
from train.captioner.lessons import Kind, does
from train.captioner.model import Captioner
from train.captioner.scenes import Scene
from train.inputs import encode_text

_BATCH = 64
_SUMMARY_TOKENS = 32
_THING = re.compile(r"an? (?P<colour>\w+) (?P<shape>\w+) (?P<rest>.+?)(?: on a | against |[,.]|$)", re.IGNORECASE)


@dataclass(frozen=True)
class Marks:
    """Shares of answers that name the thing's colour, its shape and, of clips, all that it does."""

    answers: int
    colour: float
    shape: float
    motion: float | None


def mark(captioner: Captioner, scenes: Sequence[Scene], kind: Kind) -> Marks:
    """Marks of the summaries of clips (`video_captions`) or frames (`frame_captions`) of `scenes` with one thing."""
    single = [scene for scene in scenes if len(scene.view.shot.things) == 1]
    texts = summaries(captioner, single, kind)
    things = [scene.view.shot.things[0] for scene in single]
    pairs = [(found, thing) for text, thing in zip(texts, things, strict=True) if (found := _THING.match(text))]
    each = 1 / max(1, len(single))
    return Marks(
        answers=len(single),
        colour=each * sum(found["colour"] == thing.colour for found, thing in pairs),
        shape=each * sum(found["shape"] == thing.shape for found, thing in pairs),
        motion=each * sum(found["rest"] == does(thing) for found, thing in pairs) if kind == "video_captions" else None,
    )


def summaries(captioner: Captioner, scenes: Sequence[Scene], kind: Kind) -> list[str]:
    """The beginning of the summaries that greedy decoding writes, asked as a pipeline asks."""
    texts: list[str] = []
    for start in range(0, len(scenes), _BATCH):
        chats = [_asked(captioner, scene, kind) for scene in scenes[start : start + _BATCH]]
        texts += captioner.complete(chats, _SUMMARY_TOKENS)
    return texts


def _asked(captioner: Captioner, scene: Scene, kind: Kind) -> Chat:
    random = Random(f"marks/{scene.view.spec.name}")
    clip_id = f"{random.getrandbits(64):016x}"
    rest = realistic_rest(random, kind, clip_id, scene.view.spec.weak_caption)
    text = encode_text(captioner.tokenizer, task_text(kind, rest))
    begun = answer_tokens(captioner.tokenizer, clip_id, f'{{"clip_id":"{clip_id}","summary":"')
    return build_chat(captioner.tokenizer, kind, scene.media(kind), text, begun)
