"""AdaLoRA: updates of low rank that compete for a budget, so that rank ends where it matters."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from noiseless.finetuning.config import MethodConfig
from noiseless.finetuning.lowrank import Change, add_changes, is_convolution, update

SURPLUS = 2
"""How many times the rank of the budget every update begins with."""

FALL = (0.1, 0.6)
"""Shares of the training between which the surplus is taken away."""

MEMORY = 0.85
"""Decay of the averages that importance is made of."""


class Triplets(Change):
    """A weight plus ``scale * sum of value_i up_i down_i``: terms of rank one, each of which can be dropped.

    Args:
        weight: (outputs, inputs, height, width); for a transposed convolution inputs come first.
        rank: how many terms it begins with; at most the rank of the matrix.
        scale: multiplies it.
    """

    kept: Tensor
    importance: Tensor
    unsteadiness: Tensor

    def __init__(self, weight: Tensor, rank: int, scale: float) -> None:
        super().__init__()
        rows, columns = weight.shape[0], weight[0].numel()
        rank, self.scale = min(rank, rows, columns), scale
        self.values = nn.Parameter(torch.zeros(rank))
        self.up = nn.Parameter(nn.init.orthogonal_(torch.empty(rows, rank)) * rows**0.5)
        self.down = nn.Parameter(nn.init.orthogonal_(torch.empty(rank, columns)))
        self.register_buffer("kept", torch.ones(rank))
        self.register_buffer("importance", torch.zeros(rank))
        self.register_buffer("unsteadiness", torch.zeros(rank))

    def forward(self, weight: Tensor) -> Tensor:
        """The changed weight, computed in the weight's own precision."""
        with torch.autocast(weight.device.type, enabled=False):
            up = self.up * (self.values * self.kept)
            return weight + update(weight, up, self.down, "adalora", self.scale)

    def stored(self) -> dict[str, Tensor]:
        """Both factors of the terms that are kept, values included."""
        kept = self.kept > 0
        return {"up": (self.up * self.values)[:, kept], "down": self.down[kept]}

    @torch.no_grad()
    def watch(self) -> None:
        """Note, after a step, how much the loss hangs on each term: weight times gradient, and how steady that is."""
        if self.values.grad is None or self.up.grad is None or self.down.grad is None:
            return
        felt = (self.values * self.values.grad).abs()
        felt += (self.up * self.up.grad).abs().mean(dim=0) + (self.down * self.down.grad).abs().mean(dim=1)
        self.importance.lerp_(felt, 1 - MEMORY)
        self.unsteadiness.lerp_((felt - self.importance).abs(), 1 - MEMORY)


def adalora(network: nn.Module, config: MethodConfig) -> nn.Module:
    """Learn updates as `lora` does, of twice the rank at first; the terms that matter least are dropped on the way.

    What is left is `rank` on average over the layers, much in some and nothing in others. Zhang et al., "AdaLoRA:
    Adaptive Budget Allocation for Parameter-Efficient Fine-Tuning", 2023; its factors begin orthogonal, the penalty
    that keeps them so is left out.

    Raises:
        ConfigError: no weight is left.
    """
    return add_changes(
        network,
        config,
        is_convolution,
        lambda weight: Triplets(weight, SURPLUS * config.rank, config.scale),
    )


def settle_budget(network: nn.Module, spent: float) -> None:
    """Drop, after a step, the terms that matter least, as many as the budget wants gone by now.

    The number that is left falls from all to ``1 / SURPLUS`` of them along a cubic curve. Does nothing to a network
    without `Triplets`.

    Args:
        network: that is trained; its gradients are those of the step.
        spent: share of the training that is over, 0 to 1.
    """
    layers = [layer for layer in network.modules() if isinstance(layer, Triplets)]
    for layer in layers:
        layer.watch()
    begin, end = FALL
    if not layers or spent < begin:
        return
    total = sum(len(layer.kept) for layer in layers)
    rest = max(0.0, 1 - (spent - begin) / (end - begin)) ** 3
    wanted = round(total / SURPLUS * (1 + (SURPLUS - 1) * rest))
    matters = torch.cat([layer.importance * layer.unsteadiness for layer in layers])
    matters[torch.cat([layer.kept for layer in layers]) == 0] = -1.0
    left = torch.zeros_like(matters)
    left[matters.topk(wanted).indices] = 1.0
    for layer, kept in zip(layers, torch.split(left, [len(layer.kept) for layer in layers]), strict=True):
        layer.kept.mul_(kept)
