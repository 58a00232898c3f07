"""ImageNoiseNet: five stages of convolution, ReLU and pooling, and the mirrored decoder.

The plain convolutional network of a first lesson, which ends in a number for the whole image, becomes dense the way
Badrinarayanan, Kendall and Cipolla, "SegNet: A Deep Convolutional Encoder-Decoder Architecture for Image
Segmentation", 2017, did it: every stage has a mirror image that doubles the size again. At the bottleneck, a 32nd of
the size, dropout keeps the network from relying on single features. What each stage saw before pooling is added to its
mirror stage: a 32nd of the size is enough to know what the image shows, not where every pixel's noise is.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional

from noiseless.bundle import NetworkSpec
from noiseless.networks.blocks import context, convolution, convolutions, make_dropout, start_near_identity


class ImageNoiseNet(nn.Module):
    """Encoder and mirrored decoder with dropout between them; blind.

    Args:
        channels: image channels in and out.
        widths: features of each stage; the size halves after each.
        depth: convolutions in each stage, on the way down and on the way up.
        kernel_size: of all of them; odd.
        activation: a name of `noiseless.networks.blocks.ACTIVATIONS`.
        dropout: share of features zeroed at the bottleneck while training.
    """

    def __init__(
        self,
        channels: int = 3,
        widths: Sequence[int] = (64, 128, 256, 256, 256),
        depth: int = 1,
        kernel_size: int = 3,
        activation: str = "relu",
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.encoder = nn.ModuleList(
            convolutions(inputs, width, depth, kernel_size, activation)
            for inputs, width in zip([channels, *widths[:-1]], widths, strict=True)
        )
        self.dropout = make_dropout(dropout)
        upwards = list(reversed(widths))
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(inputs, width, 2, stride=2)
            for inputs, width in zip([widths[-1], *upwards[:-1]], upwards, strict=True)
        )
        self.decoder = nn.ModuleList(convolutions(width, width, depth, kernel_size, activation) for width in upwards)
        self.tail = convolution(widths[0], channels, kernel_size)
        start_near_identity(self, self.tail)

        smallest = 2 ** len(widths)
        factors = [2**level for level in range(len(widths)) for _ in range(depth)]
        halo = context(smallest, ((kernel_size, factor) for factor in [1, *factors, *reversed(factors)]))
        self.spec = NetworkSpec(channels, smallest, smallest, halo)

    def forward(self, x: Tensor) -> Tensor:
        """Restore `x` of shape (B, C, H, W)."""
        features, skips = x, []
        for stage in self.encoder:
            features = stage(features)
            skips.append(features)
            features = functional.max_pool2d(features, 2)
        features = self.dropout(features)
        for up, stage, skip in zip(self.up, self.decoder, reversed(skips), strict=True):
            features = stage(up(features) + skip)
        noise: Tensor = self.tail(features)
        return x - noise
