"""VGG, turned from a classifier into a denoiser.

Simonyan and Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition", 2015: nothing but small
kernels, several in a row, so that a stack of 3x3 sees as far as one large kernel at less cost; after each stage the
maximum over 2x2 pixels halves the size, and the features double.

What became of it: its first three stages, and the same three mirrored (transposed convolutions double the size again),
as Noh et al., "Learning Deconvolution Network for Semantic Segmentation", 2015, did for a label per pixel. What a stage
had before pooling is added on the way up, since the maximum forgets where it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional

from noiseless.bundle import NetworkSpec
from noiseless.networks.blocks import context, convolution, convolutions, make_dropout, start_near_identity


class VGG(nn.Module):
    """Stacks of small kernels with max pooling between them, and their mirror image; blind.

    Args:
        channels: image channels in and out.
        widths: features of each stage, each at half the size of the one before.
        depths: convolutions in each stage.
        kernel_size: of all of them; odd.
        activation: a name of `noiseless.networks.blocks.ACTIVATIONS`.
        dropout: share of features zeroed after the lowest stage while training.
    """

    def __init__(
        self,
        channels: int = 3,
        widths: Sequence[int] = (64, 128, 256),
        depths: Sequence[int] = (2, 2, 3),
        kernel_size: int = 3,
        activation: str = "relu",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()

        def stage(inputs: int, width: int, depth: int) -> nn.Sequential:
            return convolutions(inputs, width, depth, kernel_size, activation)

        steps = list(pairwise(widths))
        self.encoder = nn.ModuleList(map(stage, [channels, *widths[:-1]], widths, depths))
        self.dropout = make_dropout(dropout)
        self.up = nn.ModuleList(nn.ConvTranspose2d(coarse, fine, 2, stride=2) for fine, coarse in reversed(steps))
        self.decoder = nn.ModuleList(map(stage, widths[-2::-1], widths[-2::-1], depths[-2::-1]))
        self.tail = convolution(widths[0], channels, kernel_size)
        start_near_identity(self, self.tail)

        factors = [2**level for level in range(len(widths)) for _ in range(depths[level])]
        upwards = factors[: sum(depths[:-1])]
        smallest = factors[-1]
        halo = context(smallest, ((kernel_size, factor) for factor in [1, *upwards, *reversed(factors)]))
        self.spec = NetworkSpec(channels, smallest, smallest, halo)

    def forward(self, x: Tensor) -> Tensor:
        """Restore `x` of shape (B, C, H, W)."""
        features, skips = x, []
        for level, stage in enumerate(self.encoder):
            if level:
                skips.append(features)
                features = functional.max_pool2d(features, 2)
            features = stage(features)
        features = self.dropout(features)
        for up, stage, skip in zip(self.up, self.decoder, reversed(skips), strict=True):
            features = stage(up(features) + skip)
        noise: Tensor = self.tail(features)
        return x - noise
