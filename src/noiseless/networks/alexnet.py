"""AlexNet, turned from a classifier of photographs into a denoiser.

Krizhevsky, Sutskever and Hinton, "ImageNet Classification with Deep Convolutional Neural Networks", 2012: first a very
large kernel with a stride, then smaller and smaller ones, ReLU instead of tanh, and dropout.

What became of it: the stride of 4 is 2, and the last layer gives the four pixels of each 2x2 square as features that
are laid out again (pixel-shuffle), so the size comes back. There is no pooling, because a denoiser must know where
things are, and no local response normalisation, because it must know how bright they are.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional

from noiseless.bundle import NetworkSpec
from noiseless.networks.blocks import context, convolution, make_activation, make_dropout, start_near_identity

STRIDE = 2


class AlexNet(nn.Module):
    """Five convolutions at half resolution, from large kernels to small ones; blind.

    Args:
        channels: image channels in and out.
        widths: features after each convolution; their number is the depth.
        kernel_sizes: of each convolution; odd.
        activation: a name of `noiseless.networks.blocks.ACTIVATIONS`.
        dropout: share of features zeroed before the last layer while training.
    """

    def __init__(
        self,
        channels: int = 3,
        widths: Sequence[int] = (64, 128, 192, 192, 128),
        kernel_sizes: Sequence[int] = (11, 5, 3, 3, 3),
        activation: str = "relu",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inputs = [channels, *widths[:-1]]
        for layer, (before, after, kernel_size) in enumerate(zip(inputs, widths, kernel_sizes, strict=True)):
            layers.append(convolution(before, after, kernel_size, stride=1 if layer else STRIDE))
            layers.append(make_activation(activation))
        self.features = nn.Sequential(*layers)
        self.dropout = make_dropout(dropout)
        self.tail = convolution(widths[-1], STRIDE**2 * channels, 3)
        start_near_identity(self, self.tail)

        halved = [(kernel_size, STRIDE) for kernel_size in (3, *reversed(kernel_sizes[1:]))]
        halo = context(STRIDE, [*halved, (kernel_sizes[0], 1)])
        self.spec = NetworkSpec(channels, STRIDE, STRIDE, halo)

    def forward(self, x: Tensor) -> Tensor:
        """Restore `x` of shape (B, C, H, W)."""
        noise = self.tail(self.dropout(self.features(x)))
        return x - functional.pixel_shuffle(noise, STRIDE)
