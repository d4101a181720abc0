"""What is trained: everything, or low-rank adapters of the language model alone (arXiv 2510.27571, table 9).

An adapter adds B A x * alpha / rank to what a frozen linear layer makes of x (Hu et al., 2022). Vision tower,
token embeddings and norms stay as they are. The adapters are peft's, put into transformers' own model in
place; merged, they leave no trace, and what is saved is a plain Qwen2.5-VL.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from infra.errors import UsageError
from train.settings import LoraSettings

PAPER_LORA = LoraSettings(rank=16)  # table 9

# Matched against a module's whole path. The vision tower has layers of the same last names, 96 of them
# in the published models, so the path says where.
TARGETS = r"(.*\.)?language_model\.layers\.\d+\.(self_attn\.[qkv]_proj|mlp\.(gate|up|down)_proj)"
ADAPTER = "default"  # peft names every adapter


def choose_trained(model: nn.Module, settings: LoraSettings, seed: int) -> None:
    """Let `model`'s weights be trained: all of them with rank 0, else new adapters alone, and nothing else.

    New adapters change no output, since B is zero; A is drawn from `seed`, the same on every device and for
    every type of the model's weights. Adapters are float32 even beside bfloat16 weights, whose steps are
    too coarse for small updates; `Gve` makes their products in the type of the weights.
    """
    model.requires_grad_(settings.rank == 0)
    if settings.rank == 0:
        return
    from peft import LoraConfig, inject_adapter_in_model  # it takes a while to load, and few processes need it

    config = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules=TARGETS,
        init_lora_weights=False,  # by us, from the seed
    )
    inject_adapter_in_model(config, model, ADAPTER)
    draws = torch.Generator().manual_seed(seed)
    for layer in _adapted(model).values():
        layer.cast_input_dtype_enabled = False  # peft would turn inputs into float32, and back for the products
        down, up = layer.lora_A[ADAPTER].float(), layer.lora_B[ADAPTER].float()
        start = torch.empty(down.weight.shape)
        nn.init.kaiming_uniform_(start, a=math.sqrt(5), generator=draws)  # as any new linear layer of torch's
        with torch.no_grad():
            down.weight.copy_(start)
            up.weight.zero_()


def merge_adapters(model: nn.Module) -> None:
    """Add the adapters to the weights they stand beside, and take them away: nothing is trained from then on."""
    for name, layer in _adapted(model).items():
        layer.merge()
        parent, _, last = name.rpartition(".")
        setattr(model.get_submodule(parent), last, layer.get_base_layer())


def has_adapters(model: nn.Module) -> bool:
    """Whether adapters stand beside the weights of `model`."""
    return bool(_adapted(model))


def trainable_state(model: nn.Module) -> dict[str, Tensor]:
    """The tensors that training changes, by name; they share memory with the model."""
    return {name: weight.detach() for name, weight in model.named_parameters() if weight.requires_grad}


def load_trainable_state(model: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Put what `trainable_state` gave into a model whose trained weights were chosen alike.

    Raises UsageError when names or shapes differ.
    """
    own = trainable_state(model)
    if {name: weight.shape for name, weight in own.items()} != {name: weight.shape for name, weight in state.items()}:
        raise UsageError("the checkpoint's weights are not those that this run trains: other LoRA settings or model")
    for name, weight in own.items():
        weight.copy_(state[name])


def _adapted(model: nn.Module) -> dict[str, Any]:
    """peft's layers in `model`, by name: they hold the adapter's two matrices and the layer that was there."""
    return {name: module for name, module in model.named_modules() if hasattr(module, "lora_A")}
