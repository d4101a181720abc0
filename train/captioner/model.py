"""The captioner: a Qwen2.5-VL with its generation head, in the folder layout that servers load."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from transformers import GenerationConfig, Qwen2_5_VLForConditionalGeneration

from train.captioner.chat import TEMPLATE, Chat
from train.gve import TOKENIZER_FILE, no_bars, read_settings, write_settings
from train.inputs import (
    END_OF_TEXT,
    IM_END,
    IMAGE_PAD,
    SPECIAL_TOKENS,
    VIDEO_PAD,
    Batch,
    pad_left,
    stack_patches,
    token_id,
)
from train.pixels import CLIP_MEAN, CLIP_STD, MERGE, PATCH, TEMPORAL, Patches, normalize
from train.settings import InputSettings, TinySettings
from train.tiny import tiny_config, train_tokenizer
from train.vision import quicken

_BICUBIC = 3  # Pillow's number for it
Look = Callable[[Sequence[Patches]], list[Tensor]]  # from pictures to their tokens: `Captioner.look`, or what it gave


class Captioner:
    """A generator of answers about clips and frames; the model is transformers' own, inputs and positions are ours."""

    def __init__(
        self, model: Qwen2_5_VLForConditionalGeneration, tokenizer: Tokenizer, settings: InputSettings
    ) -> None:
        quicken(model.model.visual)
        tokenizer.encode_special_tokens = True
        write_settings(model.config, settings)
        self.model, self.tokenizer, self.settings = model, tokenizer, settings
        self.pad_id = token_id(tokenizer, END_OF_TEXT)

    @classmethod
    def tiny(cls, texts: Iterable[str], sizes: TinySettings, inputs: InputSettings, seed: int) -> Captioner:
        """A tiny captioner with random weights, and a tokenizer learnt from `texts`."""
        tokenizer = train_tokenizer(texts, sizes.vocab_size)
        config = tiny_config(tokenizer, sizes)
        config.text_config.use_cache = True
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return cls(Qwen2_5_VLForConditionalGeneration(config), tokenizer, inputs)

    @classmethod
    def load(cls, folder: str | Path) -> Captioner:
        """The captioner that `save` left in `folder`."""
        path = Path(folder)
        with no_bars():
            model = Qwen2_5_VLForConditionalGeneration.from_pretrained(path, local_files_only=True, dtype=torch.float32)
        return cls(model.eval(), Tokenizer.from_file(str(path / TOKENIZER_FILE)), read_settings(model.config))

    def save(self, folder: str | Path) -> None:
        """Write weights, tokenizer, chat template and processors' settings into `folder`, in Hugging Face's layout."""
        path = Path(folder)
        path.mkdir(parents=True, exist_ok=True)
        ends = [token_id(self.tokenizer, IM_END), self.pad_id]
        self.model.generation_config = GenerationConfig(
            bos_token_id=self.pad_id, eos_token_id=ends, pad_token_id=self.pad_id, do_sample=False
        )
        write_settings(self.model.config, self.settings)
        with no_bars():
            self.model.save_pretrained(path)
        self.tokenizer.save(str(path / TOKENIZER_FILE))
        (path / "chat_template.jinja").write_text(TEMPLATE)
        for name, content in _side_files(self.settings).items():
            (path / name).write_text(json.dumps(content, indent=2) + "\n")

    def look(self, pictures: Sequence[Patches]) -> list[Tensor]:
        """What the vision tower makes of pictures: each one's tokens [tokens, hidden]."""
        pixels = normalize(torch.cat([picture.data for picture in pictures]))
        grids = torch.tensor([picture.grid for picture in pictures])
        tokens = self.model.model.visual(pixels, grid_thw=grids).pooler_output
        return list(tokens.split([picture.tokens for picture in pictures]))

    def watch(self, chats: Sequence[Chat], look: Look) -> tuple[Tensor, Tensor, Tensor]:
        """What the language model makes of chats in which clips are shown, for two ways to learn.

        Of the clips' tokens, in the order of the chats, what is left before the last layer [tokens, hidden]; of the
        tokens to be learnt their logits [m, vocabulary] and themselves [m]. `look` is the method, or what it gave.
        """
        ids, read = self._read(chats, look)
        length = ids.shape[1]
        learnt = torch.stack([nn.functional.pad(torch.from_numpy(c.learnt), (length - len(c.ids), 0)) for c in chats])
        logits = self.model.lm_head(read.last_hidden_state[:, :-1][learnt[:, 1:]])
        return read.hidden_states[-2][ids == token_id(self.tokenizer, VIDEO_PAD)], logits, ids[learnt]

    def _read(self, chats: Sequence[Chat], look: Look) -> tuple[Tensor, Any]:
        """The chats' tokens [n, length], and what every layer of the language model makes of them."""
        ids, mask, positions = pad_left([(chat.ids, chat.positions) for chat in chats], self.pad_id)
        embedded = self.model.model.language_model.embed_tokens(ids)
        for pad, shown in ((IMAGE_PAD, [c.images for c in chats]), (VIDEO_PAD, [c.videos for c in chats])):
            if pictures := [picture for part in shown for picture in part]:
                places = (ids == token_id(self.tokenizer, pad))[..., None]
                embedded = embedded.masked_scatter(places, torch.cat(look(pictures)))
        return ids, self.model.model.language_model(
            inputs_embeds=embedded,
            attention_mask=mask,
            position_ids=positions,
            use_cache=False,
            output_hidden_states=True,
        )

    @torch.inference_mode()
    def complete(self, chats: Sequence[Chat], new_tokens: int) -> list[str]:
        """What greedy decoding adds to each chat: text up to the end of the turn, of at most `new_tokens` tokens."""
        batch = collate_chats(chats, self.pad_id).arguments(self.model.device)
        mask, places = batch["attention_mask"], batch["position_ids"].amax(dim=(0, 2))
        seen = self.model(**batch, use_cache=True)
        added: list[Tensor] = []
        for step in range(1, new_tokens + 1):
            added.append(seen.logits[:, -1].argmax(dim=-1))
            mask = torch.cat([mask, mask.new_ones(len(chats), 1)], dim=1)
            seen = self.model(
                input_ids=added[-1][:, None],
                attention_mask=mask,
                position_ids=(places + step).expand(3, -1)[..., None],
                past_key_values=seen.past_key_values,
                use_cache=True,
            )
        return [self._until_end(row) for row in torch.stack(added, dim=1).tolist()]

    def _until_end(self, ids: list[int]) -> str:
        end = token_id(self.tokenizer, IM_END)
        return str(self.tokenizer.decode(ids[: ids.index(end)] if end in ids else ids))


def collate_chats(chats: Sequence[Chat], pad_id: int) -> Batch:
    """One batch of chats, padded on the left to the longest."""
    tokens = pad_left([(chat.ids, chat.positions) for chat in chats], pad_id)
    images = stack_patches([patches for chat in chats for patches in chat.images])
    videos = stack_patches([patches for chat in chats for patches in chat.videos])
    return Batch(*tokens, *images, *videos)


def _side_files(settings: InputSettings) -> dict[str, dict[str, Any]]:
    """The configurations that Hugging Face's processors and tokenizer are made from: pixels as ours."""
    shared = {
        "processor_class": "Qwen2_5_VLProcessor",
        "do_resize": True,
        "do_rescale": True,
        "do_normalize": True,
        "do_convert_rgb": True,
        "resample": _BICUBIC,
        "image_mean": list(CLIP_MEAN),
        "image_std": list(CLIP_STD),
        "patch_size": PATCH,
        "temporal_patch_size": TEMPORAL,
        "merge_size": MERGE,
    }
    frame = {"shortest_edge": settings.frame_min_pixels, "longest_edge": settings.frame_max_pixels}
    image = {"shortest_edge": settings.image_min_pixels, "longest_edge": settings.image_max_pixels}
    return {
        "preprocessor_config.json": {**shared, "image_processor_type": "Qwen2VLImageProcessor", "size": image},
        "video_preprocessor_config.json": {**shared, "video_processor_type": "Qwen2VLVideoProcessor", "size": frame},
        "tokenizer_config.json": {
            "tokenizer_class": "Qwen2Tokenizer",
            "processor_class": "Qwen2_5_VLProcessor",
            "eos_token": IM_END,
            "pad_token": END_OF_TEXT,
            "additional_special_tokens": [token for token in SPECIAL_TOKENS if token not in (END_OF_TEXT, IM_END)],
        },
    }
