"""What the optimizers change, what they remember, and the learning rate's schedule, step by step."""

from copy import deepcopy
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn
from torch.optim import AdamW, Muon

from train.optimizer import Optimizers, learning_rate, make_optimizer
from train.settings import TrainSettings


def test_the_learning_rate_warms_up_and_falls_along_a_cosine() -> None:
    rates = [learning_rate(step, 110, peak=2.0, warmup_share=10 / 110) for step in range(110)]
    assert rates[:11] == pytest.approx([0.2 * n for n in range(1, 11)] + [2.0])
    assert rates[60] == pytest.approx(1.0)
    assert all(later < earlier for earlier, later in pairwise(rates[10:]))
    assert 0 < rates[-1] < 0.001
    assert learning_rate(0, 1, 2.0, 0.0) == 2.0


class Toy(nn.Module):
    """One weight of each kind: an embedding, a convolution, a linear layer with a bias, a norm, a frozen layer."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.words, self.patches = nn.Embedding(5, 8), nn.Conv3d(3, 8, 2)
        self.inner, self.norm, self.frozen = nn.Linear(8, 8), nn.LayerNorm(8), nn.Linear(8, 8).requires_grad_(False)

    def take(self, optimizer: Optimizers, rate: float) -> dict[str, Tensor]:
        """Weights after one step on a loss that asks for all of them."""
        optimizer.zero_grad()
        seen = self.words(torch.arange(5)) + self.patches(torch.ones(1, 3, 2, 2, 2)).flatten()
        self.frozen(self.norm(self.inner(seen))).square().sum().backward()
        optimizer.step(rate)
        return {name: weight.detach().clone() for name, weight in self.named_parameters()}


@pytest.mark.parametrize("muon", [False, True])
def test_every_weight_but_frozen_ones_belongs_to_one_optimizer_and_moves_at_the_rate_of_the_step(muon: bool) -> None:
    toy = Toy()
    optimizer = make_optimizer(toy, 0.1, muon)
    before = {name: weight.detach().clone() for name, weight in toy.named_parameters()}
    held = {type(part): [w for group in part.param_groups for w in group["params"]] for part in optimizer.parts}
    assert [id(w) for w in held.get(Muon, [])] == ([id(toy.inner.weight)] if muon else [])
    assert sorted(id(w) for part in held.values() for w in part) == sorted(
        id(w) for w in toy.parameters() if w.requires_grad
    )
    decayed = {id(w) for group in optimizer.parts[0].param_groups if group["weight_decay"] for w in group["params"]}
    assert isinstance(optimizer.parts[0], AdamW)
    assert {id(toy.words.weight), id(toy.patches.weight)} <= decayed
    assert not {id(toy.inner.bias), id(toy.norm.weight), id(toy.norm.bias)} & decayed
    assert all(torch.equal(before[name], weight) for name, weight in toy.take(optimizer, 0.0).items())
    after = toy.take(optimizer, 0.01)
    assert {name for name in before if torch.equal(before[name], after[name])} == {"frozen.weight", "frozen.bias"}


@pytest.mark.parametrize("muon", [False, True])
def test_an_optimizer_that_took_over_what_another_knew_goes_on_like_it(muon: bool) -> None:
    toys = Toy(), Toy()
    first, second = (make_optimizer(toy, 0.1, muon) for toy in toys)
    for _ in range(3):
        toys[0].take(first, 0.01)
    toys[1].load_state_dict(toys[0].state_dict())
    second.load_state_dict(deepcopy(first.state_dict()))
    expected, got = toys[0].take(first, 0.01), toys[1].take(second, 0.01)
    assert all(torch.equal(expected[name], got[name]) for name in expected)


def test_a_checkpoint_is_trained_by_the_papers_optimizer_and_random_weights_by_muon_unless_told_otherwise() -> None:
    assert [TrainSettings(checkpoint=folder).muon for folder in ("", "model")] == [True, False]
    assert [TrainSettings(optimizer="muon", checkpoint=folder).muon for folder in ("", "model")] == [True, True]
    assert not TrainSettings(optimizer="adamw").muon
