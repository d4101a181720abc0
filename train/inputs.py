"""Inputs of GVE: from a side of a pair and an instruction to the tensors its model takes.

The prompt is Qwen2.5-VL's chat template: the instruction in the system turn, the user's content in the
order video, image, text, the generation prompt, then the token whose last hidden state is the embedding
(arXiv 2510.27571, section 3.3; the released checkpoints pool an appended `<|endoftext|>`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor

from infra.errors import RowError, UsageError
from infra.media.decode import decode_image, sample_frames
from shards.records import Side
from train.pixels import MERGE, PatchCache, Patches, normalize, patchify, resize
from train.positions import VisionSpan, mrope_positions
from train.settings import InputSettings

IM_START, IM_END = "<|im_start|>", "<|im_end|>"
VISION_START, VISION_END = "<|vision_start|>", "<|vision_end|>"
IMAGE_PAD, VIDEO_PAD = "<|image_pad|>", "<|video_pad|>"
END_OF_TEXT = "<|endoftext|>"
SPECIAL_TOKENS = (END_OF_TEXT, IM_START, IM_END, VISION_START, VISION_END, IMAGE_PAD, VIDEO_PAD)


@dataclass(frozen=True)
class Prepared:
    """One side, ready to be put into a batch: token ids [length], positions [3, length], and its media."""

    ids: NDArray[np.int64]
    positions: NDArray[np.int64]
    image: Patches | None = None
    video: Patches | None = None


def token_id(tokenizer: Tokenizer, token: str) -> int:
    """The id of a special token. Raises UsageError when the tokenizer does not have it."""
    number = tokenizer.token_to_id(token)
    if number is None:
        raise UsageError(f"the tokenizer lacks {token}: it is not one of a Qwen2.5-VL model")
    return int(number)


@dataclass(frozen=True)
class Run:
    """A run of a sequence's tokens: text, or one image's or clip's placeholders with their span."""

    ids: tuple[int, ...]
    span: VisionSpan | None = None


def encode_text(tokenizer: Tokenizer, text: str) -> tuple[int, ...]:
    """Ids of a text, in which the names of special tokens are but text to a tokenizer told so."""
    return tuple(tokenizer.encode(text, add_special_tokens=False).ids)


def encode_template(tokenizer: Tokenizer, *pieces: str) -> tuple[int, ...]:
    """Ids of a template's pieces: special tokens by name, all else through the tokenizer."""
    ids: list[int] = []
    for piece in pieces:
        ids += [token_id(tokenizer, piece)] if piece in SPECIAL_TOKENS else encode_text(tokenizer, piece)
    return tuple(ids)


def vision_runs(tokenizer: Tokenizer, patches: Patches, pad: str, seconds_per_grid: float) -> list[Run]:
    """The tokens of one image or clip between their marks; `pad` is the placeholder of its kind."""
    t, h, w = patches.grid
    span = VisionSpan(t, h // MERGE, w // MERGE, seconds_per_grid)
    pads = Run((token_id(tokenizer, pad),) * patches.tokens, span)
    return [Run((token_id(tokenizer, VISION_START),)), pads, Run((token_id(tokenizer, VISION_END),))]


def join_runs(
    runs: Sequence[Run], tokens_per_second: int, whole_seconds: bool = True
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Token ids [length] and positions [3, length] (see `mrope_positions`) of runs in order."""
    positions = mrope_positions([run.span or len(run.ids) for run in runs], tokens_per_second, whole_seconds)
    return np.concatenate([np.array(run.ids, dtype=np.int64) for run in runs]), positions


def _read(data: bytes, make: Callable[[bytes], Patches]) -> Patches:
    return make(data)


@dataclass(frozen=True)
class InputBuilder:
    """Prepares sides for one tokenizer, one set of input settings and one model's clock.

    Texts cannot inject special tokens: they are tokenised with those turned off.
    """

    tokenizer: Tokenizer
    settings: InputSettings
    tokens_per_second: int

    def __post_init__(self) -> None:
        for token in (*SPECIAL_TOKENS, self.settings.pooled_token):
            token_id(self.tokenizer, token)
        self.tokenizer.encode_special_tokens = True

    def prepare(self, side: Side, instruction: str = "", cache: PatchCache | None = None) -> Prepared:
        """The inputs of `side`; an empty instruction stands for the default one.

        `cache` keeps pixels between calls. Raises RowError for a side without content, for one whose
        media cannot be decoded and for one whose media alone exceed `max_tokens`.
        """
        read = cache.read if cache else _read
        image = read(side.image, self.image_patches) if side.image is not None else None
        video = read(side.video, self.video_patches) if side.video is not None else None
        if image is None and video is None and not side.text:
            raise RowError("empty_side", "a side has neither text nor image nor video")
        return self.assemble(side.text or "", instruction, image, video)

    def image_patches(self, data: bytes) -> Patches:
        """Patches of an encoded image."""
        return self.picture_patches(decode_image(data))

    def video_patches(self, data: bytes) -> Patches:
        """Patches of an encoded clip's uniform frames."""
        return self.frame_patches(sample_frames(data, self.settings.frames)[0])

    def picture_patches(self, picture: NDArray[np.uint8]) -> Patches:
        """Patches of a decoded image, RGB [height, width, 3]."""
        return patchify(resize(picture[None], self.settings.image_min_pixels, self.settings.image_max_pixels))

    def frame_patches(self, frames: NDArray[np.uint8]) -> Patches:
        """Patches of a clip's frames that were chosen already, RGB [n, height, width, 3]."""
        return patchify(resize(frames, self.settings.frame_min_pixels, self.settings.frame_max_pixels))

    def assemble(self, text: str, instruction: str, image: Patches | None, video: Patches | None) -> Prepared:
        """The inputs of a text and of media already made into patches; an empty instruction is the default one.

        Raises RowError when the media alone exceed `max_tokens`.
        """
        instruction = instruction or self.settings.default_instruction
        tail = (
            *encode_template(self.tokenizer, IM_END, "\n", IM_START, "assistant\n"),
            token_id(self.tokenizer, self.settings.pooled_token),
        )
        runs = [Run(encode_template(self.tokenizer, IM_START, f"system\n{instruction}", IM_END, "\n", IM_START))]
        if video is None and image is None:
            content = encode_text(self.tokenizer, f"user\n{text}")  # one piece to the tokenizer, as in the template
        else:
            runs.append(Run(encode_text(self.tokenizer, "user\n")))
            if video:
                runs += vision_runs(self.tokenizer, video, VIDEO_PAD, self.settings.seconds_per_grid)
            if image:
                runs += vision_runs(self.tokenizer, image, IMAGE_PAD, 0.0)
            content = encode_text(self.tokenizer, text)
        room = self.settings.max_tokens - len(tail) - sum(len(run.ids) for run in runs)
        if room < 0:
            raise RowError("sequence_too_long", f"the media leave no room: {-room} tokens over {self.settings}")
        runs += [Run(content[:room]), Run(tail)]
        return Prepared(*join_runs(runs, self.tokens_per_second), image, video)


@dataclass(frozen=True)
class Batch:
    """Keyword arguments of `Qwen2_5_VLModel.forward` for n left-padded sides.

    input_ids and attention_mask [n, length], position_ids [3, n, length]; pixel values uint8
    [patches, 1176] with their grids [media, 3], images and videos apart, each in the order of the sides.
    """

    input_ids: Tensor
    attention_mask: Tensor
    position_ids: Tensor
    pixel_values: Tensor | None = None
    image_grid_thw: Tensor | None = None
    pixel_values_videos: Tensor | None = None
    video_grid_thw: Tensor | None = None

    def arguments(self, device: torch.device) -> dict[str, Tensor]:
        """The arguments that are there, on `device`; pixel values are normalised there, as float32.

        Bytes are a quarter of what floats would take on the way to an accelerator.
        """
        moved = {name: value.to(device) for name, value in vars(self).items() if value is not None}
        return {name: normalize(value) if value.dtype == torch.uint8 else value for name, value in moved.items()}


def collate(prepared: Sequence[Prepared], pad_id: int) -> Batch:
    """One batch of prepared sides, padded on the left to the longest."""
    tokens = pad_left([(side.ids, side.positions) for side in prepared], pad_id)
    images = stack_patches([side.image for side in prepared if side.image is not None])
    videos = stack_patches([side.video for side in prepared if side.video is not None])
    return Batch(*tokens, *images, *videos)


def pad_left(
    sequences: Sequence[tuple[NDArray[np.int64], NDArray[np.int64]]], pad_id: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Ids and mask [n, length] and positions [3, n, length] of n sequences of ids and positions."""
    n, length = len(sequences), max(len(ids) for ids, _ in sequences)
    padded = np.full((n, length), pad_id, dtype=np.int64)
    mask = np.zeros((n, length), dtype=np.int64)
    places = np.zeros((3, n, length), dtype=np.int64)
    for row, (ids, positions) in enumerate(sequences):
        start = length - len(ids)
        padded[row, start:], mask[row, start:], places[:, row, start:] = ids, 1, positions
    return torch.from_numpy(padded), torch.from_numpy(mask), torch.from_numpy(places)


def stack_patches(media: Sequence[Patches]) -> tuple[Tensor | None, Tensor | None]:
    """Patches of all media, uint8, and their grids [media, 3]; nothing of none."""
    if not media:
        return None, None
    return torch.cat([item.data for item in media]), torch.tensor([item.grid for item in media])
