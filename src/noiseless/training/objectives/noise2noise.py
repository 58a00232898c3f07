"""Learning from two noisy views of each scene.

Lehtinen et al., "Noise2Noise: Learning Image Restoration without Clean Data", 2018: where the noise of the two is
independent and of zero mean, the expected value of one given the other is that of the clean image, so that squared
error leads to the same network as clean targets do. Correlated noise does no harm. A neighbouring plane or frame may
be the second view where little moves.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from noiseless.training.known import KnownNoise
from noiseless.training.objectives import Batch, Loss, Objective, apply


def noise2noise(loss: Loss, noise: KnownNoise | None = None) -> Objective:
    """The objective ``loss(network(noisy), other noisy)``; in half of the cases the views change places."""

    def objective(network: nn.Module, batch: Batch, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        turned = (torch.rand(len(batch.noisy), 1, 1, 1, generator=generator) < 0.5).to(batch.noisy.device)
        first = torch.where(turned, batch.target, batch.noisy)
        second = torch.where(turned, batch.noisy, batch.target)
        return loss(apply(network, first, batch.sigma).float(), second), {}

    return objective
