"""NAFNet: a U-Net without activation functions.

Chen, Chu, Zhang and Sun, "Simple Baselines for Image Restoration", 2022. In each block one half of the features
multiplies the other (the simple gate), which is nonlinearity enough; the mean of every feature over the whole image
scales it (channel attention); a layer norm over the features of each pixel keeps training steady. Because of that
mean a tile is not treated as the whole image would be, so the halo is ``None``. Layers are named as in the
authors' release (``intro.weight``, ...).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from noiseless.bundle import NetworkSpec
from noiseless.networks.blocks import convolution, make_activation, make_dropout


class LayerNorm(nn.Module):
    """Normalise the features of each pixel by themselves; (B, width, H, W) in and out."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        """Features of shape (B, width, H, W) with mean 0 and variance 1 in each pixel, then scaled and shifted."""
        features_last = x.permute(0, 2, 3, 1)
        normal = functional.layer_norm(features_last, self.weight.shape, self.weight, self.bias, eps=1e-6)
        return normal.permute(0, 3, 1, 2)


class Gate(nn.Module):
    """One half of the features times the other; (B, 2 width, H, W) to (B, width, H, W)."""

    def __init__(self, activation: str | None) -> None:
        super().__init__()
        self.activation = make_activation(activation) if activation else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """The product of the two halves of (B, 2 width, H, W)."""
        first, second = x.chunk(2, dim=1)
        gated: Tensor = self.activation(first) * second
        return gated


class Block(nn.Module):
    """Neighbours and attention, then features of each pixel by themselves; (B, width, H, W) in and out."""

    def __init__(self, width: int, kernel_size: int, activation: str | None, dropout: float) -> None:
        super().__init__()
        wide = 2 * width
        self.norm1, self.norm2 = LayerNorm(width), LayerNorm(width)
        self.conv1 = nn.Conv2d(width, wide, 1)
        self.conv2 = convolution(wide, wide, kernel_size, groups=wide)
        self.sca = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(width, width, 1))
        self.conv3 = nn.Conv2d(width, width, 1)
        self.conv4 = nn.Conv2d(width, wide, 1)
        self.conv5 = nn.Conv2d(width, width, 1)
        self.gate = Gate(activation)
        self.dropout = make_dropout(dropout)
        self.beta = nn.Parameter(torch.zeros(1, width, 1, 1))
        self.gamma = nn.Parameter(torch.zeros(1, width, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Refine features of shape (B, width, H, W)."""
        seen = self.gate(self.conv2(self.conv1(self.norm1(x))))
        x = x + self.dropout(self.conv3(seen * self.sca(seen))) * self.beta
        refined: Tensor = x + self.dropout(self.conv5(self.gate(self.conv4(self.norm2(x))))) * self.gamma
        return refined


class NAFNet(nn.Module):
    """A U-Net of gated blocks with attention over the whole image; blind.

    Args:
        channels: image channels in and out.
        width: features at full resolution; they double at each level.
        encoder_depths: blocks at each level on the way down; their number is the number of levels.
        middle_depth: blocks at the lowest level.
        decoder_depths: blocks at each level on the way up, from the lowest.
        kernel_size: of the depthwise convolutions; odd.
        activation: ``None`` for the simple gate; or a name of `noiseless.networks.blocks.ACTIVATIONS`, for one half of
            the features before it multiplies the other.
        dropout: share of features zeroed in each block while training.
    """

    def __init__(
        self,
        channels: int = 3,
        width: int = 32,
        encoder_depths: Sequence[int] = (2, 2, 4, 8),
        middle_depth: int = 12,
        decoder_depths: Sequence[int] = (2, 2, 2, 2),
        kernel_size: int = 3,
        activation: str | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        widths = [width * 2**level for level in range(len(encoder_depths) + 1)]
        steps = list(pairwise(widths))

        def blocks(width: int, depth: int) -> nn.Sequential:
            return nn.Sequential(*(Block(width, kernel_size, activation, dropout) for _ in range(depth)))

        def enlarge(coarse: int) -> nn.Sequential:
            return nn.Sequential(nn.Conv2d(coarse, 2 * coarse, 1, bias=False), nn.PixelShuffle(2))

        self.intro = convolution(channels, width, 3)
        self.encoders = nn.ModuleList(map(blocks, widths, encoder_depths))
        self.downs = nn.ModuleList(nn.Conv2d(fine, coarse, 2, stride=2) for fine, coarse in steps)
        self.middle_blks = blocks(widths[-1], middle_depth)
        self.ups = nn.ModuleList(enlarge(coarse) for _, coarse in reversed(steps))
        self.decoders = nn.ModuleList(
            blocks(fine, depth) for fine, depth in zip(widths[-2::-1], decoder_depths, strict=True)
        )
        self.ending = convolution(width, channels, 3)
        self.spec = NetworkSpec(channels, 2 ** len(steps), 2 ** len(steps), None)

    def forward(self, x: Tensor) -> Tensor:
        """Restore `x` of shape (B, C, H, W)."""
        features, skips = self.intro(x), []
        for encoder, down in zip(self.encoders, self.downs, strict=True):
            features = encoder(features)
            skips.append(features)
            features = down(features)
        features = self.middle_blks(features)
        for up, decoder, skip in zip(self.ups, self.decoders, reversed(skips), strict=True):
            features = decoder(up(features) + skip)
        correction: Tensor = self.ending(features)
        return x + correction
