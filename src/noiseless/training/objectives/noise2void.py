"""Learning to guess hidden pixels from their surroundings.

Krull, Buchholz and Jug, "Noise2Void: Learning Denoising from Single Noisy Images", 2019: some pixels are replaced by
a neighbour's value and the network is to give the noisy value that stood there; as it cannot know the noise, it gives
the clean value. Never the pixel itself: Hoeck et al., "N2V2", 2022. In correlated noise the spots are shaped by it,
see `noiseless.training.objectives.blind_spots`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from noiseless.training.known import KnownNoise
from noiseless.training.objectives import Batch, Loss, Objective, apply
from noiseless.training.objectives.blind_spots import around, from_elsewhere, one_in_each_cell, spot_shape

CELL = 5
"""One blind spot in so many pixels squared, for white noise."""


def noise2void(loss: Loss, noise: KnownNoise | None = None) -> Objective:
    """The objective ``loss(network(noisy with spots), noisy)`` at the spots alone.

    Where the noise of the channels is independent, each has spots of its own, and sees the others.
    """
    assert noise is not None
    shape, reach, joint = spot_shape(noise), noise.reach, noise.joint
    cell = CELL + 2 * reach

    def objective(network: nn.Module, batch: Batch, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        centres = one_in_each_cell(batch.noisy, cell, generator, joint=joint)
        hidden = around(centres, shape)
        seen = torch.where(hidden, from_elsewhere(batch.noisy, reach, generator), batch.noisy)
        restored = apply(network, seen, batch.sigma).float()
        chosen = centres > 0
        return loss(restored[chosen], batch.noisy[chosen]), {}

    return objective
