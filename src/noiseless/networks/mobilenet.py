"""MobileNet, turned from a classifier for telephones into a denoiser.

Howard et al., "MobileNets: Efficient Convolutional Neural Networks for Mobile Vision Applications", 2017, split a
convolution into one that looks at neighbours, each feature by itself (depthwise), and one that mixes features (1x1),
which costs an eighth; Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks", 2018, widen the
features for the depthwise part only and add the result to the narrow input.

What became of it: the blocks at full resolution, without strides and without batch norm. It has few
multiply-adds, yet a CPU waits for memory in depthwise convolutions, so it is not fast in proportion.
"""

from __future__ import annotations

from torch import Tensor, nn

from noiseless.bundle import NetworkSpec
from noiseless.networks.blocks import context, convolution, make_activation, make_dropout


class InvertedResidual(nn.Module):
    """Widen, look at neighbours, narrow, add to the input; (B, width, H, W) in and out."""

    def __init__(self, width: int, expansion: int, kernel_size: int, activation: str) -> None:
        super().__init__()
        wide = expansion * width
        self.widen = convolution(width, wide, 1)
        self.neighbours = convolution(wide, wide, kernel_size, groups=wide)
        self.narrow = convolution(wide, width, 1)
        self.activation = make_activation(activation)

    def forward(self, x: Tensor) -> Tensor:
        """Refine features of shape (B, width, H, W)."""
        wide = self.activation(self.neighbours(self.activation(self.widen(x))))
        refined: Tensor = x + self.narrow(wide)
        return refined


class MobileNet(nn.Module):
    """Inverted residual blocks at full resolution; blind.

    Args:
        channels: image channels in and out.
        width: features between the blocks.
        depth: blocks.
        expansion: how many times as many features are inside a block.
        kernel_size: of the depthwise convolutions; odd.
        activation: a name of `noiseless.networks.blocks.ACTIVATIONS`.
        dropout: share of features zeroed before the last layer while training.
    """

    def __init__(
        self,
        channels: int = 3,
        width: int = 32,
        depth: int = 8,
        expansion: int = 4,
        kernel_size: int = 3,
        activation: str = "relu6",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.head = convolution(channels, width, 3)
        self.blocks = nn.Sequential(
            *(InvertedResidual(width, expansion, kernel_size, activation) for _ in range(depth))
        )
        self.dropout = make_dropout(dropout)
        self.tail = convolution(width, channels, 3)
        self.spec = NetworkSpec(channels, halo=context(1, [(3, 1), *[(kernel_size, 1)] * depth, (3, 1)]))

    def forward(self, x: Tensor) -> Tensor:
        """Restore `x` of shape (B, C, H, W)."""
        noise: Tensor = self.tail(self.dropout(self.blocks(self.head(x))))
        return x - noise
