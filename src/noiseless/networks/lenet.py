"""LeNet, turned from a classifier of digits into a denoiser.

LeCun, Bottou, Bengio and Haffner, "Gradient-Based Learning Applied to Document Recognition", 1998: large kernels,
features averaged over 2x2 pixels between them, tanh, and fully connected layers at the end that see everything.

What became of it: a fully connected layer that looks at every pixel's features is a convolution with a 1x1 kernel, so
the network gives an answer for each pixel instead of one for the image. What averaging made small, copying each value
to 2x2 pixels makes large again, and the features from before the averaging are added, since they know where edges
are.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional

from noiseless.bundle import NetworkSpec
from noiseless.networks.blocks import context, convolution, convolutions, make_dropout, start_near_identity


class LeNet(nn.Module):
    """Large kernels, tanh, average pooling; blind.

    Args:
        channels: image channels in and out.
        widths: features at each size, each half the one before; their number is the depth.
        dense: features of the 1x1 layer at the smallest size, once the fully connected layer.
        kernel_size: of the other convolutions; odd.
        activation: a name of `noiseless.networks.blocks.ACTIVATIONS`.
        dropout: share of features zeroed before the 1x1 layer while training.
    """

    def __init__(
        self,
        channels: int = 3,
        widths: Sequence[int] = (16, 32, 120),
        dense: int = 84,
        kernel_size: int = 5,
        activation: str = "tanh",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        fine, coarse = [channels, *widths[:-1]], widths
        self.encoder = nn.ModuleList(
            convolutions(inputs, width, 1, kernel_size, activation) for inputs, width in zip(fine, coarse, strict=True)
        )
        self.dropout = make_dropout(dropout)
        self.dense = convolutions(widths[-1], dense, 1, 1, activation)
        upwards = [dense, *reversed(widths[1:-1])]
        self.decoder = nn.ModuleList(
            convolutions(inputs, width, 1, kernel_size, activation)
            for inputs, width in zip(upwards, reversed(widths[:-1]), strict=True)
        )
        self.tail = convolution(widths[0], channels, kernel_size)
        start_near_identity(self, self.tail)

        factors = [2**level for level in range(len(widths))]
        backwards = [1, *factors[:-1], *reversed(factors)]
        halo = context(factors[-1], ((kernel_size, factor) for factor in backwards))
        self.spec = NetworkSpec(channels, factors[-1], factors[-1], halo)

    def forward(self, x: Tensor) -> Tensor:
        """Restore `x` of shape (B, C, H, W)."""
        features, skips = x, []
        for level, encode in enumerate(self.encoder):
            if level:
                skips.append(features)
                features = functional.avg_pool2d(features, 2)
            features = encode(features)
        features = self.dense(self.dropout(features))
        for decode, skip in zip(self.decoder, reversed(skips), strict=True):
            features = decode(functional.interpolate(features, scale_factor=2, mode="nearest")) + skip
        noise: Tensor = self.tail(features)
        return x - noise
