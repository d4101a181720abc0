"""Floating-point operations of GVE from its configuration and the shapes of its inputs, for model FLOPs utilisation.

Counted are matrix products, two operations for a multiplication and an addition: linear layers and
attention, of tokens that are there and not of padding. Activations computed again by checkpointing are not
counted (PaLM, Chowdhery et al., 2022, appendix B).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from transformers import Qwen2_5_VLConfig

from train.inputs import Prepared
from train.pixels import PATCH_VALUES
from train.settings import LoraSettings

# Peak of dense bfloat16 matrix products, FLOP/s, by a part of the name that CUDA gives the device; from the makers'
# data sheets. The first that fits counts, so the longer of two alike stands first.
PEAKS = {
    "H100 PCIe": 756e12,
    "H100 NVL": 835e12,
    "H100": 989e12,
    "H200": 989e12,
    "GH200": 989e12,
    "B200": 2250e12,
    "A100": 312e12,
    "L40S": 362e12,
    "L4": 121e12,
    "A10G": 70e12,
    "A10": 125e12,
    "RTX 4090": 165e12,
    "RTX 3090": 71e12,
}


@dataclass(frozen=True)
class BatchShape:
    """What decides the cost of a batch: tokens of every sequence without padding, grids (t, h, w) in patches of its
    images and clips."""

    lengths: tuple[int, ...]
    grids: tuple[tuple[int, int, int], ...] = ()


@dataclass(frozen=True)
class Flops:
    """Operations of one forward pass by part; the merger and the patch embedding are among the vision's linear ones."""

    language_linear: int
    language_attention: int
    vision_linear: int
    vision_attention: int

    @property
    def language(self) -> int:
        """Operations of the language model."""
        return self.language_linear + self.language_attention

    @property
    def total(self) -> int:
        """Operations of the whole forward pass."""
        return self.language + self.vision_linear + self.vision_attention


def shape_of(prepared: Sequence[Prepared]) -> BatchShape:
    """The shape of a batch of prepared sides."""
    media = (patches for side in prepared for patches in (side.image, side.video) if patches is not None)
    return BatchShape(tuple(len(side.ids) for side in prepared), tuple(patches.grid for patches in media))


def forward_flops(config: Qwen2_5_VLConfig, shape: BatchShape) -> Flops:
    """Operations of one forward pass, under causal attention: a token attends to itself and those before it."""
    text, tokens = config.text_config, sum(shape.lengths)
    attended = sum(length * (length + 1) // 2 for length in shape.lengths)
    weights = sum(rows * columns for rows, columns in _language_linears(config).values())
    return Flops(
        language_linear=2 * tokens * weights * text.num_hidden_layers,
        language_attention=4 * attended * text.hidden_size * text.num_hidden_layers,
        vision_linear=_vision_linear(config, shape.grids),
        vision_attention=_vision_attention(config, shape.grids),
    )


def step_flops(config: Qwen2_5_VLConfig, shape: BatchShape, lora: LoraSettings) -> int:
    """Operations of a forward and a backward pass over a batch.

    Where everything is trained, the backward pass takes two times the forward one: a product for the gradient of
    a layer's input and one for that of its weights. Beside adapters the language model's weights get none, and
    the frozen vision tower has no backward pass; the adapters themselves are trained in full.
    """
    forward = forward_flops(config, shape)
    if lora.rank == 0:
        return 3 * forward.total
    backward = forward.language_linear + 2 * forward.language_attention
    return forward.total + backward + 3 * adapter_flops(config, sum(shape.lengths), lora.rank)


def adapter_flops(config: Qwen2_5_VLConfig, tokens: int, rank: int) -> int:
    """Operations of one forward pass through all adapters (`train.lora`)."""
    sizes = (rows + columns for name, (rows, columns) in _language_linears(config).items() if name != "o_proj")
    return 2 * tokens * rank * sum(sizes) * int(config.text_config.num_hidden_layers)


def peak_flops(device: str) -> float | None:
    """The peak of a device by its name in CUDA, dense bfloat16 FLOP/s; None for one not known and for a part of one."""
    if "MIG" in device:
        return None
    words = f" {device} ".replace("-", " ")
    return next((peak for name, peak in PEAKS.items() if f" {name} " in words), None)


def _language_linears(config: Qwen2_5_VLConfig) -> dict[str, tuple[int, int]]:
    """Outputs and inputs of the linear layers in one block of the language model."""
    text = config.text_config
    hidden, inner = text.hidden_size, text.intermediate_size
    shared = hidden // text.num_attention_heads * text.num_key_value_heads
    return {
        "q_proj": (hidden, hidden),
        "k_proj": (shared, hidden),
        "v_proj": (shared, hidden),
        "o_proj": (hidden, hidden),
        "gate_proj": (inner, hidden),
        "up_proj": (inner, hidden),
        "down_proj": (hidden, inner),
    }


def _vision_linear(config: Qwen2_5_VLConfig, grids: Sequence[tuple[int, int, int]]) -> int:
    """Of the patch embedding, the blocks (query, key, value, projection, gated feed-forward) and the merger."""
    vision = config.vision_config
    hidden, merged = vision.hidden_size, vision.spatial_merge_size**2
    block = 4 * hidden**2 + 3 * hidden * vision.intermediate_size
    merger = hidden * (merged * hidden + vision.out_hidden_size)  # a token's, shared among its patches
    patches = sum(t * h * w for t, h, w in grids)
    return 2 * patches * int(PATCH_VALUES * hidden + vision.depth * block + merger)


def _vision_attention(config: Qwen2_5_VLConfig, grids: Sequence[tuple[int, int, int]]) -> int:
    """Of blocks that attend within a frame pair, and of those that attend within a window of it."""
    vision = config.vision_config
    full, side = len(vision.fullatt_block_indexes), vision.window_size // vision.patch_size
    windowed = vision.depth - full
    return sum(
        4 * t * int(vision.hidden_size * (full * (h * w) ** 2 + windowed * _squares(h, side) * _squares(w, side)))
        for t, h, w in grids
    )


def _squares(length: int, side: int) -> int:
    """Sum of squares of the windows' sides along an axis; the last one may be shorter."""
    return length // side * side**2 + (length % side) ** 2
