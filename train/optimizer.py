"""The optimizer of GVE's training and its learning rate (arXiv 2510.27571, table 9)."""

from __future__ import annotations

import math

from torch import nn
from torch.optim import AdamW


def make_optimizer(model: nn.Module, learning_rate: float, weight_decay: float) -> AdamW:
    """AdamW over all weights that are trained; norms and biases are not decayed."""
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    groups = [
        {"params": [w for w in weights if w.ndim >= 2], "weight_decay": weight_decay},
        {"params": [w for w in weights if w.ndim < 2], "weight_decay": 0.0},
    ]
    return AdamW([group for group in groups if group["params"]], lr=learning_rate)


def learning_rate(step: int, steps: int, peak: float, warmup_share: float) -> float:
    """The learning rate of step 0 <= `step` < `steps`: a linear warm-up, then half a cosine to zero."""
    warmup = round(steps * warmup_share)
    if step < warmup:
        return peak * (step + 1) / warmup
    return peak * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup))) / 2
