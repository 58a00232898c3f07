"""Learning from a few pairs and many noisy images at once."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from noiseless.training.objectives import Batch, Objective


def partly_referenced(referenced: Objective, alone: Objective) -> Objective:
    """Each example counts alike: those with a clean image by one objective, the others by another."""

    def objective(network: nn.Module, batch: Batch, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        if batch.referenced is None or bool(batch.referenced.all()):
            return referenced(network, batch, generator)
        if not bool(batch.referenced.any()):
            return alone(network, batch, generator)
        share = float(batch.referenced.float().mean())
        first, first_logs = referenced(network, batch.rows(batch.referenced), generator)
        second, second_logs = alone(network, batch.rows(~batch.referenced), generator)
        return share * first + (1 - share) * second, {**first_logs, **second_logs}

    return objective
