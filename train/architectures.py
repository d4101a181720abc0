"""Architectures by name or folder, as transformers' configurations; no weights are read.

The named ones are data: `architectures.toml` beside this file.
"""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

from tokenizers import Tokenizer
from transformers import Qwen2_5_VLConfig

from infra.errors import UsageError
from infra.recipe import overlay
from train.inputs import IMAGE_PAD, VIDEO_PAD, VISION_END, VISION_START, token_id

MODEL_TYPE = "qwen2_5_vl"
SHARED = "shared"


def find_config(model: str) -> Qwen2_5_VLConfig:
    """The configuration of a named architecture, or of the model in a local folder.

    Raises UsageError for what is neither, and for a folder of another kind of model.
    """
    table = tomllib.loads(Path(__file__).with_suffix(".toml").read_text())
    shared = table.pop(SHARED)
    if model in table:
        return Qwen2_5_VLConfig(**overlay(shared, table[model]))
    if Path(model).is_dir():
        return read_config(Path(model))
    raise UsageError(f"no model {model!r}: it is neither a folder nor one of {', '.join(sorted(table))}")


def read_config(folder: Path) -> Qwen2_5_VLConfig:
    """The configuration in a model's folder; raises UsageError when it is none of a Qwen2.5-VL."""
    path = folder / "config.json"
    if not path.is_file():
        raise UsageError(f"no model at {folder}: config.json is missing")
    try:
        kind = json.loads(path.read_text()).get("model_type")
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not valid JSON: {error}") from error
    if kind != MODEL_TYPE:
        raise UsageError(f"{folder} holds a model of type {kind!r}; GVE is a {MODEL_TYPE}")
    return Qwen2_5_VLConfig.from_pretrained(folder, local_files_only=True)


def with_tokenizer(config: Qwen2_5_VLConfig, tokenizer: Tokenizer) -> Qwen2_5_VLConfig:
    """`config`, changed to know the special tokens by their ids in `tokenizer`, whose vocabulary may be smaller.

    Raises UsageError when it is larger than the model's.
    """
    if tokenizer.get_vocab_size() > config.text_config.vocab_size:
        raise UsageError(f"the tokenizer has more than the model's {config.text_config.vocab_size} tokens")
    config.image_token_id = token_id(tokenizer, IMAGE_PAD)
    config.video_token_id = token_id(tokenizer, VIDEO_PAD)
    config.vision_start_token_id = token_id(tokenizer, VISION_START)
    config.vision_end_token_id = token_id(tokenizer, VISION_END)
    return config
