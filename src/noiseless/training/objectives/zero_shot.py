"""Learning on the one image that is to be restored.

Mansour and Heckel, "Zero-Shot Noise2Noise: Efficient Image Denoising without any Data", 2023: the two diagonals of
each 2x2 pixels, averaged, are two half-size views of one scene with independent noise. Each is to be restored to the
other, and the whole image, restored, is to come apart into the same. In correlated noise the image is first taken
apart (see `noiseless.training.objectives.apart`).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from noiseless.training.known import KnownNoise
from noiseless.training.objectives import Batch, Loss, Objective, apply
from noiseless.training.objectives.apart import fitting, repeat_for, sides_of, stride_for, take_apart


def zero_shot(loss: Loss, noise: KnownNoise | None = None) -> Objective:
    """The objective ``loss(network(first), second)``, both ways, and that restoring and halving change places."""
    assert noise is not None
    stride = stride_for(noise)

    def objective(network: nn.Module, batch: Batch, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        multiple = sides_of(network)
        first, second = diagonals(fitting(take_apart(batch.noisy, stride), multiple))
        sigma = repeat_for(batch.sigma, stride)
        half = None if sigma is None else sigma / math.sqrt(2)  # the mean of two pixels
        restored = [apply(network, side, half).float() for side in (first, second)]
        whole = fitting(take_apart(apply(network, batch.noisy, batch.sigma).float(), stride), multiple)
        across = loss(restored[0], second) + loss(restored[1], first)
        agreement = sum(loss(one, other) for one, other in zip(restored, diagonals(whole), strict=True))
        return (across + agreement) / 2, {}

    return objective


def diagonals(image: Tensor) -> tuple[Tensor, Tensor]:
    """The means of both diagonals of each 2x2 pixels: (B, C, H, W) to two of half the size."""
    kernels = image.new_tensor([[[[0, 0.5], [0.5, 0]]], [[[0.5, 0], [0, 0.5]]]])
    channels = image.shape[1]
    first, second = (
        functional.conv2d(image, kernel.expand(channels, 1, 2, 2), stride=2, groups=channels)
        for kernel in kernels[:, None]
    )
    return first, second
