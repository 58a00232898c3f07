"""Offsets of rows or columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np

from noiseless.noise.base import Moments, Noise
from noiseless.noise.values import SIGMA, Choice, Value, as_array, is_range, mean_square


@dataclass(frozen=True)
class Stripes(Noise):
    """A normally distributed offset for each row or column, in each channel on its own.

    Seen in scanners, pushbroom satellites, infrared cameras and raw images of rolling shutters.

    Args:
        sigma: standard deviation of the offsets in [0, 1] units; a number, a range or a list, one for each
            channel.
        axis: ``rows`` (each row is a stripe) or ``columns``.
    """

    name: ClassVar[str] = "stripes"
    sigma: Annotated[Value, SIGMA]
    axis: Annotated[Literal["rows", "columns"], Choice(("rows", "columns"))] = "rows"

    def corrupt(self, clean: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """The image plus stripes."""
        height, width = clean.shape[-2:]
        stripe = (height, 1) if self.axis == "rows" else (1, width)
        offsets = generator.standard_normal(clean.shape[:-2] + stripe, np.float32)
        noisy: np.ndarray = clean + as_array(self.sigma).astype(np.float32) * offsets
        return noisy

    def moments(self, before: Moments) -> Moments:
        """The mean stays, sigma squared is added to the variance."""
        return before.plus(mean_square(self.sigma), normal=not is_range(self.sigma))
