"""A tiny Qwen2.5-VL with random weights in Hugging Face's layout: what a server can load, not what knows anything."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from transformers import Qwen2_5_VLForConditionalGeneration

from train.inputs import END_OF_TEXT, IM_END, SPECIAL_TOKENS
from train.pixels import MERGE, PATCH, TEMPORAL
from train.settings import TinySettings
from train.tiny import tiny_config, train_tokenizer

TEXTS = ('{"clip": "a red circle moves right", "caption": "The camera pans left."}', "Describe the video in JSON.")
CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n"
    "{% if message.content is string %}{{ message.content }}{% else %}{% for part in message.content %}"
    "{% if part.type == 'video' %}<|vision_start|><|video_pad|><|vision_end|>"
    "{% elif part.type == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% else %}{{ part.text }}{% endif %}{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
PICTURES = {
    "patch_size": PATCH,
    "temporal_patch_size": TEMPORAL,
    "merge_size": MERGE,
    "size": {"shortest_edge": 4 * 28 * 28, "longest_edge": 64 * 28 * 28},  # areas, in spite of the names
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_std": [0.26862954, 0.26130258, 0.27577711],
    "processor_class": "Qwen2_5_VLProcessor",
}


def write_tiny_server_model(folder: Path, texts: Iterable[str] = TEXTS, seed: int = 0) -> Path:
    """Write the model into `folder` and return it; the same seed gives the same weights."""
    settings = TinySettings(vocab_size=512, hidden=128, layers=2, intermediate=256, vision_hidden=64)
    tokenizer = train_tokenizer(texts, settings.vocab_size)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        Qwen2_5_VLForConditionalGeneration(tiny_config(tokenizer, settings)).save_pretrained(folder)
    _write_tokenizer(folder, tokenizer)
    _write(folder / "preprocessor_config.json", PICTURES | {"image_processor_type": "Qwen2VLImageProcessor"})
    _write(folder / "video_preprocessor_config.json", PICTURES | {"video_processor_type": "Qwen2VLVideoProcessor"})
    return folder


def _write_tokenizer(folder: Path, tokenizer: Tokenizer) -> None:
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "chat_template.jinja").write_text(CHAT_TEMPLATE)
    facts = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": IM_END,
        "pad_token": END_OF_TEXT,
        "additional_special_tokens": list(SPECIAL_TOKENS),
        "model_max_length": 131_072,
    }
    _write(folder / "tokenizer_config.json", facts)


def _write(path: Path, facts: dict[str, Any]) -> None:
    path.write_text(json.dumps(facts, indent=1))
