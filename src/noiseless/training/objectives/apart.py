"""Pixel-shuffle downsampling: an image taken apart into smaller ones in which correlated noise is nearly white.

Zhou et al., "When AWGN-based Denoiser Meets Real Noises", 2020; Lee, Son and Lee, "AP-BSN: Self-Supervised Denoising
for Real-World Images via Asymmetric PD and Blind-Spot Network", 2022.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from noiseless.errors import ConfigError
from noiseless.networks import spec_of
from noiseless.training.known import KnownNoise

LARGEST = 3
"""Smaller images still show what is in the picture."""


def stride_for(noise: KnownNoise) -> int:
    """How many pixels apart the noise no longer resembles itself; 1 for white noise."""
    return min(noise.reach + 1, LARGEST)


def take_apart(image: Tensor, stride: int) -> Tensor:
    """(B, C, H, W) as ``stride ** 2`` images each, (B stride ** 2, C, H / stride, W / stride); the rest is cut off."""
    height, width = (side // stride * stride for side in image.shape[-2:])
    folded = functional.pixel_unshuffle(image[..., :height, :width], stride)
    channels = image.shape[1]
    parts = torch.unflatten(folded, 1, (channels, stride**2)).transpose(1, 2)
    return parts.reshape(-1, channels, *folded.shape[-2:])


def repeat_for(sigma: Tensor | None, stride: int) -> Tensor | None:
    """What the network is told of each of the images that `take_apart` makes; one level for each."""
    if sigma is None:
        return None
    return sigma.mean(dim=(-2, -1), keepdim=True).repeat_interleave(stride**2, dim=0)


def sides_of(network: nn.Module) -> int:
    """What the sides of a half-size image must be multiples of, before it is halved."""
    spec = spec_of(network)
    return 2 * spec.multiple_of


def fitting(image: Tensor, multiple: int) -> Tensor:
    """The image (B, C, H, W), cut to a multiple of what the network takes.

    Raises:
        ConfigError: nothing would be left.
    """
    height, width = (side // multiple * multiple for side in image.shape[-2:])
    if not height or not width:
        raise ConfigError(
            "patches are too small to be taken apart",
            got=f"{min(image.shape[-2:])} pixels, taken apart",
            expected=f"{multiple} or more",
            fix="Raise training.patch_size, or take images that are larger, or another objective.",
        )
    return image[..., :height, :width]
