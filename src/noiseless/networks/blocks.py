"""Blocks that several networks share."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional

from noiseless.bundle import NetworkSpec
from noiseless.errors import ConfigError, SigmaError, UnknownNameError
from noiseless.tiling import round_up

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "leaky_relu": lambda: nn.LeakyReLU(0.1),
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "elu": nn.ELU,
    "tanh": nn.Tanh,
}


def make_activation(name: str) -> nn.Module:
    """A new activation layer.

    Raises:
        UnknownNameError: the name is not in `ACTIVATIONS`.
    """
    if name not in ACTIVATIONS:
        raise UnknownNameError("activation", name, ACTIVATIONS)
    return ACTIVATIONS[name]()


def make_dropout(share: float) -> nn.Module:
    """A layer that zeroes a share of the features, whole maps of them, while training; none for 0."""
    return nn.Dropout2d(share) if share else nn.Identity()


def convolution(
    inputs: int, outputs: int, kernel_size: int, *, stride: int = 1, groups: int = 1, bias: bool = True
) -> nn.Conv2d:
    """A convolution that keeps the image's size (divided by the stride).

    Raises:
        ConfigError: the kernel size is even, so that its window has no centre.
    """
    if kernel_size % 2 == 0:
        raise ConfigError("a kernel size must be odd", got=kernel_size, expected="for example 3 or 5")
    padding = kernel_size // 2
    return nn.Conv2d(inputs, outputs, kernel_size, stride, padding, groups=groups, bias=bias)


def convolutions(inputs: int, width: int, depth: int, kernel_size: int, activation: str) -> nn.Sequential:
    """`depth` convolutions, each followed by its activation; (B, inputs, H, W) to (B, width, H, W)."""
    layers: list[nn.Module] = []
    for layer in range(depth):
        layers.append(convolution(width if layer else inputs, width, kernel_size))
        layers.append(make_activation(activation))
    return nn.Sequential(*layers)


def context(multiple: int, layers: Iterable[tuple[int, int]]) -> int:
    """Pixels of context that a tile needs for its middle to come out as in the whole image.

    Args:
        multiple: what tiles are aligned to; the result is a multiple of it.
        layers: from the last to the first, each convolution's kernel size and the factor by which what it works on
            is smaller than the image. A kernel of size k looks at k // 2 cells of that factor on each side; where the
            factor grows, a cell that is needed in part is needed whole.
    """
    pixels = 0
    for kernel_size, factor in layers:
        pixels = round_up(pixels, factor) + kernel_size // 2 * factor
    return round_up(pixels, multiple)


def start_near_identity(network: nn.Module, tail: nn.Conv2d) -> None:
    """Set the first weights of a network that returns its input minus what its last layer, `tail`, gives.

    Orthogonal, with the gain of ReLU (Saxe, McClelland and Ganguli, "Exact Solutions to the Nonlinear Dynamics of
    Learning in Deep Linear Neural Networks", 2014): features stay as strong and as different from each other as they
    came, through any number of layers, where the default of PyTorch lets them fade away. The last layer is a tenth of
    that, so training starts from "the image is clean" and not from a random picture.
    """
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.orthogonal_(layer.weight, nn.init.calculate_gain("relu"))
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    with torch.no_grad():
        tail.weight.mul_(0.1)


def fold(x: Tensor, sigma: Tensor | None, factor: int) -> Tensor:
    """Fold squares of pixels into features and add the noise level.

    Args:
        x: image (B, C, H, W).
        sigma: noise standard deviation, broadcastable to `x`; ``None`` for a blind network.
        factor: side of the squares.

    Returns:
        (B, C * n, H / factor, W / factor) with n = factor^2, plus 1 where there is a level: for each colour its
        pixels, row by row, then the mean of its level.
    """
    pixels = functional.pixel_unshuffle(x, factor)
    if sigma is None:
        return pixels
    batch, channels = x.shape[:2]
    height, width = pixels.shape[-2:]
    level = functional.avg_pool2d(sigma.expand_as(x), factor).unsqueeze(2)
    colours = pixels.reshape(batch, channels, factor**2, height, width)
    return torch.cat([colours, level], dim=2).flatten(1, 2)


def check_sigma(spec: NetworkSpec, sigma: Tensor | None) -> Tensor | None:
    """The noise level that a network is told: `sigma` where it is conditioned, else ``None``.

    Raises:
        SigmaError: conditioned, and there is none; no level is assumed.
    """
    if spec.conditioning == "none":
        return None
    if sigma is None:
        raise SigmaError("a network conditioned on sigma was called without it")
    return sigma


class ResidualBlock(nn.Module):
    """Two convolutions around an activation, added to their input; (B, width, H, W) in and out.

    He et al., "Deep Residual Learning for Image Recognition", 2016, in the form without batch norm and without a
    final activation of Lim et al. (EDSR), 2017.
    """

    def __init__(
        self,
        width: int,
        *,
        kernel_size: int = 3,
        activation: str = "relu",
        dropout: float = 0.0,
        bias: bool = False,
    ) -> None:
        super().__init__()
        self.first = convolution(width, width, kernel_size, bias=bias)
        self.activation = make_activation(activation)
        self.dropout = make_dropout(dropout)
        self.second = convolution(width, width, kernel_size, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """Refine features of shape (B, width, H, W)."""
        residual: Tensor = x + self.second(self.dropout(self.activation(self.first(x))))
        return residual
