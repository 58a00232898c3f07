"""Rounding to few levels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from noiseless.noise.base import Moments, Noise
from noiseless.noise.values import Number, Value, as_array, bounds


@dataclass(frozen=True)
class Quantize(Noise):
    """Rounding to the levels of an integer image: multiples of ``1 / (2 ** bits - 1)``; nothing is clipped.

    Rounding happens by rule, but where the clean value lies between two levels is as good as random: the
    variance is that of a uniform error, ``step ** 2 / 12``, the mean square error over images with more than
    a few levels.

    Args:
        bits: 1 to 16, whole; a number or a range.
    """

    name: ClassVar[str] = "quantize"
    bits: Annotated[Value, Number(low=1, high=16, integer=True)]

    def corrupt(self, clean: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """The image with each value rounded to the nearest level."""
        levels = np.float32(2 ** int(as_array(self.bits)) - 1)
        rounded: np.ndarray = np.rint(clean * levels) / levels
        return rounded

    def moments(self, before: Moments) -> Moments | None:
        """That of a uniform error, for a range its mean over the bits; None after other noise."""
        if not before.certain:
            return None
        low, high = bounds(self.bits)
        steps = 1 / (2.0 ** np.arange(low, high + 1) - 1)
        return before.plus(np.asarray(np.mean(steps**2) / 12), normal=False)
