"""A contrast in a feature space: restored near the clean image, far from a noisy one; (B, C, H, W) in [0, 1] units."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from noiseless.losses.sizes import require_side

SIDE = 8
WIDTHS = (16, 32)
KERNELS = (5, 3)
NOISE = 25 / 255
"""Standard deviation of the noise of the image to keep away from."""

SMALLEST = 1e-6
SEED = 20220


def contrastive(prediction: Tensor, target: Tensor) -> Tensor:
    """How much nearer a restored image is to the clean one than to a noisy one: the ratio of their squared distances.

    After Wu et al., "Contrastive Learning for Compact Single Image Dehazing", 2021. Its features are those of a trained
    classifier; here they are random convolutions of two scales, always the same ones, so that nothing is fetched
    (what such features see: He, Wang and Hopcroft, "A Powerful Generative Model Using Random Weights for the Deep Image
    Representation", 2016). A loss is told two images, so the noisy one is the clean one with noise of its own, sigma
    25 of 255, always the same for a shape. Add it to a loss of pixels, as ``l1+0.05*contrastive``.

    Raises:
        ConfigError: a side of less than 8 pixels.
    """
    require_side("contrastive", prediction, SIDE)
    generator = torch.Generator().manual_seed(SEED)
    filters = [
        torch.randn(width, inputs, side, side, generator=generator) / (inputs * side**2) ** 0.5
        for width, inputs, side in zip(WIDTHS, (1, *WIDTHS), KERNELS, strict=False)
    ]
    noisy = target + NOISE * torch.randn(target.shape, generator=generator).to(target)
    restored, clean, away = (_features(images, filters) for images in (prediction, target, noisy))
    near, far = _distance(restored, clean), _distance(restored, away)
    return near / (near + far + SMALLEST)


def _features(images: Tensor, filters: list[Tensor]) -> list[Tensor]:
    """Maps of two scales; each colour is an image of its own."""
    maps, found = images.flatten(0, 1).unsqueeze(1), []
    for number, weights in enumerate(filters):
        maps = functional.softplus(
            functional.conv2d(functional.avg_pool2d(maps, 2) if number else maps, weights.to(maps))
        )
        found.append(maps)
    return found


def _distance(one: list[Tensor], other: list[Tensor]) -> Tensor:
    distances = [(a - b).square().mean() for a, b in zip(one, other, strict=True)]
    return torch.stack(distances).mean()
