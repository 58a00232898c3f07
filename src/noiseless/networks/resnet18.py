"""The first three stages of ResNet-18 as an encoder, with a decoder that restores the image.

He, Zhang, Ren and Sun, "Deep Residual Learning for Image Recognition", 2016, as torchvision builds it, so that weights
trained to classify ImageNet fit under their own names; upwards as in Ronneberger, Fischer and Brox, "U-Net", 2015: each
step doubles the size and adds what the encoder had there. Unlike `noiseless.networks.resnet`, which keeps full
resolution, this one shrinks the image as a classifier does: its features are those of ImageNet, not of noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from noiseless.bundle import NetworkSpec
from noiseless.networks.blocks import context, convolution, make_activation, make_dropout


class BasicBlock(nn.Module):
    """Two convolutions with batch norm, added to their input; the first may shrink the image."""

    def __init__(self, inputs: int, width: int, stride: int, kernel_size: int, activation: str) -> None:
        super().__init__()
        self.conv1 = convolution(inputs, width, kernel_size, stride=stride, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = convolution(width, width, kernel_size, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.activation = make_activation(activation)
        if stride > 1:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, width, 1, stride, bias=False), nn.BatchNorm2d(width))
        else:
            self.downsample = nn.Sequential()

    def forward(self, x: Tensor) -> Tensor:
        """Refine features."""
        inner = self.activation(self.bn1(self.conv1(x)))
        refined: Tensor = self.activation(self.bn2(self.conv2(inner)) + self.downsample(x))
        return refined


class ResNetEncoder(nn.Module):
    """ResNet's stages and a decoder with skips; blind.

    Args:
        channels: image channels in and out.
        widths: features of each stage; the first is also that of the layer before, at half resolution.
        blocks: basic blocks of each stage.
        full: features at full resolution, which a classifier has not: one convolution beside the encoder.
        kernel_size: of all convolutions but the first of the encoder, which has 7; odd.
        activation: a name of `noiseless.networks.blocks.ACTIVATIONS`.
        dropout: share of features zeroed after the lowest stage while training.
    """

    def __init__(
        self,
        channels: int = 3,
        widths: Sequence[int] = (64, 128, 256),
        blocks: Sequence[int] = (2, 2, 2),
        full: int = 32,
        kernel_size: int = 3,
        activation: str = "relu",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()

        def stage(inputs: int, width: int, count: int, stride: int) -> nn.Sequential:
            first = BasicBlock(inputs, width, stride, kernel_size, activation)
            return nn.Sequential(
                first, *(BasicBlock(width, width, 1, kernel_size, activation) for _ in range(count - 1))
            )

        self.conv1 = convolution(channels, widths[0], 7, stride=2, bias=False)
        self.bn1 = nn.BatchNorm2d(widths[0])
        self.activation = make_activation(activation)
        inputs = [widths[0], *widths[:-1]]
        for number, (before, width, count) in enumerate(zip(inputs, widths, blocks, strict=True), 1):
            self.add_module(f"layer{number}", stage(before, width, count, 1 if number == 1 else 2))
        self.dropout = make_dropout(dropout)
        self.beside = convolution(channels, full, kernel_size)
        upwards = [*reversed(widths), widths[0], full]
        self.up = nn.ModuleList(nn.ConvTranspose2d(coarse, fine, 2, stride=2) for coarse, fine in pairwise(upwards))
        self.decoder = nn.ModuleList(convolution(width, width, kernel_size) for width in upwards[1:])
        self.tail = convolution(full, channels, kernel_size)
        with torch.no_grad():
            self.tail.weight *= 0.1  # what is taken off is small at first: training starts near the noisy image

        self.stages = len(widths)
        smallest = 2 ** (self.stages + 1)
        factors = [2 ** (number + 2) for number in range(self.stages) for _ in range(2 * blocks[number])]
        upward = [1, *(2**level for level in range(self.stages + 1))]
        layers = [(kernel_size, factor) for factor in [*upward, *reversed(factors)]]
        self.spec = NetworkSpec(channels, smallest, smallest, context(smallest, [*layers, (3, 4), (7, 2)]))

    def forward(self, x: Tensor) -> Tensor:
        """Restore `x` of shape (B, C, H, W)."""
        features = self.activation(self.bn1(self.conv1(x)))
        skips = [self.activation(self.beside(x)), features]
        features = functional.max_pool2d(features, 3, 2, 1)
        for number in range(1, self.stages + 1):
            features = self.get_submodule(f"layer{number}")(features)
            skips.append(features)
        skips.pop()
        features = self.dropout(features)
        for up, layer, skip in zip(self.up, self.decoder, reversed(skips), strict=True):
            features = self.activation(layer(up(features) + skip))
        noise: Tensor = self.tail(features)
        return x - noise


def resnet18(channels: int = 3, **arguments: Any) -> ResNetEncoder:
    """The encoder of ResNet-18."""
    return ResNetEncoder(channels, **{"blocks": (2, 2, 2), **arguments})


def resnet34(channels: int = 3, **arguments: Any) -> ResNetEncoder:
    """The encoder of ResNet-34."""
    return ResNetEncoder(channels, **{"blocks": (3, 4, 6), **arguments})
