"""Optimisers, and the moving average of the weights."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from noiseless import tables
from noiseless.errors import UnknownNameError

if TYPE_CHECKING:
    import torch
    from torch import nn

    from noiseless.training.config import TrainingConfig

OPTIMIZERS: dict[str, str] = {
    "adamw": "torch.optim:AdamW",
    "adam": "torch.optim:Adam",
    "sgd": "torch.optim:SGD",
    "muon": "noiseless.training.muon:Muon",
}


def build_optimizer(parameters: Any, config: TrainingConfig) -> torch.optim.Optimizer:
    """One of `OPTIMIZERS` over parameters or parameter groups.

    Raises:
        UnknownNameError: no optimiser of this name.
    """
    if config.optimizer not in OPTIMIZERS:
        raise UnknownNameError("optimizer", config.optimizer, OPTIMIZERS)
    settings: dict[str, Any] = {"lr": config.lr, "weight_decay": config.weight_decay}
    if config.optimizer in ("adamw", "adam"):
        settings["fused"] = True  # takes a fifth of the time
    if config.optimizer == "sgd":
        settings |= {"momentum": config.momentum, "nesterov": config.momentum > 0}
    optimizer: torch.optim.Optimizer = tables.attribute(OPTIMIZERS[config.optimizer])(parameters, **settings)
    return optimizer


def averaged(network: nn.Module) -> nn.Module:
    """A copy of a network for the moving average; it takes no gradient."""
    return copy.deepcopy(network).requires_grad_(False).eval()
