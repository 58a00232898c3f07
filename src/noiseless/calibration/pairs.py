"""Which noise lies between noisy images and clean ones of the same scenes: nothing has to be told from texture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from noiseless.noise.base import Noise
from noiseless.noise.poisson_gaussian import PoissonGaussian
from noiseless.noise.speckle import Speckle

BINS = 32
MOST_PIXELS = 1 << 18
"""Of each image; a larger one is thinned out."""

SMALLEST = 1e-10
"""Variances below this count as this."""


def noise_of_pairs(noisy: Sequence[np.ndarray], clean: Sequence[np.ndarray]) -> Noise:
    """The white noise that fits best: photon and read noise, or speckle, by its variance over brightness.

    Both are fitted by least squares of relative errors to the mean squared differences in bins of equal size.

    Args:
        noisy: float32, of any shapes, in [0, 1] units.
        clean: as many arrays of the same shapes.
    """
    values = np.concatenate([_thin(image) for image in clean])
    squares = np.concatenate([(_thin(one) - _thin(other)) ** 2 for one, other in zip(noisy, clean, strict=True)])
    order = np.argsort(values)
    brightness, variance = (
        np.array([part.mean() for part in np.array_split(each[order], min(BINS, len(order)))])
        for each in (np.maximum(values, 0), squares)
    )
    fits = (_line(brightness, np.maximum(variance, SMALLEST)), _parabola(brightness, np.maximum(variance, SMALLEST)))
    return min(fits, key=lambda fit: fit[1])[0]


def _thin(image: np.ndarray) -> np.ndarray:
    flat = np.asarray(image, np.float64).ravel()
    return flat[:: -(-flat.size // MOST_PIXELS)]


def _line(brightness: np.ndarray, variance: np.ndarray) -> tuple[Noise, float]:
    from scipy.optimize import nnls

    sides = np.stack([brightness, np.ones_like(brightness)], axis=1)
    (gain, floor), _ = nnls(sides / variance[:, None], np.ones_like(variance))
    noise = PoissonGaussian(gain=float(gain), read=float(np.sqrt(floor)))
    return noise, _misfit(gain * brightness + floor, variance)


def _parabola(brightness: np.ndarray, variance: np.ndarray) -> tuple[Noise, float]:
    relative = brightness**2 / variance
    share = max(float(relative.sum() / max((relative**2).sum(), SMALLEST)), SMALLEST)
    return Speckle(looks=max(1 / share, 0.01)), _misfit(share * brightness**2, variance)


def _misfit(fitted: np.ndarray, variance: np.ndarray) -> float:
    """Mean squared difference of the logarithms."""
    return float((np.log(np.maximum(fitted, SMALLEST) / variance) ** 2).mean())
