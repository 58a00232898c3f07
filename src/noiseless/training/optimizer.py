"""Optimisers, and the moving average of the weights."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from noiseless.errors import UnknownNameError
from noiseless.training.config import TrainingConfig
from noiseless.training.muon import Muon


def _sgd(parameters: Any, config: TrainingConfig) -> torch.optim.Optimizer:
    momentum, decay = config.momentum, config.weight_decay
    return torch.optim.SGD(parameters, config.lr, momentum=momentum, nesterov=momentum > 0, weight_decay=decay)


# Fused takes a fifth of the time.
OPTIMIZERS: dict[str, Callable[[Any, TrainingConfig], torch.optim.Optimizer]] = {
    "adamw": lambda p, config: torch.optim.AdamW(p, config.lr, weight_decay=config.weight_decay, fused=True),
    "adam": lambda p, config: torch.optim.Adam(p, config.lr, weight_decay=config.weight_decay, fused=True),
    "sgd": _sgd,
    "muon": lambda p, config: Muon(p, config.lr, weight_decay=config.weight_decay),
}


def build_optimizer(parameters: Any, config: TrainingConfig) -> torch.optim.Optimizer:
    """One of `OPTIMIZERS` over parameters or parameter groups.

    Raises:
        UnknownNameError: no optimiser of this name.
    """
    if config.optimizer not in OPTIMIZERS:
        raise UnknownNameError("optimizer", config.optimizer, OPTIMIZERS)
    return OPTIMIZERS[config.optimizer](parameters, config)


def averaged(network: nn.Module) -> nn.Module:
    """A copy of a network for the moving average; it takes no gradient."""
    return copy.deepcopy(network).requires_grad_(False).eval()
