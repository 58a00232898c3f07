"""Noise of magnitude images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from noiseless.noise.base import Moments, Noise
from noiseless.noise.values import SIGMA, Value, as_array, is_range

_SURELY_NORMAL = 1e3


@dataclass(frozen=True)
class Rician(Noise):
    """Noise of magnetic resonance magnitude images: the modulus of a complex value with normal noise in both parts.

    Dark pixels come out too bright on average (0 becomes ``sigma * sqrt(pi / 2)``) and vary less than bright
    ones, whose noise is nearly normal with standard deviation sigma.

    Args:
        sigma: standard deviation in the real and in the imaginary part, in [0, 1] units; a number, a range or
            a list, one for each channel.

    References:
        H. Gudbjartsson, S. Patz: The Rician distribution of noisy MRI data. Magnetic Resonance in Medicine
        34, 1995.
    """

    name: ClassVar[str] = "rician"
    sigma: Annotated[Value, SIGMA]

    def corrupt(self, clean: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """The modulus of the image plus complex normal noise."""
        sigma = as_array(self.sigma).astype(np.float32)
        real = clean + sigma * generator.standard_normal(clean.shape, np.float32)
        imaginary = sigma * generator.standard_normal(clean.shape, np.float32)
        modulus: np.ndarray = np.hypot(real, imaginary)
        return modulus

    def moments(self, before: Moments) -> Moments | None:
        """Those of the Rice distribution; None for a range of sigma, and after other noise."""
        if is_range(self.sigma) or not before.certain:
            return None
        expected, variance = rice_moments(before.mean, as_array(self.sigma))
        return Moments(expected, variance, certain=False, normal=False)


def rice_moments(values: np.ndarray, sigma: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of the Rice distribution.

    Args:
        values: float64, the noiseless value, of any sign.
        sigma: float64, broadcastable to it; 0 means no noise.
    """
    from scipy.special import i0e, i1e

    modulus, sigma = np.broadcast_arrays(np.abs(values), sigma)
    ratio = np.divide(modulus, sigma, out=np.full(modulus.shape, np.inf), where=sigma > 0)
    near = np.minimum(ratio, _SURELY_NORMAL)
    half = near**2 / 4
    expected = sigma * np.sqrt(np.pi / 2) * ((1 + 2 * half) * i0e(half) + 2 * half * i1e(half))
    variance = (2 + near**2) * sigma**2 - expected**2
    far = ratio > _SURELY_NORMAL
    return np.where(far, modulus, expected), np.where(far, sigma**2, np.maximum(variance, 0))
