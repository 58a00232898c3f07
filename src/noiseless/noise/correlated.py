"""Gaussian noise whose pixels resemble their neighbours."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from noiseless.noise.base import Moments, Noise
from noiseless.noise.values import SIGMA, Number, Value, as_array, is_range, mean, mean_square

_WHITE = 0.1
"""Correlation length in pixels below which noise is white."""

_MORE = 0.3
"""Deviations of a pixel that a network is told beyond the strength at coarse scales."""


@dataclass(frozen=True)
class Correlated(Noise):
    """Stationary normal noise with the autocorrelation ``exp(-r ** 2 / (2 * length ** 2))`` at a distance of
    r pixels.

    It is what demosaicking, smoothing or a detector's blur makes of white noise. Every pixel has the standard
    deviation sigma, border pixels too; channels are independent.

    Args:
        sigma: standard deviation of a pixel in [0, 1] units; a number, a range or a list, one for each
            channel.
        length: correlation length in pixels, 0 to 100: the distance at which the correlation is exp(-1/2) =
            0.61; a number or a range. Below 0.1 the noise is white.
    """

    name: ClassVar[str] = "correlated"
    sigma: Annotated[Value, SIGMA]
    length: Annotated[Value, Number(high=100.0)]

    def corrupt(self, clean: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """The image plus smoothed normal noise."""
        noise = correlated_noise(clean.shape, float(as_array(self.length)), generator)
        noise *= as_array(self.sigma).astype(np.float32)
        noise += clean
        return noise

    def moments(self, before: Moments) -> Moments:
        """The mean stays, sigma squared is added to the variance."""
        return before.plus(mean_square(self.sigma), normal=not is_range(self.sigma))

    def coarse_variance(self) -> np.ndarray:
        """So much that white noise of the level told is as strong at coarse scales, and a little more.

        The deviation told is `coarseness` times that of a pixel, and `_MORE` of it besides, which gains 0.4 dB with
        noise of 20 grey levels, the mean over lengths of 0.5 to 2.5 pixels and four shipped models, and costs 0.1 dB
        with noise of 2.5 (docs/models.md). Where neighbours are hardly alike, hardly more is told.
        """
        coarse = coarseness(float(mean(self.length)))
        factor = min(coarse + _MORE, 2 * coarse - 1)
        return np.asarray((factor**2 - 1) * mean_square(self.sigma))


def coarseness(length: float) -> float:
    """How much stronger noise of a correlation length is at coarse scales than white noise of the same variance.

    The ratio of standard deviations, 1 for white noise: the square root of the sum of the correlations at all
    distances.
    """
    if length < _WHITE:
        return 1.0
    lags = np.arange(1, math.ceil(6 * length) + 1)
    return float(1 + 2 * np.exp(-np.square(lags) / (2 * length**2)).sum())


def correlated_noise(shape: tuple[int, ...], length: float, generator: np.random.Generator) -> np.ndarray:
    """Normal noise of variance 1 and correlation length `length`.

    White noise with a margin is smoothed with a Gaussian window of standard deviation ``length / sqrt(2)``,
    scaled so that the squares of its weights add up to 1, and the margin is cut off.

    Args:
        shape: (..., H, W).
        length: in pixels.
        generator: the source of randomness.

    Returns:
        float32 of this shape.
    """
    from scipy.ndimage import correlate1d

    if length < _WHITE or 0 in shape:
        return generator.standard_normal(shape, np.float32)
    weights = _weights(length)
    radius = len(weights) // 2
    *planes, height, width = shape
    noise = generator.standard_normal((*planes, height + 2 * radius, width + 2 * radius), np.float32)
    noise = correlate1d(noise, weights, axis=-2, mode="constant")[..., radius : radius + height, :]
    noise = correlate1d(noise, weights, axis=-1, mode="constant")[..., radius : radius + width]
    return np.ascontiguousarray(noise)


def _weights(length: float) -> np.ndarray:
    """The symmetric window, (2 * radius + 1,), of norm 1: its spectrum is the root of that of the autocorrelation."""
    radius = math.ceil(4 * length / math.sqrt(2)) + 4
    distances = np.fft.fftfreq(8 * radius + 1, 1 / (8 * radius + 1))
    spectrum = np.fft.fft(np.exp(-(distances**2) / (2 * length**2))).real
    window = np.fft.ifft(np.sqrt(np.maximum(spectrum, 0))).real
    weights = np.concatenate([window[-radius:], window[: radius + 1]])
    return np.asarray(weights / np.sqrt(np.sum(weights**2)))
