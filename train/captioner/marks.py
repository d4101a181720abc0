"""How often the captioner is right about scenes it never saw: what a single thing is, and what it does."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from random import Random

from infra.sample_world.spec import STRAIGHT, Leg, Thing
from train.captioner.chat import Chat, answer_tokens, build_chat, realistic_rest, task_text
from train.captioner.lessons import WAYS, Kind, does, legs_of
from train.captioner.model import Captioner
from train.captioner.scenes import Scene
from train.inputs import encode_text

_BATCH = 64
_SUMMARY_TOKENS = 32
_WAY = re.compile(rf"\bmoves ({'|'.join(sorted(WAYS.values(), key=len, reverse=True))})\b")
_THING = re.compile(r"an? (?P<colour>\w+) (?P<shape>\w+) (?P<rest>.+?)(?: on a | against |[,.]|$)", re.IGNORECASE)


@dataclass(frozen=True)
class Marks:
    """Shares of answers that name the thing's colour and its shape; of clips, also all that it does.

    `way` is the share of those clips whose thing goes one straight way and is said to go that one of eight.
    """

    answers: int
    colour: float
    shape: float
    motion: float | None = None
    way: float | None = None


def mark(captioner: Captioner, scenes: Sequence[Scene], kind: Kind) -> Marks:
    """Marks of the summaries of clips (`video_captions`) or frames (`frame_captions`) of `scenes` with one thing."""
    single = [scene for scene in scenes if len(scene.view.shot.things) == 1]
    texts = summaries(captioner, single, kind)
    things = [scene.view.shot.things[0] for scene in single]
    found = [_THING.match(text) for text in texts]
    seen = Marks(
        answers=len(single),
        colour=_share(named and named["colour"] == thing.colour for named, thing in zip(found, things, strict=True)),
        shape=_share(named and named["shape"] == thing.shape for named, thing in zip(found, things, strict=True)),
    )
    if kind != "video_captions":
        return seen
    straight = [(text, legs[0]) for text, thing in zip(texts, things, strict=True) if (legs := _one_straight(thing))]
    return replace(
        seen,
        motion=_share(named and named["rest"] == does(thing) for named, thing in zip(found, things, strict=True)),
        way=_share(told_way(text) == WAYS[leg.motion] for text, leg in straight),
    )


def told_way(text: str) -> str:
    """The way of `WAYS` that a text says its first moving thing goes; "" when it says none."""
    said = _WAY.search(text)
    return said[1] if said else ""


def _share(right: Iterable[object]) -> float:
    """The share of the true ones; none of none."""
    told = [bool(answer) for answer in right]
    return sum(told) / max(1, len(told))


def _one_straight(thing: Thing) -> list[Leg]:
    """The one straight way that a thing goes, if that is all it does."""
    legs = legs_of(thing)
    return legs if len(legs) == 1 and legs[0].motion in STRAIGHT else []


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
