"""A tiny model of GVE's architecture that learns from random weights on a laptop, and its tokenizer.

Nothing differs from Qwen2.5-VL but the numbers: it is saved, loaded and run by the same code as the
3B and 7B checkpoints. The sizes are those that learnt best in minutes on two CPU cores.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from tokenizers import AddedToken, Regex, Tokenizer
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from tokenizers.models import BPE
from tokenizers.normalizers import NFC
from tokenizers.pre_tokenizers import ByteLevel, Sequence, Split
from tokenizers.trainers import BpeTrainer
from transformers import AutoModel, Qwen2_5_VLConfig, Qwen2_5_VLModel

from shards.records import INSTRUCTIONS
from train.inputs import END_OF_TEXT, IM_END, IMAGE_PAD, SPECIAL_TOKENS, VIDEO_PAD, VISION_END, VISION_START, token_id
from train.pixels import MERGE, PATCH, TEMPORAL
from train.settings import InputSettings, TinySettings

# How Qwen2's tokenizer cuts text into words before the merges.
QWEN2_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
TEMPLATE = ("system\n", "user\n", "assistant\n", InputSettings.default_instruction, *INSTRUCTIONS.values())


def train_tokenizer(texts: Iterable[str], vocab_size: int) -> Tokenizer:
    """A byte-level BPE tokenizer in Qwen2's form, learnt from `texts`; the same texts give the same one.

    The order of the texts does not matter. Any text can be encoded, whether or not its characters were seen.
    """
    tokenizer = Tokenizer(BPE())
    tokenizer.normalizer = NFC()
    words = Split(Regex(QWEN2_WORDS), behavior="isolated", invert=False)
    tokenizer.pre_tokenizer = Sequence([words, ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder = ByteLevelDecoder()
    trainer = BpeTrainer(
        vocab_size=vocab_size - len(SPECIAL_TOKENS),
        initial_alphabet=sorted(ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator([*sorted(texts), *TEMPLATE], trainer)
    tokenizer.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in SPECIAL_TOKENS])
    return tokenizer


def tiny_config(tokenizer: Tokenizer, settings: TinySettings) -> Qwen2_5_VLConfig:
    """The configuration of a tiny Qwen2.5-VL over `tokenizer`."""
    head_dim = settings.hidden // settings.heads
    spatial = 3 * (head_dim // 2) // 8  # Qwen2.5-VL's 16 : 24 : 24 of the rotary frequencies
    end = token_id(tokenizer, END_OF_TEXT)
    return Qwen2_5_VLConfig(
        text_config={
            "dtype": "float32",
            "vocab_size": tokenizer.get_vocab_size(),
            "hidden_size": settings.hidden,
            "intermediate_size": settings.intermediate,
            "num_hidden_layers": settings.layers,
            "num_attention_heads": settings.heads,
            "num_key_value_heads": settings.kv_heads,
            "initializer_range": settings.initializer_range,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 10_000.0,
                "mrope_section": [head_dim // 2 - 2 * spatial, spatial, spatial],
            },
            "bos_token_id": end,
            "eos_token_id": token_id(tokenizer, IM_END),
            "pad_token_id": None,  # a padding token's embedding would never be learnt, and ours is pooled
            "use_cache": False,
        },
        vision_config={
            "dtype": "float32",
            "depth": settings.vision_depth,
            "hidden_size": settings.vision_hidden,
            "intermediate_size": 2 * settings.vision_hidden,
            "num_heads": settings.vision_heads,
            "out_hidden_size": settings.hidden,
            "patch_size": PATCH,
            "temporal_patch_size": TEMPORAL,
            "spatial_merge_size": MERGE,
            "tokens_per_second": 2,
            "window_size": 112,
            "fullatt_block_indexes": [settings.vision_depth - 1],
            "initializer_range": settings.initializer_range,
        },
        image_token_id=token_id(tokenizer, IMAGE_PAD),
        video_token_id=token_id(tokenizer, VIDEO_PAD),
        vision_start_token_id=token_id(tokenizer, VISION_START),
        vision_end_token_id=token_id(tokenizer, VISION_END),
        tie_word_embeddings=False,
    )


def random_model(
    config: Qwen2_5_VLConfig, seed: int, dtype: torch.dtype = torch.float32, device: str | torch.device = "cpu"
) -> Qwen2_5_VLModel:
    """A model of `config` with random weights, made on `device`; there the same seed gives the same weights."""
    place = torch.device(device)
    with torch.random.fork_rng(devices=[place] if place.type == "cuda" else []), place:
        torch.manual_seed(seed)
        return AutoModel.from_config(config, dtype=dtype, attn_implementation="sdpa")
