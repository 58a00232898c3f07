"""Impulses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from noiseless.noise.base import Noise
from noiseless.noise.values import Number, Value, mean


@dataclass(frozen=True)
class SaltAndPepper(Noise):
    """Impulses: a share of the values, in each channel on its own, is lost and becomes 0 or 1, equally often.

    `variance` is the exact variance of the mixture. `analytic` is nevertheless False, for chains too: the
    error of a pixel is either nothing or large, so that its variance must not be added up or used as the
    level of normal noise.

    Args:
        amount: the share of values that are lost, 0 to 1; a number or a range.
    """

    name: ClassVar[str] = "salt-and-pepper"
    amount: Annotated[Value, Number(high=1.0)]

    def corrupt(self, clean: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """The image with values replaced by 0 and 1."""
        chance = generator.random(clean.shape, dtype=np.float32)
        amount = np.float32(mean(self.amount))
        impulses = (chance < amount / 2).astype(np.float32)
        noisy: np.ndarray = np.where(chance < amount, impulses, clean)
        return noisy

    def variance(self, clean: np.ndarray) -> np.ndarray:
        """Variance of the mixture of the clean value with 0 and 1; a range counts as drawn from for each image.

        Args:
            clean: float, (H, W), (C, H, W) or (N, C, H, W), in [0, 1] units.

        Returns:
            float64 of the shape of `clean`.
        """
        values = self._checked(clean).astype(np.float64)
        amount = mean(self.amount)
        expected = (1 - amount) * values + amount / 2
        variance: np.ndarray = (1 - amount) * values**2 + amount / 2 - expected**2
        return variance
