"""Operations counted by formula are those that torch counts while the model runs."""

import pytest
import torch
from gve_sides import SIDES, TEXTS, clip, picture
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from shards.records import Side
from train.architectures import find_config
from train.flops import BatchShape, adapter_flops, forward_flops, peak_flops, shape_of, step_flops
from train.gve import Gve
from train.inputs import Prepared
from train.lora import choose_trained
from train.pixels import PATCH_VALUES
from train.settings import InputSettings, LoraSettings, TinySettings

# Two vision blocks, so that one attends within windows; frames larger than a window of 8 x 8 patches.
TINY = TinySettings(layers=2, vocab_size=400, vision_depth=2)
LARGE = InputSettings(frames=4, frame_max_pixels=200 * 28 * 28, image_max_pixels=300 * 28 * 28, max_tokens=2000)


@pytest.fixture
def gve() -> Gve:
    return Gve.tiny(TEXTS, TINY, LARGE, seed=0)


@pytest.fixture(params=["text", "clip", "all"])
def prepared(request: pytest.FixtureRequest, gve: Gve) -> Prepared:
    side = {
        "text": Side(text="a red square"),
        "clip": Side(video=clip(270, 480, 1)),
        "all": Side(text="then left", video=clip(120, 250, 3), image=picture(260, 390, 4)),
    }[request.param]
    return gve.inputs.prepare(side)


def counted(gve: Gve, prepared: Prepared, backward: bool) -> int:
    """With attention made of plain products: torch does not count its fused kernels on CPU."""
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        vectors = gve.encode([prepared])
        if backward:
            (vectors * torch.ones(gve.dim)).sum().backward()
    return int(counter.get_total_flops())


def unseen(gve: Gve, prepared: Prepared) -> int:
    """Of the language model's attention, the half that a causal mask hides and plain products compute anyway."""
    text, length = gve.model.config.text_config, len(prepared.ids)
    return 4 * (length * (length - 1) // 2) * text.hidden_size * text.num_hidden_layers


def test_a_forward_pass_costs_what_torch_counts(gve: Gve, prepared: Prepared) -> None:
    ours = forward_flops(gve.model.config, shape_of([prepared])).total
    assert counted(gve, prepared, backward=False) == ours + unseen(gve, prepared)


def test_a_step_of_all_weights_costs_three_forward_passes(gve: Gve, prepared: Prepared) -> None:
    """But that nobody asks for the gradient of the pixels."""
    ours = step_flops(gve.model.config, shape_of([prepared]), LoraSettings())
    patches = sum(t * h * w for t, h, w in shape_of([prepared]).grids)
    pixels = 2 * patches * PATCH_VALUES * TINY.vision_hidden
    assert counted(gve, prepared, backward=True) == ours + 3 * unseen(gve, prepared) - pixels


def test_a_step_of_adapters_costs_no_gradients_of_frozen_weights(gve: Gve, prepared: Prepared) -> None:
    """And none of what enters the first layer: its query, key and value layers take it, with their adapters."""
    lora = LoraSettings(rank=4, dropout=0.0)
    choose_trained(gve.model, lora, seed=0)
    ours = step_flops(gve.model.config, shape_of([prepared]), lora)
    hidden, shared, tokens = TINY.hidden, TINY.hidden // TINY.heads * TINY.kv_heads, len(prepared.ids)
    first = 2 * tokens * (hidden * (hidden + 2 * shared) + 3 * lora.rank * hidden)
    assert counted(gve, prepared, backward=True) == ours + 3 * unseen(gve, prepared) - first


def test_a_batch_costs_the_sum_of_its_sides(gve: Gve) -> None:
    sides = [gve.inputs.prepare(side) for side in SIDES]
    together = step_flops(gve.model.config, shape_of(sides), LoraSettings(rank=4))
    assert together == sum(step_flops(gve.model.config, shape_of([side]), LoraSettings(rank=4)) for side in sides)


def test_the_3b_model_by_hand() -> None:
    """A text of 100 tokens: two operations a weight and token (2,774,532,096 in linear layers), and attention."""
    config = find_config("qwen2.5-vl-3b")
    flops = forward_flops(config, BatchShape((100,)))
    weights = 36 * (2 * 2048**2 + 2 * 256 * 2048 + 3 * 2048 * 11008)
    assert flops.language_linear == 2 * 100 * weights
    assert flops.language_attention == 36 * 4 * 2048 * 5050
    assert flops.vision_linear == flops.vision_attention == 0
    assert adapter_flops(config, 100, rank=16) == 2 * 100 * 27_574_272, "two operations a parameter of table 9's"


@pytest.mark.parametrize(
    ("device", "peak"),
    [
        ("NVIDIA H100 80GB HBM3", 989e12),
        ("NVIDIA H100 PCIe", 756e12),
        ("NVIDIA H200", 989e12),
        ("NVIDIA A100-SXM4-80GB", 312e12),
        ("NVIDIA A10G", 70e12),
        ("NVIDIA L4", 121e12),
        ("NVIDIA L40S", 362e12),
        ("NVIDIA A100-SXM4-40GB MIG 1g.5gb", None),
        ("Tesla T4", None),
        ("cpu", None),
    ],
)
def test_peaks_are_known_by_the_device_s_name(device: str, peak: float | None) -> None:
    assert peak_flops(device) == peak
