"""The table of losses."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from noiseless import tables

if TYPE_CHECKING:
    from torch import Tensor

LossFunction = Callable[["Tensor", "Tensor"], "Tensor"]

LOSSES: dict[str, str] = {
    "mse": "noiseless.losses.pixel:mse",
    "l1": "noiseless.losses.pixel:l1",
    "charbonnier": "noiseless.losses.pixel:charbonnier",
    "decibel": "noiseless.losses.pixel:decibel",
    "brightness": "noiseless.losses.pixel:brightness",
    "ssim": "noiseless.losses.structural:ssim",
    "ms_ssim": "noiseless.losses.structural:ms_ssim",
    "gradient": "noiseless.losses.detail:gradient",
    "frequency": "noiseless.losses.detail:frequency",
    "contrastive": "noiseless.losses.contrastive:contrastive",
}
"""Names to functions; other packages add theirs through the entry point group ``noiseless.losses``."""

GROUP = "noiseless.losses"


def names() -> list[str]:
    """Every loss there is: ours, then those of entry points."""
    return tables.names(LOSSES, GROUP)


def find(name: str) -> LossFunction:
    """The function of a loss.

    Raises:
        UnknownNameError: no loss of this name.
    """
    function: LossFunction = tables.load("loss", name, LOSSES, GROUP)
    return function
