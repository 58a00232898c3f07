"""The noise of a camera sensor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from noiseless.noise.base import Moments, Noise
from noiseless.noise.poisson import count
from noiseless.noise.values import GAIN, SIGMA, Value, as_array, mean, mean_square


@dataclass(frozen=True)
class PoissonGaussian(Noise):
    """Photon noise, then the read noise of the electronics: raw images of cameras, fluorescence microscopes,
    CCDs.

    A pixel of value x becomes ``gain * Poisson(x / gain) + read * normal``: its variance is ``gain * x + read
    ** 2``.

    Args:
        gain: the value of one count in [0, 1] units; a number, a range or a list, one for each channel.
        read: standard deviation of the read noise in [0, 1] units; likewise.

    References:
        A. Foi, M. Trimeche, V. Katkovnik, K. Egiazarian: Practical Poissonian-Gaussian noise modeling and
        fitting for single-image raw-data. IEEE Transactions on Image Processing 17, 2008.
    """

    name: ClassVar[str] = "poisson-gaussian"
    gain: Annotated[Value, GAIN]
    read: Annotated[Value, SIGMA]

    def corrupt(self, clean: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """Scaled Poisson counts plus normal noise."""
        noisy = count(clean, as_array(self.gain), generator)
        noisy += as_array(self.read).astype(np.float32) * generator.standard_normal(clean.shape, np.float32)
        return noisy

    def moments(self, before: Moments) -> Moments | None:
        """Gain times the value plus read squared; None after other noise, whose negative values are cut off."""
        if not before.certain:
            return None
        photons = np.maximum(before.mean, 0)
        variance = mean(self.gain) * photons + mean_square(self.read)
        return Moments(photons, variance, certain=False, normal=False)
