"""FFDNet: a row of convolutions at half resolution that is told the noise level.

Zhang, Zuo and Zhang, "FFDNet: Toward a Fast and Flexible Solution for CNN-Based Image Denoising", 2018. Each 2x2
square of pixels becomes the features of one (pixel-unshuffle), so every layer costs a quarter and sees twice as
far; a map of the noise level beside them makes one network fit every level, also one that differs over the image.
Layers are numbered as in the authors' release (``model.0.weight``, ...).
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from noiseless.bundle import Conditioning, NetworkSpec
from noiseless.networks.blocks import (
    check_sigma,
    context,
    convolution,
    fold,
    make_activation,
    make_dropout,
    start_near_identity,
)

FACTOR = 2


class FFDNet(nn.Module):
    """A row of equal convolutions at half resolution, told the noise level or blind.

    Args:
        channels: image channels in and out.
        width: features of every layer (the paper: 96 for colour, 64 for grey).
        depth: convolutions, the first and the last included (12 for colour, 15 for grey).
        kernel_size: of all of them; odd.
        activation: a name of `noiseless.networks.blocks.ACTIVATIONS`.
        dropout: share of features zeroed before the last layer while training.
        batch_norm: whether each inner convolution is followed by batch norm.
        bias: whether convolutions have one.
        residual: whether the layers give the noise to take off, or, as in the paper, the image.
        conditioning: ``"sigma"`` to be told the noise standard deviation, ``"none"`` to work blind.
    """

    def __init__(
        self,
        channels: int = 3,
        width: int = 96,
        depth: int = 12,
        kernel_size: int = 3,
        activation: str = "relu",
        dropout: float = 0.0,
        batch_norm: bool = False,
        bias: bool = True,
        residual: bool = True,
        conditioning: Conditioning = "sigma",
    ) -> None:
        super().__init__()
        self.residual = residual
        pixels = FACTOR**2 * channels
        told = channels if conditioning == "sigma" else 0
        layers: list[nn.Module] = [convolution(pixels + told, width, kernel_size, bias=bias)]
        for _ in range(depth - 2):
            layers.append(make_activation(activation))
            layers.append(convolution(width, width, kernel_size, bias=bias))
            if batch_norm:
                layers.append(nn.BatchNorm2d(width))
        tail = convolution(width, pixels, kernel_size, bias=bias)
        self.model = nn.Sequential(*layers, make_activation(activation), tail)
        self.dropout = make_dropout(dropout)
        start_near_identity(self, tail)
        halo = context(FACTOR, [(kernel_size, FACTOR)] * depth)
        self.spec = NetworkSpec(channels, FACTOR, FACTOR, halo, conditioning)

    def forward(self, x: Tensor, sigma: Tensor | None = None) -> Tensor:
        """Restore `x` of shape (B, C, H, W), given `sigma` broadcastable to (B, C, H, W) where conditioned."""
        features = self.dropout(self.model[:-1](fold(x, check_sigma(self.spec, sigma), FACTOR)))
        result = functional.pixel_shuffle(self.model[-1](features), FACTOR)
        return x - result if self.residual else result
