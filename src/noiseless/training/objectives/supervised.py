"""Learning from clean references: the restored image is compared with the clean one."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from noiseless.training.known import KnownNoise
from noiseless.training.objectives import Batch, Loss, Objective, apply


def supervised(loss: Loss, noise: KnownNoise | None = None) -> Objective:
    """The objective ``loss(network(noisy), clean)``."""

    def objective(network: nn.Module, batch: Batch, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        value = loss(apply(network, batch.noisy, batch.sigma).float(), batch.target)
        return value, {}

    return objective
