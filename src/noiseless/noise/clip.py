"""Saturation."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from noiseless.noise.base import Moments, Noise

FARTHEST = 40.0
"""Standard deviations from the mean beyond which a normal density is as good as none."""

FEW = 2000
"""Values up to which the standard library takes less time than the import of scipy, 0.1 s."""

MOST_SKEWED, SKEWED_UP_TO = 0.1, 3.0
"""A sixth of the skewness, and standard deviations from the mean, up to which it counts: one term tells no more."""


@dataclass(frozen=True)
class Clip(Noise):
    """Values below 0 become 0, values above 1 become 1: what a sensor or an integer file cannot hold is lost.

    On its own it adds no randomness. After normal noise, mean and variance are those of the censored normal
    distribution; after other noise they are measured.
    """

    name: ClassVar[str] = "clip"

    def corrupt(self, clean: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """The clipped image."""
        clipped: np.ndarray = np.clip(clean, 0, 1)
        return clipped

    def moments(self, before: Moments) -> Moments | None:
        """Those of a clipped number or of a censored normal variable; None after other noise."""
        if before.certain:
            return Moments(np.clip(before.mean, 0, 1), before.variance, certain=True, normal=True)
        if not before.normal:
            return None
        return Moments(*censored_moments(before.mean, before.variance), certain=False, normal=False)


def censored_moments(mean: np.ndarray, variance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of a normal variable clipped to [0, 1].

    Args:
        mean: float64, of the variable before clipping.
        variance: float64, broadcastable to it.
    """
    spread = np.sqrt(np.maximum(variance, np.finfo(np.float64).tiny))
    low, high = -mean / spread, (1 - mean) / spread
    dark, bright = _normal_below(low), _normal_below(-high)
    low_density, high_density = _density(low), _density(high)
    shift = -mean * dark + (1 - mean) * bright + spread * (low_density - high_density)
    square = mean**2 * dark + (1 - mean) ** 2 * bright
    square += spread**2 * (1 - dark - bright + low * low_density - high * high_density)
    return mean + shift, np.maximum(square - shift**2, 0)


def moments_beyond(
    limit: np.ndarray, variance: np.ndarray, third: np.ndarray | float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of noise of zero mean, given that it is above a limit.

    Args:
        limit: float64.
        variance: float64, broadcastable to it.
        third: third central moment: how far the noise is from normal, by the first term of Cornish and Fisher's
            expansion (Moments and cumulants in the specification of distributions, 1938).
    """
    from scipy.special import log_ndtr

    tiny = np.finfo(np.float64).tiny
    spread = np.sqrt(np.maximum(variance, tiny))
    # noise is z + skew (z ** 2 - 1) of a normal z
    skew = np.clip(third / np.maximum(6 * spread**3, tiny), -MOST_SKEWED, MOST_SKEWED)
    far = np.clip(limit / spread, -FARTHEST, FARTHEST)
    far = far - skew * (np.minimum(far**2, SKEWED_UP_TO**2) - 1)
    ratio = np.exp(-0.5 * far**2 - log_ndtr(-far)) / np.sqrt(2 * np.pi)  # the inverse of Mills' ratio
    left = 1 + ratio * (far - ratio) + 2 * skew * ratio * (far * (far - ratio) + 1)
    return np.maximum(spread * ratio * (1 + skew * far), limit), np.maximum(variance * left, 0)


def _normal_below(value: np.ndarray) -> np.ndarray:
    """How likely a standard normal variable is below a value."""
    if value.size > FEW:
        from scipy.special import ndtr

        below: np.ndarray = ndtr(value)
    else:
        below = 0.5 * np.vectorize(math.erfc, otypes=[np.float64])(-value / np.sqrt(2))
    return below


def _density(value: np.ndarray) -> np.ndarray:
    bounded = np.clip(value, -FARTHEST, FARTHEST)
    density: np.ndarray = np.exp(-0.5 * bounded**2) / np.sqrt(2 * np.pi)
    return density
