"""The model bundle: one folder with a network's weights and everything needed to apply it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Conditioning = Literal["none", "sigma"]


@dataclass(frozen=True)
class NetworkSpec:
    """What must be known about a network to apply it to an image.

    Attributes:
        channels: image channels in and out.
        multiple_of: height and width must be divisible by this.
        minimum_size: smallest height and width, in pixels.
        halo: pixels of context that a tile needs on each side so that tiled and whole differ by at most 1e-5;
            ``None`` for a network that pools over the whole image.
        conditioning: ``"sigma"`` when `forward` takes the noise standard deviation, else ``"none"``.
    """

    channels: int
    multiple_of: int = 1
    minimum_size: int = 1
    halo: int | None = 0
    conditioning: Conditioning = "none"
