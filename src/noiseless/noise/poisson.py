"""Photon noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from noiseless.noise.base import Moments, Noise
from noiseless.noise.values import GAIN, Value, as_array, mean

_NO_GAIN = 1e-12


@dataclass(frozen=True)
class Poisson(Noise):
    """Counts of photons, electrons or events: the noise of light itself.

    A pixel of value x becomes ``gain * Poisson(x / gain)``: its mean is x, its variance ``gain * x``. Values
    below 0 hold no photons and become 0.

    Args:
        gain: the value of one count in [0, 1] units (1 / 1000 where white is 1000 photons); a number, a range
            or a list, one for each channel. 0 means no noise.
    """

    name: ClassVar[str] = "poisson"
    gain: Annotated[Value, GAIN]

    def corrupt(self, clean: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """Scaled Poisson counts."""
        return count(clean, as_array(self.gain), generator)

    def moments(self, before: Moments) -> Moments | None:
        """Gain times the value; None after other noise, whose negative values are cut off."""
        if not before.certain:
            return None
        photons = np.maximum(before.mean, 0)
        return Moments(photons, mean(self.gain) * photons, certain=False, normal=False)


def count(clean: np.ndarray, gain: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """``gain * Poisson(clean / gain)``, clean itself where the gain is 0.

    Args:
        clean: float32 (..., H, W).
        gain: float64, broadcastable to it.
        generator: the source of randomness.

    Returns:
        float32 of the shape of `clean`.
    """
    counting = gain > _NO_GAIN
    if not counting.any():
        return clean.copy()
    expected = np.maximum(clean, 0) / np.where(counting, gain, 1)
    counts = generator.poisson(np.where(counting, expected, 0))
    return np.where(counting, gain * counts, clean).astype(np.float32)
