"""The smallest patches that a loss works on."""

from __future__ import annotations

from torch import Tensor

from noiseless.errors import ConfigError


def require_side(loss: str, images: Tensor, side: int) -> None:
    """Check that images (B, C, H, W) have at least `side` pixels each way.

    Raises:
        ConfigError: they are smaller; names the loss and the patch size it needs.
    """
    height, width = images.shape[-2:]
    if min(height, width) < side:
        raise ConfigError(
            f"the patches are too small for the loss {loss}",
            got=f"{width}x{height} pixels",
            expected=f"at least {side}x{side}",
            fix=f"Use training.patch_size={side} or more, or another loss.",
        )
