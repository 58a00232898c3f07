"""DRUNet: the residual U-Net of plug-and-play restoration.

Zhang, Li, Zuo, Zhang, Van Gool and Timofte, "Plug-and-Play Image Restoration with Deep Denoiser Prior", 2021: four
levels of residual blocks, strided convolutions down and transposed ones up, added skips, no bias anywhere, and the
noise level as an input map. Layers are named as in the authors' release (``m_head.weight``, ...).
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from noiseless.bundle import Conditioning, NetworkSpec
from noiseless.networks.blocks import check_sigma, context, convolution, fold, make_activation, make_dropout


class Block(nn.Module):
    """Two convolutions around an activation, added to their input; (B, width, H, W) in and out."""

    def __init__(self, width: int, kernel_size: int, activation: str) -> None:
        super().__init__()
        self.res = nn.Sequential(
            convolution(width, width, kernel_size, bias=False),
            make_activation(activation),
            convolution(width, width, kernel_size, bias=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Refine features of shape (B, width, H, W)."""
        refined: Tensor = x + self.res(x)
        return refined


class DRUNet(nn.Module):
    """Four levels of residual blocks, told the noise level or blind.

    Args:
        channels: image channels in and out.
        widths: features of the four levels, from full resolution downwards.
        depth: residual blocks at each level, on the way down and on the way up.
        kernel_size: of the convolutions in the blocks; odd.
        activation: a name of `noiseless.networks.blocks.ACTIVATIONS`.
        dropout: share of features zeroed after the lowest level while training.
        residual: whether the layers give the noise to take off, or, as in the paper, the image.
        conditioning: ``"sigma"`` to be told the noise standard deviation, ``"none"`` to work blind.
    """

    def __init__(
        self,
        channels: int = 3,
        widths: Sequence[int] = (64, 128, 256, 512),
        depth: int = 4,
        kernel_size: int = 3,
        activation: str = "relu",
        dropout: float = 0.0,
        residual: bool = True,
        conditioning: Conditioning = "sigma",
    ) -> None:
        super().__init__()
        first, second, third, fourth = widths
        self.residual = residual

        def blocks(width: int) -> list[nn.Module]:
            return [Block(width, kernel_size, activation) for _ in range(depth)]

        def down(fine: int, coarse: int) -> nn.Sequential:
            return nn.Sequential(*blocks(fine), nn.Conv2d(fine, coarse, 2, stride=2, bias=False))

        def up(coarse: int, fine: int) -> nn.Sequential:
            return nn.Sequential(nn.ConvTranspose2d(coarse, fine, 2, stride=2, bias=False), *blocks(fine))

        told = channels if conditioning == "sigma" else 0
        self.m_head = convolution(channels + told, first, 3, bias=False)
        self.m_down1, self.m_down2, self.m_down3 = down(first, second), down(second, third), down(third, fourth)
        self.m_body = nn.Sequential(*blocks(fourth))
        self.dropout = make_dropout(dropout)
        self.m_up3, self.m_up2, self.m_up1 = up(fourth, third), up(third, second), up(second, first)
        self.m_tail = convolution(first, channels, 3, bias=False)
        levels = [(kernel_size, factor) for factor in (1, 2, 4, 8, 4, 2, 1) for _ in range(2 * depth)]
        self.spec = NetworkSpec(channels, 8, 8, context(8, [(3, 1), *levels, (3, 1)]), conditioning)

    def forward(self, x: Tensor, sigma: Tensor | None = None) -> Tensor:
        """Restore `x` of shape (B, C, H, W), given `sigma` broadcastable to (B, C, H, W) where conditioned."""
        full = self.m_head(fold(x, check_sigma(self.spec, sigma), 1))
        half = self.m_down1(full)
        quarter = self.m_down2(half)
        eighth = self.m_down3(quarter)
        features = self.dropout(self.m_body(eighth))
        features = self.m_up3(features + eighth)
        features = self.m_up2(features + quarter)
        features = self.m_up1(features + half)
        result: Tensor = self.m_tail(features + full)
        return x - result if self.residual else result
