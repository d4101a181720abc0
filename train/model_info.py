"""What a model is, from its configuration alone: sizes counted on torch's meta device, where weights have no values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers import AutoModel, Qwen2_5_VLConfig

from train.architectures import find_config
from train.gve import read_settings
from train.lora import PAPER_LORA, choose_trained
from train.settings import InputSettings, LoraSettings

LANGUAGE = ("num_hidden_layers", "hidden_size", "intermediate_size", "num_attention_heads", "num_key_value_heads")
VISION = ("depth", "hidden_size", "intermediate_size", "num_heads", "patch_size", "window_size")


@dataclass(frozen=True)
class ModelInfo:
    """Shape, numbers of parameters, and what table 9's adapters would train of them."""

    model: str
    architecture: dict[str, Any]
    embedding_dim: int
    parameters: int  # of GVE, which has no generation head
    parameters_by_part: dict[str, int]
    generation_head: int  # parameters of the head that the checkpoint may hold besides; 0 where it is tied
    lora: LoraSettings
    trainable: int  # with these adapters
    trainable_in_visual: int
    inputs: InputSettings


def model_info(model: str) -> ModelInfo:
    """The facts about a named architecture or the model in a folder; raises UsageError as `find_config` does."""
    config = find_config(model)
    with torch.device("meta"):
        empty = AutoModel.from_config(config)
    parts = {
        "language_model": _parameters(empty.language_model) - _parameters(empty.language_model.embed_tokens),
        "embeddings": _parameters(empty.language_model.embed_tokens),
        "vision": _parameters(empty.visual),
    }
    choose_trained(empty, PAPER_LORA, seed=0)
    return ModelInfo(
        model=model,
        architecture=_architecture(config),
        embedding_dim=config.text_config.hidden_size,
        parameters=sum(parts.values()),
        parameters_by_part=parts,
        generation_head=0 if config.tie_word_embeddings else parts["embeddings"],
        lora=PAPER_LORA,
        trainable=_parameters(empty, trained_only=True),
        trainable_in_visual=_parameters(empty.visual, trained_only=True),
        inputs=read_settings(config),
    )


def _architecture(config: Qwen2_5_VLConfig) -> dict[str, Any]:
    text, vision = config.text_config, config.vision_config
    return {
        "class": "Qwen2_5_VLModel",
        "vocab_size": text.vocab_size,
        "language_model": {name: getattr(text, name) for name in LANGUAGE},
        "vision": {name: getattr(vision, name) for name in VISION}
        | {"fullatt_block_indexes": list(vision.fullatt_block_indexes)},
    }


def _parameters(module: nn.Module, trained_only: bool = False) -> int:
    return sum(weight.numel() for weight in module.parameters() if weight.requires_grad or not trained_only)
