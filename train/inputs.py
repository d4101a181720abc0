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
        return self._assemble(side.text or "", instruction or self.settings.default_instruction, image, video)

    def image_patches(self, data: bytes) -> Patches:
        """Patches of an encoded image."""
        frame = decode_image(data)[None]
        return patchify(resize(frame, self.settings.image_min_pixels, self.settings.image_max_pixels))

    def video_patches(self, data: bytes) -> Patches:
        """Patches of an encoded clip's uniform frames."""
        frames, _ = sample_frames(data, self.settings.frames)
        return patchify(resize(frames, self.settings.frame_min_pixels, self.settings.frame_max_pixels))

    def _assemble(self, text: str, instruction: str, image: Patches | None, video: Patches | None) -> Prepared:
        tail = (*self._tokens(IM_END, "\n", IM_START, "assistant\n"), self._id(self.settings.pooled_token))
        runs = [_Run(self._tokens(IM_START, f"system\n{instruction}", IM_END, "\n", IM_START))]
        if video is None and image is None:
            content = self._encode(f"user\n{text}")  # one piece to the tokenizer, as in the chat template
        else:
            runs.append(_Run(self._tokens("user\n")))
            runs += self._vision(video, VIDEO_PAD, self.settings.seconds_per_grid)
            runs += self._vision(image, IMAGE_PAD, 0.0)
            content = self._encode(text)
        room = self.settings.max_tokens - len(tail) - sum(len(run.ids) for run in runs)
        if room < 0:
            raise RowError("sequence_too_long", f"the media leave no room: {-room} tokens over {self.settings}")
        runs += [_Run(content[:room]), _Run(tail)]
        positions = mrope_positions([run.span or len(run.ids) for run in runs], self.tokens_per_second)
        return Prepared(np.concatenate([np.array(run.ids, dtype=np.int64) for run in runs]), positions, image, video)

    def _vision(self, patches: Patches | None, pad: str, seconds_per_grid: float) -> list[_Run]:
        if patches is None:
            return []
        t, h, w = patches.grid
        span = VisionSpan(t, h // MERGE, w // MERGE, seconds_per_grid)
        pads = _Run((self._id(pad),) * patches.tokens, span)
        return [_Run((self._id(VISION_START),)), pads, _Run((self._id(VISION_END),))]

    def _tokens(self, *pieces: str) -> tuple[int, ...]:
        """Ids of a template's pieces: special tokens by name, all else through the tokenizer."""
        ids: list[int] = []
        for piece in pieces:
            ids += [self._id(piece)] if piece in SPECIAL_TOKENS else self._encode(piece)
        return tuple(ids)

    def _encode(self, text: str) -> tuple[int, ...]:
        return tuple(self.tokenizer.encode(text, add_special_tokens=False).ids)

    def _id(self, token: str) -> int:
        return token_id(self.tokenizer, token)


@dataclass(frozen=True)
class _Run:
    """A run of a prompt's tokens: text, or one image's or clip's placeholders with their span."""

    ids: tuple[int, ...]
    span: VisionSpan | None = None


@dataclass(frozen=True)
class Batch:
    """Keyword arguments of `Qwen2_5_VLModel.forward` for n left-padded sides.

    input_ids and attention_mask [n, length], position_ids [3, n, length]; pixel values float32
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
        """The arguments that are there, on `device`."""
        return {name: value.to(device) for name, value in vars(self).items() if value is not None}


def collate(prepared: Sequence[Prepared], pad_id: int) -> Batch:
    """One batch of prepared sides, padded on the left to the longest."""
    n, length = len(prepared), max(len(side.ids) for side in prepared)
    ids = np.full((n, length), pad_id, dtype=np.int64)
    mask = np.zeros((n, length), dtype=np.int64)
    positions = np.zeros((3, n, length), dtype=np.int64)
    for row, side in enumerate(prepared):
        start = length - len(side.ids)
        ids[row, start:], mask[row, start:], positions[:, row, start:] = side.ids, 1, side.positions
    images, image_grids = _stack([side.image for side in prepared if side.image is not None])
    videos, video_grids = _stack([side.video for side in prepared if side.video is not None])
    tokens = torch.from_numpy(ids), torch.from_numpy(mask), torch.from_numpy(positions)
    return Batch(*tokens, images, image_grids, videos, video_grids)


def _stack(media: Sequence[Patches]) -> tuple[Tensor | None, Tensor | None]:
    if not media:
        return None, None
    return normalize(torch.cat([item.data for item in media])), torch.tensor([item.grid for item in media])
