"""A small U-Net with one level and dilated kernels, without a bias anywhere.

Mohan, Kadkhodaie, Simoncelli and Fernandez-Granda, "Robust and Interpretable Blind Image Denoising via Bias-Free
Convolutional Neural Networks", 2020. Without a bias f(a x) = a f(x), so the network works at noise levels that it never
saw in training. At half resolution, kernels with gaps (dilation) look far without more pooling. Layers are named as in
the authors' release (``conv1.weight``, ...).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from noiseless.bundle import NetworkSpec
from noiseless.networks.blocks import context, convolution, make_activation, make_dropout, start_near_identity


class DilatedUNet(nn.Module):
    """Two layers at full resolution, four at half, three at full; blind.

    Args:
        channels: image channels in and out.
        widths: features at full and at half resolution.
        kernel_size: of the first and the last layer; odd.
        dilations: gaps of the kernels of the two inner layers at half resolution.
        activation: a name of `noiseless.networks.blocks.ACTIVATIONS`.
        dropout: share of features zeroed at half resolution while training.
        residual: whether the layers give the noise to take off, or the image.
        bias: whether all convolutions but the last have one.
    """

    def __init__(
        self,
        channels: int = 3,
        widths: Sequence[int] = (32, 64),
        kernel_size: int = 5,
        dilations: Sequence[int] = (2, 4),
        activation: str = "relu",
        dropout: float = 0.0,
        residual: bool = True,
        bias: bool = False,
    ) -> None:
        super().__init__()
        (full, half), (near, far) = widths, dilations
        self.residual = residual
        self.conv1 = convolution(channels, full, kernel_size, bias=bias)
        self.conv2 = convolution(full, full, 3, bias=bias)
        self.conv3 = convolution(full, half, 3, stride=2, bias=bias)
        self.conv4 = convolution(half, half, 3, bias=bias)
        self.conv5 = nn.Conv2d(half, half, 3, padding=near, dilation=near, bias=bias)
        self.conv6 = nn.Conv2d(half, half, 3, padding=far, dilation=far, bias=bias)
        self.conv7 = nn.ConvTranspose2d(half, half, 4, stride=2, padding=1, bias=bias)
        self.conv8 = convolution(half + full, full, 3, bias=bias)
        self.conv9 = convolution(full, channels, kernel_size, bias=False)
        self.activation = make_activation(activation)
        self.dropout = make_dropout(dropout)
        start_near_identity(self, self.conv9)
        halved = [(3, 2), (2 * far + 1, 2), (2 * near + 1, 2), (3, 2)]
        halo = context(2, [(kernel_size, 1), (3, 1), *halved, (3, 1), (3, 1), (kernel_size, 1)])
        self.spec = NetworkSpec(channels, 2, 2, halo)

    def forward(self, x: Tensor) -> Tensor:
        """Restore `x` of shape (B, C, H, W)."""
        activation = self.activation
        skip = activation(self.conv2(activation(self.conv1(x))))
        features = skip
        for layer in (self.conv3, self.conv4, self.conv5, self.conv6):
            features = activation(layer(features))
        features = activation(self.conv7(self.dropout(features)))
        result: Tensor = self.conv9(activation(self.conv8(torch.cat([features, skip], dim=1))))
        return x - result if self.residual else result
