"""ResNet, turned from a classifier into a denoiser.

He, Zhang, Ren and Sun, "Deep Residual Learning for Image Recognition", 2016: each block computes what to add to its
input, so a block that has nothing to say is the identity, and a gradient reaches the first layer undiminished.

What became of it: the blocks at full resolution, without the strides that shrink the image for a classifier and, as in
Lim et al., "Enhanced Deep Residual Networks for Single Image Super-Resolution", 2017, without batch norm. The
whole network is one more such block: it computes the noise to take off its input.
"""

from __future__ import annotations

from torch import Tensor, nn

from noiseless.bundle import NetworkSpec
from noiseless.networks.blocks import ResidualBlock, context, convolution, make_dropout


class ResNet(nn.Module):
    """Residual blocks at full resolution; blind.

    Args:
        channels: image channels in and out.
        width: features of every layer.
        depth: residual blocks, of two convolutions each.
        kernel_size: of all convolutions; odd.
        activation: a name of `noiseless.networks.blocks.ACTIVATIONS`.
        dropout: share of features zeroed before the last layer while training.
    """

    def __init__(
        self,
        channels: int = 3,
        width: int = 48,
        depth: int = 8,
        kernel_size: int = 3,
        activation: str = "relu",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.head = convolution(channels, width, kernel_size)
        self.blocks = nn.Sequential(
            *(ResidualBlock(width, kernel_size=kernel_size, activation=activation, bias=True) for _ in range(depth))
        )
        self.dropout = make_dropout(dropout)
        self.tail = convolution(width, channels, kernel_size)
        self.spec = NetworkSpec(channels, halo=context(1, [(kernel_size, 1)] * (2 * depth + 2)))

    def forward(self, x: Tensor) -> Tensor:
        """Restore `x` of shape (B, C, H, W)."""
        noise: Tensor = self.tail(self.dropout(self.blocks(self.head(x))))
        return x - noise
