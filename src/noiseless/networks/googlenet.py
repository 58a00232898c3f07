"""GoogLeNet, turned from a classifier into a denoiser.

Szegedy et al., "Going Deeper with Convolutions", 2015: nobody needs to choose the kernel size, because each Inception
module has several side by side, with 1x1 convolutions before them that keep the cost down, and hands on all their
results.

What became of it: the modules stand at full resolution. Their branch with the maximum of 3x3 neighbours always had
a stride of 1, so it needs no change; the pooling between the modules is left out.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from noiseless.bundle import NetworkSpec
from noiseless.networks.blocks import (
    context,
    convolution,
    convolutions,
    make_activation,
    make_dropout,
    start_near_identity,
)


class Inception(nn.Module):
    """Branches side by side: 1x1, each of the kernel sizes, and a maximum; (B, width, H, W) in and out.

    Half of the features come from the first kernel size, an eighth from each of the others and from the maximum, and
    the 1x1 branch has the rest.
    """

    def __init__(self, width: int, kernel_sizes: Sequence[int], activation: str) -> None:
        super().__init__()
        eighth = max(1, width // 8)
        shares = [width // 2, *[eighth] * (len(kernel_sizes) - 1)]
        self.points = convolution(width, width - sum(shares) - eighth, 1)
        self.windows = nn.ModuleList(
            nn.Sequential(
                *convolutions(width, share, 1, 1, activation),
                convolution(share, share, kernel_size),
            )
            for share, kernel_size in zip(shares, kernel_sizes, strict=True)
        )
        self.maximum = nn.Sequential(nn.MaxPool2d(3, stride=1, padding=1), convolution(width, eighth, 1))
        self.activation = make_activation(activation)

    def forward(self, x: Tensor) -> Tensor:
        """Features of shape (B, width, H, W), seen at several sizes at once."""
        branches = [self.points(x), *(window(x) for window in self.windows), self.maximum(x)]
        seen: Tensor = self.activation(torch.cat(branches, dim=1))
        return seen


class GoogLeNet(nn.Module):
    """Inception modules at full resolution; blind.

    Args:
        channels: image channels in and out.
        width: features that each module hands on; 8 or more.
        depth: Inception modules.
        kernel_sizes: of the branches of each module, beside 1x1; odd, at most four of them.
        activation: a name of `noiseless.networks.blocks.ACTIVATIONS`.
        dropout: share of features zeroed before the last layer while training.
    """

    def __init__(
        self,
        channels: int = 3,
        width: int = 96,
        depth: int = 6,
        kernel_sizes: Sequence[int] = (3, 5),
        activation: str = "relu",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.head = convolutions(channels, width, 1, 3, activation)
        self.blocks = nn.Sequential(*(Inception(width, kernel_sizes, activation) for _ in range(depth)))
        self.dropout = make_dropout(dropout)
        self.tail = convolution(width, channels, 3)
        start_near_identity(self, self.tail)
        self.spec = NetworkSpec(channels, halo=context(1, [(3, 1), *[(max(3, *kernel_sizes), 1)] * depth, (3, 1)]))

    def forward(self, x: Tensor) -> Tensor:
        """Restore `x` of shape (B, C, H, W)."""
        noise: Tensor = self.tail(self.dropout(self.blocks(self.head(x))))
        return x - noise
