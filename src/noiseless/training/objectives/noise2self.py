"""Learning a function whose value at some pixels does not depend on these pixels.

Batson and Royer, "Noise2Self: Blind Denoising by Self-Supervision", 2019: the pixels are parted into a regular grid of
sets; those of one set are replaced by the mean of their surroundings, and the network, J-invariant with respect to
the set, is compared with the noisy values there. Its error on them is that on clean values plus the noise variance.
The means are made noisy again: a network that could tell them from other pixels would learn nothing of those.
In correlated noise the sets are sparser and a pixel's surroundings begin where the noise no longer resembles it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from noiseless.training.known import KnownNoise
from noiseless.training.objectives import Batch, Loss, Objective, apply
from noiseless.training.objectives.blind_spots import around, spot_shape

GRID = 4
"""Rows and columns from one pixel of a set to the next, for white noise."""


def noise2self(loss: Loss, noise: KnownNoise | None = None) -> Objective:
    """The objective ``loss(network(noisy without the set), noisy)`` on the set; each step takes another."""
    assert noise is not None
    known, shape, reach = noise, spot_shape(noise), noise.reach
    period = GRID + 2 * reach

    def objective(network: nn.Module, batch: Batch, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        row, column = torch.randint(period, (2,), generator=generator).tolist()
        centres = torch.zeros_like(batch.noisy)
        centres[..., row::period, column::period] = 1
        means = surroundings(batch.noisy, reach)
        seen = torch.where(around(centres, shape), means + known.sample(means, generator), batch.noisy)
        restored = apply(network, seen, batch.sigma).float()
        chosen = centres > 0
        return loss(restored[chosen], batch.noisy[chosen]), {}

    return objective


def surroundings(noisy: Tensor, reach: int) -> Tensor:
    """The mean of the pixels in the square ring just out of `reach` around each pixel of (B, C, H, W)."""
    far = reach + 1
    wide = functional.pad(noisy, (far, far, far, far), mode="reflect")
    outer = functional.avg_pool2d(wide, 2 * far + 1, stride=1) * (2 * far + 1) ** 2
    inner = functional.avg_pool2d(wide[..., 1:-1, 1:-1], 2 * reach + 1, stride=1) * (2 * reach + 1) ** 2
    return (outer - inner) / ((2 * far + 1) ** 2 - (2 * reach + 1) ** 2)
