"""DnCNN: the plain convolutional denoiser that others are measured against.

Zhang, Zuo, Chen, Meng and Zhang, "Beyond a Gaussian Denoiser: Residual Learning of Deep CNN for Image Denoising", 2017.
Seventeen layers (twenty for the blind one) at full resolution predict the noise, which is taken off the image. The
paper has batch norm after each inner convolution; later releases of its authors have none, with the same quality.
Layers are numbered as in those releases (``model.0.weight``, ...), so published weights fit.
"""

from __future__ import annotations

from torch import Tensor, nn

from noiseless.bundle import NetworkSpec
from noiseless.networks.blocks import context, convolution, make_activation, make_dropout, start_near_identity


class DnCNN(nn.Module):
    """A row of equal convolutions that predicts the noise; blind.

    Args:
        channels: image channels in and out.
        width: features of every layer.
        depth: convolutions, the first and the last included.
        kernel_size: of all of them; odd.
        activation: a name of `noiseless.networks.blocks.ACTIVATIONS`.
        dropout: share of features zeroed before the last layer while training.
        batch_norm: whether each inner convolution is followed by batch norm.
        bias: whether convolutions have one; without it and batch norm, f(a x) = a f(x).
    """

    def __init__(
        self,
        channels: int = 3,
        width: int = 64,
        depth: int = 17,
        kernel_size: int = 3,
        activation: str = "relu",
        dropout: float = 0.0,
        batch_norm: bool = False,
        bias: bool = True,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = [convolution(channels, width, kernel_size, bias=bias)]
        for _ in range(depth - 2):
            layers.append(make_activation(activation))
            layers.append(convolution(width, width, kernel_size, bias=bias))
            if batch_norm:
                layers.append(nn.BatchNorm2d(width))
        tail = convolution(width, channels, kernel_size, bias=bias)
        self.model = nn.Sequential(*layers, make_activation(activation), tail)
        self.dropout = make_dropout(dropout)
        start_near_identity(self, tail)
        self.spec = NetworkSpec(channels, halo=context(1, [(kernel_size, 1)] * depth))

    def forward(self, x: Tensor) -> Tensor:
        """Restore `x` of shape (B, C, H, W)."""
        noise: Tensor = self.model[-1](self.dropout(self.model[:-1](x)))
        return x - noise
