"""Objectives: what one step of the loop minimises.

An objective is a function ``(network, batch, generator) -> (loss, logs)``; the loop knows no other.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from noiseless.errors import UnknownNameError

Loss = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Batch:
    """What one step learns from; tensors of shape (B, C, H, W) in [0, 1] units.

    Attributes:
        noisy: the network's input.
        target: what the loss compares with: the clean image where there is one.
        sigma: noise standard deviation, broadcastable to the input; ``None`` where it is not known.
    """

    noisy: Tensor
    target: Tensor
    sigma: Tensor | None = None


Objective = Callable[[nn.Module, Batch, torch.Generator], tuple[Tensor, dict[str, float]]]

OBJECTIVES: dict[str, str] = {
    "supervised": "noiseless.training.objectives.supervised:supervised",
    "balanced": "noiseless.training.objectives.balanced:balanced",
}


def create(name: str, loss: Loss) -> Objective:
    """The objective of this name around `loss`.

    Raises:
        UnknownNameError: no objective of this name.
    """
    if name not in OBJECTIVES:
        raise UnknownNameError("objective", name, OBJECTIVES)
    module, attribute = OBJECTIVES[name].split(":")
    objective: Objective = getattr(importlib.import_module(module), attribute)(loss)
    return objective


def apply(network: nn.Module, noisy: Tensor, sigma: Tensor | None) -> Tensor:
    """Run a network, with or without sigma as its spec says."""
    restored: Tensor = network(noisy, sigma) if network.spec.conditioning == "sigma" else network(noisy)  # type: ignore[union-attr]
    return restored
