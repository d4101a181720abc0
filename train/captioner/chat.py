"""How a request looks in the captioner's chat, and the token sequence it becomes.

One place holds the shape: media first, in the order of `MEDIA`, then one text that begins with the
task's word. The template drops all but the user's first turn: rules, and faults named in a second
one, are for models that can read them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from train.captioner.lessons import Kind
from train.inputs import (
    IM_END,
    IM_START,
    IMAGE_PAD,
    VIDEO_PAD,
    Run,
    encode_template,
    encode_text,
    join_runs,
    token_id,
    vision_runs,
)
from train.pixels import Patches

MEDIA: Final[dict[Kind, tuple[Literal["image", "video"], ...]]] = {
    "video_captions": ("video",),
    "frame_captions": ("image",),
    "image_query": ("image", "video"),
    "video_query": ("video", "video"),  # the reference clip, then the clip it is a part of
}
TEMPLATE: Final = (
    "{%- for message in (messages | selectattr('role', 'equalto', 'user') | list)[:1] -%}"
    "{{ '<|im_start|>user\\n' }}"
    "{%- if message.content is string -%}{{ message.content }}{%- else -%}"
    "{%- for part in message.content -%}"
    "{%- if part.type == 'image' -%}{{ '<|vision_start|><|image_pad|><|vision_end|>' }}"
    "{%- elif part.type == 'video' -%}{{ '<|vision_start|><|video_pad|><|vision_end|>' }}"
    "{%- elif part.type == 'text' -%}{{ part.text }}{%- endif -%}"
    "{%- endfor -%}{%- endif -%}{{ '<|im_end|>\\n' }}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\\n' }}{%- endif -%}"
)
# Seconds that a pair of frames covers where a request does not say: servers then take them as 1 FPS.
SECONDS_PER_GRID: Final = 2.0
TOKENS_PER_SECOND: Final = 2  # of the vision configuration
_HEAD: Final = '{"clip_id":"'
_PROFILES: Final = ("spatial", "temporal", "other")


def task_text(kind: Kind, rest: str = "") -> str:
    """The text of a request; `rest` is what the captioner has learnt to ignore."""
    return f"Task: {kind}. {rest}".strip()


def realistic_rest(random: Random, kind: Kind, clip_id: str, weak_caption: str) -> str:
    """What a pipeline says after the task's word: the clip's id, times, the crawled caption."""
    end_s = random.uniform(2.0, 12.0)
    times = " ".join(f"{end_s * number / 7:.2f}" for number in range(8))
    clip = f"8 frames of a clip of {end_s:.2f} seconds, taken at seconds {times}"
    profile = f"Profile: {random.choice(_PROFILES)}."
    shown = {
        "video_captions": f"{clip}. {profile}",
        "frame_captions": f"One picture. {profile}",
        "image_query": f"First the picture, then {clip}.",
        "video_query": f"First 8 frames of the reference clip (seconds {end_s / 4:.2f} to {end_s * 0.75:.2f} of the "
        f"longer one), then 8 frames of the longer clip of {end_s:.2f} seconds, taken at seconds {times}.",
    }[kind]
    return f"clip_id {clip_id}. {shown} Uploader's text: {json.dumps(weak_caption) if weak_caption else 'none'}"


@dataclass(frozen=True)
class Answer:
    """The tokens of an answer and which of them are to be learnt: not those of the clip's id, which servers force."""

    ids: tuple[int, ...]
    learnt: tuple[bool, ...]


def answer_tokens(tokenizer: Tokenizer, clip_id: str, text: str) -> Answer:
    """The tokens of an answer's JSON `text`, or of its beginning up to the end of a word."""
    parts = [encode_text(tokenizer, part) for part in (_HEAD, clip_id, text.removeprefix(_HEAD + clip_id))]
    end = (token_id(tokenizer, IM_END),) if text.endswith("}") else ()
    head, middle, tail = parts[0], parts[1], (*parts[2], *end)
    return Answer((*head, *middle, *tail), (True,) * len(head) + (False,) * len(middle) + (True,) * len(tail))


@dataclass(frozen=True)
class Chat:
    """One chat as tokens: ids [length], positions [3, length], and which of them [length] are to be learnt."""

    ids: NDArray[np.int64]
    positions: NDArray[np.int64]
    learnt: NDArray[np.bool_]
    images: tuple[Patches, ...]
    videos: tuple[Patches, ...]


def build_chat(
    tokenizer: Tokenizer,
    kind: Kind,
    media: Sequence[Patches],
    text: Sequence[int],
    answer: Answer,
    seconds_per_grid: float = SECONDS_PER_GRID,
) -> Chat:
    """The chat of one request with (the beginning of) its answer, at the positions that vLLM gives it.

    `media` follow `MEDIA`, `text` is token ids.
    """
    runs = [Run(encode_template(tokenizer, IM_START, "user\n"))]
    for patches, medium in zip(media, MEDIA[kind], strict=True):
        is_video = medium == "video"
        runs += vision_runs(
            tokenizer, patches, VIDEO_PAD if is_video else IMAGE_PAD, seconds_per_grid if is_video else 0.0
        )
    runs.append(Run((*text, *encode_template(tokenizer, IM_END, "\n", IM_START, "assistant\n"))))
    ids, positions = join_runs([*runs, Run(answer.ids)], TOKENS_PER_SECOND, whole_seconds=False)
    learnt = np.zeros(len(ids), np.bool_)
    learnt[len(ids) - len(answer.ids) :] = answer.learnt
    shown = list(zip(media, MEDIA[kind], strict=True))
    images = tuple(patches for patches, medium in shown if medium == "image")
    return Chat(ids, positions, learnt, images, tuple(patches for patches, medium in shown if medium == "video"))
