"""Supervised learning in which every noise level counts alike.

An error after restoring grows with the noise, so that over a range of levels a plain loss is that of the strongest:
what happens to a nearly clean image hardly shows in it. Here prediction and target are divided by about the error that
a good network leaves at their level, which gives all levels a loss of one size.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from noiseless.errors import ConfigError
from noiseless.training.known import KnownNoise
from noiseless.training.objectives import Batch, Loss, Objective, apply

FLOOR = 1 / 255
"""Added to the noise level, in [0, 1] units, since a perfect score is not to be had at level 0."""

GROWTH = 0.6
"""The power of the noise level with which errors grow: PSNR falls by about 6 dB from level 15 to 50."""

SCALE = 30 / 255
"""Keeps the loss at about the size of a plain one at a middling level."""


def balanced(loss: Loss, noise: KnownNoise | None = None) -> Objective:
    """The objective ``loss(network(noisy) w, clean w)`` with ``w = (SCALE / (sigma + FLOOR)) ** GROWTH``.

    Meant for losses that grow with the error (mse, l1, charbonnier); it makes SSIM another measure.
    """

    def objective(network: nn.Module, batch: Batch, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        if batch.sigma is None:
            raise ConfigError("the balanced objective needs a noise level", fix="Use supervised.")
        weight = (SCALE / (batch.sigma.mean(dim=(1, 2, 3), keepdim=True) + FLOOR)) ** GROWTH
        restored = apply(network, batch.noisy, batch.sigma).float()
        return loss(restored * weight, batch.target * weight), {}

    return objective
