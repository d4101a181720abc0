"""Adapters: where they are, how many, what they change, and that they leave no trace once merged."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from gve_sides import INPUTS, SIDES, TEXTS

from infra.errors import RunFailed, UsageError
from train.gve import Gve
from train.lora import (
    PAPER_LORA,
    choose_trained,
    has_adapters,
    load_trainable_state,
    merge_adapters,
    trainable_state,
)
from train.settings import LoraSettings, TinySettings

TINY = TinySettings(layers=2, vocab_size=400)
LORA = LoraSettings(rank=4)


def adapted(settings: LoraSettings = LORA, seed: int = 7) -> Gve:
    gve = Gve.tiny(TEXTS, TINY, INPUTS, seed=0)
    choose_trained(gve.model, settings, seed)
    return gve


def disturb(gve: Gve) -> None:
    """Give what is trained other values, as training would."""
    generator = torch.Generator().manual_seed(3)
    for tensor in trainable_state(gve.model).values():
        tensor.add_(0.05 * torch.randn(tensor.shape, generator=generator))


@pytest.fixture
def trained() -> Gve:
    gve = adapted()
    disturb(gve)
    return gve


def test_adapters_stand_beside_the_language_model_s_layers_alone() -> None:
    """Rank x (inputs + outputs) for each of six layers; the vision tower has three of the same names."""
    gve = adapted()
    hidden, shared, inner = 96, 48, 128
    block = (hidden + hidden) + 2 * (hidden + shared) + 3 * (hidden + inner)
    state = trainable_state(gve.model)
    assert sum(tensor.numel() for tensor in state.values()) == 4 * block * TINY.layers
    assert all(name.startswith("language_model.layers.") and ".lora_" in name for name in state)
    assert {name.split(".")[4] for name in state} == {f"{x}_proj" for x in ("q", "k", "v", "gate", "up", "down")}


def test_without_a_rank_all_weights_are_trained() -> None:
    gve = adapted(LoraSettings())
    assert trainable_state(gve.model).keys() == dict(gve.model.named_parameters()).keys()
    assert not has_adapters(gve.model)


def test_new_adapters_change_nothing_and_their_seed_decides_them() -> None:
    plain = Gve.tiny(TEXTS, TINY, INPUTS, seed=0)
    torch.manual_seed(1)
    first = adapted()
    torch.manual_seed(2)
    again, other = adapted(), adapted(seed=8)
    assert np.array_equal(first.embed(SIDES), plain.embed(SIDES))
    one, two, three = (trainable_state(gve.model) for gve in (first, again, other))
    assert all(torch.equal(one[name], two[name]) for name in one)
    drawn = [name for name in one if "lora_A" in name]
    assert not any(torch.equal(one[name], three[name]) for name in drawn)
    assert all(0 < one[name].abs().max() <= one[name].shape[1] ** -0.5 for name in drawn)


def test_adapters_are_float32_and_the_same_beside_weights_of_bfloat16(tmp_path: Path) -> None:
    Gve.tiny(TEXTS, TINY, INPUTS, seed=0).save(tmp_path)
    gve = Gve.load(tmp_path, dtype=torch.bfloat16)
    choose_trained(gve.model, LORA, seed=7)
    single = adapted()
    expected = trainable_state(single.model)
    for name, tensor in trainable_state(gve.model).items():
        assert tensor.dtype == torch.float32
        assert torch.equal(tensor, expected[name])
    grads = []
    for one in (gve, single):
        disturb(one)
        one.model.eval()  # without dropout
        vectors = one.encode([one.inputs.prepare(side) for side in SIDES])
        (vectors @ vectors.T)[0].sum().backward()
        grads.append(torch.cat([weight.grad.flatten() for weight in one.model.parameters() if weight.grad is not None]))
    assert grads[0].dtype == torch.float32
    assert torch.cosine_similarity(*grads, dim=0) > 0.99


def test_gradients_reach_the_adapters_and_nothing_else(trained: Gve) -> None:
    trained.model.train()
    vectors = trained.encode([trained.inputs.prepare(side) for side in SIDES])
    (vectors @ torch.randn(trained.dim, 3)).sum().backward()
    for name, weight in trained.model.named_parameters():
        assert (weight.grad is not None) == (".lora_" in name), name
        assert weight.grad is None or weight.grad.abs().max() > 0, name


def test_dropout_is_for_training_and_never_for_embedding() -> None:
    gve = adapted(replace(LORA, dropout=0.5))
    disturb(gve)
    gve.model.train()
    prepared = [gve.inputs.prepare(side) for side in SIDES[:1]]
    with torch.no_grad():
        assert not torch.equal(gve.encode(prepared), gve.encode(prepared))
    assert np.array_equal(gve.embed(SIDES), gve.embed(SIDES))
    assert gve.model.training


def test_merged_it_is_a_plain_model_that_embeds_alike(trained: Gve, tmp_path: Path) -> None:
    before = trained.embed(SIDES)
    assert np.abs(before - Gve.tiny(TEXTS, TINY, INPUTS, seed=0).embed(SIDES)).max() > 1e-3
    with pytest.raises(RunFailed, match="merged"):
        trained.save(tmp_path)
    merge_adapters(trained.model)
    np.testing.assert_allclose(trained.embed(SIDES), before, atol=1e-5)
    trained.save(tmp_path)
    loaded = Gve.load(tmp_path)
    assert loaded.model.state_dict().keys() == Gve.tiny(TEXTS, TINY, INPUTS, seed=0).model.state_dict().keys()
    np.testing.assert_allclose(loaded.embed(SIDES), before, atol=1e-5)


@pytest.mark.parametrize("settings", [LORA, LoraSettings()])
def test_what_is_trained_is_saved_and_put_back(settings: LoraSettings, tmp_path: Path) -> None:
    gve = adapted(settings)
    disturb(gve)
    torch.save(trainable_state(gve.model), tmp_path / "state.pt")
    fresh = adapted(settings)
    load_trainable_state(fresh.model, torch.load(tmp_path / "state.pt", weights_only=True))
    assert np.array_equal(fresh.embed(SIDES), gve.embed(SIDES))


def test_the_state_of_other_adapters_is_refused() -> None:
    with pytest.raises(UsageError, match="LoRA"):
        load_trainable_state(adapted().model, trainable_state(adapted(replace(LORA, rank=2)).model))


def test_checkpointed_activations_give_the_same_gradients_and_leave_the_frozen_tower_alone(trained: Gve) -> None:
    trained.model.train()
    prepared = [trained.inputs.prepare(side) for side in SIDES]
    grads = []
    for checkpoint in (False, True):
        if checkpoint:
            trained.checkpoint_activations()
        torch.manual_seed(0)  # for dropout
        trained.model.zero_grad()
        trained.encode(prepared).sum().backward()
        grads.append({n: w.grad.clone() for n, w in trained.model.named_parameters() if w.grad is not None})
    assert grads[0].keys() == grads[1].keys() == trainable_state(trained.model).keys()
    assert all(torch.equal(grads[0][name], grads[1][name]) for name in grads[0])
    assert trained.model.language_model.layers[0].gradient_checkpointing
    assert not any(block.gradient_checkpointing for block in trained.model.visual.blocks)


def test_the_paper_s_settings() -> None:
    """Table 9."""
    assert (PAPER_LORA.rank, PAPER_LORA.alpha, PAPER_LORA.dropout) == (16, 32, 0.1)
