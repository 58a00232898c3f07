"""Blocks that several networks share."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from noiseless.errors import UnknownNameError

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": lambda: nn.LeakyReLU(0.1),
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "elu": nn.ELU,
}


def make_activation(name: str) -> nn.Module:
    """A new activation layer.

    Raises:
        UnknownNameError: the name is not in `ACTIVATIONS`.
    """
    if name not in ACTIVATIONS:
        raise UnknownNameError("activation", name, ACTIVATIONS)
    return ACTIVATIONS[name]()


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
        padding = kernel_size // 2
        self.first = nn.Conv2d(width, width, kernel_size, padding=padding, bias=bias)
        self.activation = make_activation(activation)
        self.dropout = nn.Dropout2d(dropout) if dropout else nn.Identity()
        self.second = nn.Conv2d(width, width, kernel_size, padding=padding, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """Refine features of shape (B, width, H, W)."""
        residual: Tensor = x + self.second(self.dropout(self.activation(self.first(x))))
        return residual
