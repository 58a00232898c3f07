"""Multiplicative noise of coherent imaging."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from noiseless.noise.base import Moments, Noise
from noiseless.noise.values import Number, Value, as_array, is_range


@dataclass(frozen=True)
class Speckle(Noise):
    """Speckle of radar, ultrasound and laser images: each pixel times an independent gamma variable of mean
    1.

    A pixel of value x becomes ``x * Gamma(looks, 1 / looks)``: its variance is ``x ** 2 / looks``.

    Args:
        looks: number of independent looks that were averaged, >= 0.01, whole or not (equivalent number of
            looks); a number or a range.

    References:
        J. W. Goodman: Some fundamental properties of speckle. Journal of the Optical Society of America 66,
        1976.
    """

    name: ClassVar[str] = "speckle"
    looks: Annotated[Value, Number(low=0.01)]

    def corrupt(self, clean: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """The image times gamma variables."""
        looks = float(as_array(self.looks))
        gamma = generator.standard_gamma(looks, clean.shape, dtype=np.float32)
        gamma *= clean / np.float32(looks)
        return gamma

    def moments(self, before: Moments) -> Moments | None:
        """Second moment over looks is added to the variance; None for a range of looks."""
        if is_range(self.looks):
            return None
        second = before.variance + before.mean**2
        return before.plus(second / as_array(self.looks), normal=False)
