"""The optimizers of GVE's training and their learning rate (arXiv 2510.27571, table 9)."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from torch import Tensor, nn
from torch.optim import AdamW, Muon, Optimizer


class Optimizers:
    """Optimizers of disjoint weights that step together, at one learning rate."""

    def __init__(self, *parts: Optimizer) -> None:
        self.parts = parts

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for part in self.parts:
            part.zero_grad()

    def step(self, learning_rate: float) -> None:
        """Change the weights along their gradients."""
        for part in self.parts:
            for group in part.param_groups:
                group["lr"] = learning_rate
            part.step()

    def state_dict(self) -> dict[str, Any]:
        """What the parts know besides the weights, by their classes' names."""
        return {type(part).__name__: part.state_dict() for part in self.parts}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what optimizers of the same weights knew."""
        for part in self.parts:
            part.load_state_dict(state[type(part).__name__])


def make_optimizer(model: nn.Module, weight_decay: float, muon: bool = False) -> Optimizers:
    """AdamW over all weights of `model` that are trained, as the paper has it; norms and biases are not decayed.

    With `muon` the matrices of linear layers are left to Muon (Jordan 2024, https://kellerjordan.github.io/posts/muon),
    whose steps are scaled to the size of AdamW's (Liu et al., arXiv 2502.16982), so that they share a learning rate.
    """
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    inner = {id(module.weight) for module in model.modules() if isinstance(module, nn.Linear)} if muon else set[int]()
    matrices = [weight for weight in weights if id(weight) in inner]
    adamw = _adamw((weight for weight in weights if id(weight) not in inner), weight_decay)
    if not matrices:
        return Optimizers(adamw)
    return Optimizers(adamw, Muon(matrices, weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw"))


def _adamw(weights: Iterable[Tensor], weight_decay: float) -> AdamW:
    decayed, others = list[Tensor](), list[Tensor]()
    for weight in weights:
        (decayed if weight.ndim >= 2 else others).append(weight)
    groups = [{"params": decayed, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]
    return AdamW([group for group in groups if group["params"]])


def learning_rate(step: int, steps: int, peak: float, warmup_share: float) -> float:
    """The learning rate of step 0 <= `step` < `steps`: a linear warm-up, then half a cosine to zero."""
    warmup = round(steps * warmup_share)
    if step < warmup:
        return peak * (step + 1) / warmup
    return peak * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup))) / 2
