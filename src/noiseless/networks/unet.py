"""A plain-convolution U-Net that starts at half resolution: the network of the shipped models.

Ronneberger, Fischer and Brox, "U-Net: Convolutional Networks for Biomedical Image Segmentation", 2015, gave the
shape; Zhang et al., "Plug-and-Play Image Restoration with Deep Denoiser Prior", 2021 (DRUNet), the residual blocks
without batch norm or bias, the added skips and the noise level as an input map; Zhang, Zuo and Zhang, "FFDNet",
2018, the start at half resolution. Without a bias anywhere the network is homogeneous, f(a x, a sigma) = a f(x,
sigma), so what it learned in mid-grey holds in the shadows (Mohan et al., "Robust and Interpretable Blind Image
Denoising via Bias-Free Convolutional Neural Networks", 2020).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from noiseless.bundle import Conditioning, NetworkSpec
from noiseless.networks.blocks import ResidualBlock


class UNet(nn.Module):
    """A residual U-Net, told the noise level or blind.

    The image is folded to half resolution (pixel-unshuffle by 2), passes down through the levels, each half the
    size of the one before, and up again with added skips; what comes out is added to the input.

    Args:
        channels: image channels in and out.
        widths: features at each level, from half resolution downwards.
        blocks: residual blocks at each level; on all but the last as many again on the way up.
        conditioning: ``"sigma"`` to be told the noise standard deviation, ``"none"`` to work blind.
        kernel_size: of the convolutions in the residual blocks; odd.
        activation: a name of `noiseless.networks.blocks.ACTIVATIONS`; ReLU suits int8.
        dropout: share of features zeroed in the lowest level while training.
        bias: whether convolutions have one; without, the network is homogeneous.
        halo: pixels of context for a tile, see `NetworkSpec`.
    """

    def __init__(
        self,
        channels: int = 3,
        widths: Sequence[int] = (48, 96, 192),
        blocks: Sequence[int] = (2, 2, 4),
        conditioning: Conditioning = "sigma",
        kernel_size: int = 3,
        activation: str = "relu",
        dropout: float = 0.0,
        bias: bool = False,
        halo: int = 96,
    ) -> None:
        super().__init__()
        self.widths = tuple(widths)
        multiple = 2 ** len(widths)
        self.spec = NetworkSpec(channels, multiple, multiple, halo, conditioning)

        def level(width: int, count: int, dropout: float = 0.0) -> nn.Sequential:
            return nn.Sequential(
                *(
                    ResidualBlock(width, kernel_size=kernel_size, activation=activation, dropout=dropout, bias=bias)
                    for _ in range(count)
                )
            )

        folded, told = 4 * channels, conditioning == "sigma"
        steps = list(pairwise(widths))
        self.head = nn.Conv2d(folded + (channels if told else 0), widths[0], 3, padding=1, bias=bias)
        self.encoder = nn.ModuleList(level(width, count) for width, count in zip(widths[:-1], blocks[:-1], strict=True))
        self.down = nn.ModuleList(nn.Conv2d(fine, coarse, 2, stride=2, bias=bias) for fine, coarse in steps)
        self.bottom = level(widths[-1], blocks[-1], dropout)
        self.up = nn.ModuleList(nn.ConvTranspose2d(coarse, fine, 2, stride=2, bias=bias) for fine, coarse in steps)
        self.decoder = nn.ModuleList(level(width, count) for width, count in zip(widths[:-1], blocks[:-1], strict=True))
        self.tail = nn.Conv2d(widths[0], folded, 3, padding=1, bias=bias)
        with torch.no_grad():
            self.tail.weight *= 0.1  # what is added is small at first: training starts near the noisy image

    def forward(self, x: Tensor, sigma: Tensor | None = None) -> Tensor:
        """Restore `x` of shape (B, C, H, W), given `sigma` broadcastable to (B, C, H, W) where conditioned."""
        features = self.head(self._fold(x, sigma))
        skips = []
        for encoder, down in zip(self.encoder, self.down, strict=True):
            features = encoder(features)
            skips.append(features)
            features = down(features)
        features = self.bottom(features)
        for up, decoder, skip in zip(reversed(self.up), reversed(self.decoder), reversed(skips), strict=True):
            features = decoder(up(features) + skip)
        return x + functional.pixel_shuffle(self.tail(features), 2)

    def _fold(self, x: Tensor, sigma: Tensor | None) -> Tensor:
        """Half resolution: for each colour its four pixels and, where conditioned, its noise level."""
        pixels = functional.pixel_unshuffle(x, 2)
        if self.spec.conditioning == "none":
            return pixels
        if sigma is None:
            raise ValueError("a network conditioned on sigma was called without it")
        level = functional.avg_pool2d(sigma.expand_as(x), 2)
        colours = torch.unflatten(pixels, 1, (self.spec.channels, 4))
        return torch.cat([colours, level.unsqueeze(2)], dim=2).flatten(1, 2)


def unet_nano(channels: int = 3, conditioning: Conditioning = "sigma", **arguments: Any) -> UNet:
    """At most 3.5 billion multiply-adds for a 256x256 colour image."""
    return UNet(channels, conditioning=conditioning, **{"widths": (32, 64, 128), "blocks": (2, 2, 2), **arguments})


def unet_small(channels: int = 3, conditioning: Conditioning = "sigma", **arguments: Any) -> UNet:
    """At most 14 billion multiply-adds for a 256x256 colour image."""
    return UNet(channels, conditioning=conditioning, **{"widths": (48, 96, 192), "blocks": (2, 2, 4), **arguments})


def unet_base(channels: int = 3, conditioning: Conditioning = "sigma", **arguments: Any) -> UNet:
    """At most 65 billion multiply-adds for a 256x256 colour image."""
    return UNet(channels, conditioning=conditioning, **{"widths": (96, 192, 384), "blocks": (3, 3, 5), **arguments})
