"""Learning from a noisy image made noisier, towards the same image made noisier in the opposite sense.

Pang et al., "Recorrupted-to-Recorrupted: Unsupervised Deep Learning for Image Denoising", 2021: with new noise z like
that of the image y, ``y + a z`` and ``y - z / a`` have independent noise (exactly for normal noise, white or not), so
that they serve as the two views of Noise2Noise. The input is noisier by ``sqrt(1 + a^2)``, and a network that takes
a noise level is told so.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from noiseless.training.known import KnownNoise
from noiseless.training.objectives import Batch, Loss, Objective, apply

SHARE = 0.5
"""The paper's a: what is added to the input, in standard deviations of the noise."""


def recorrupted(loss: Loss, noise: KnownNoise | None = None) -> Objective:
    """The objective ``loss(network(y + a z), y - z / a)``."""
    assert noise is not None
    known, louder = noise, math.sqrt(1 + SHARE**2)

    def objective(network: nn.Module, batch: Batch, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        more = known.sample(batch.noisy, generator)
        sigma = None if batch.sigma is None else louder * batch.sigma
        restored = apply(network, batch.noisy + SHARE * more, sigma).float()
        return loss(restored, batch.noisy - more / SHARE), {}

    return objective
