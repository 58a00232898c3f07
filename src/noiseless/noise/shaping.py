"""The shape of noise in space and across colours: spectra as in-camera smoothing and sharpening leave them.

Noise has the shape (3, H, W). It is split into luma, the mean of the three channels, and chroma, what
remains; each is filtered by the square root of a power spectrum, periodically, so that noise of any strength
keeps it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import fft


@dataclass(frozen=True)
class Spectrum:
    """Power spectrum of a filter: blurred noise, plus coarser octaves of it.

    Attributes:
        blur: standard deviations in pixels of a Gaussian blur, of rows and of columns.
        octaves: amplitudes of noise blurred with standard deviations of 1, 2 and 4 pixels (grains of about 2,
            4 and 8 pixels), relative to the finest noise.
        sharpening: amount of an unsharp mask with a standard deviation of one pixel.
    """

    blur: tuple[float, float]
    octaves: tuple[float, ...] = ()
    sharpening: float = 0.0

    def response(self, height: int, width: int) -> np.ndarray:
        """Factors for the coefficients of `scipy.fft.rfft2`: white noise of variance one keeps it. float32."""
        vertical, horizontal, weight = _frequencies(height, width)
        sharp = 1 + self.sharpening * (1 - _gaussian(vertical + horizontal))
        fine = (_gaussian(self.blur[0] ** 2 * vertical + self.blur[1] ** 2 * horizontal) * sharp) ** 2
        power = fine / _mean(fine, weight)
        for number, amplitude in enumerate(self.octaves):
            coarse = _gaussian(2 * 4.0**number * (vertical + horizontal))
            power = power + amplitude**2 * coarse / _mean(coarse, weight)
        return np.sqrt(power / _mean(power, weight)).astype(np.float32)


def draw_luma(generator: np.random.Generator, blur_up_to: float) -> Spectrum:
    """A spectrum of luma noise: lightly blurred, often sharpened, with some coarse grain.

    Args:
        generator: draws it.
        blur_up_to: largest standard deviation of the blur in pixels.
    """
    blur = generator.uniform(0.1, blur_up_to)
    sharpening = generator.uniform(0.3, 1.8) if generator.random() < 0.5 else 0.0
    return Spectrum(_uneven(blur, generator), _draw_octaves((0.45, 0.4, 0.3, 0.25), generator), sharpening)


def draw_chroma(generator: np.random.Generator, blur_from: float = 0.9) -> Spectrum:
    """A spectrum of chroma noise: blurred more, by up to five times `blur_from`, with blotches."""
    blur = blur_from * 5.0 ** generator.random()
    return Spectrum(_uneven(blur, generator), _draw_octaves((1.0, 1.0, 1.0, 0.8), generator))


def shape_noise(noise: np.ndarray, luma: Spectrum, chroma: Spectrum) -> tuple[np.ndarray, np.ndarray]:
    """Luma (H, W) and chroma (3, H, W; its channels sum to zero) of a noise, filtered.

    Args:
        noise: (3, H, W), float32.
        luma, chroma: their spectra.
    """
    height, width = noise.shape[-2:]
    mean = noise.mean(axis=0)
    planes = np.stack([mean, noise[0] - mean, noise[2] - mean])
    coefficients = fft.rfft2(planes)
    coefficients[0] *= luma.response(height, width)
    coefficients[1:] *= chroma.response(height, width)
    filtered, red, blue = fft.irfft2(coefficients, s=(height, width))
    return filtered, np.stack([red, -red - blue, blue])


def spread(array: np.ndarray) -> float:
    """Root mean square of a noise whose mean is zero; never zero."""
    return float(np.sqrt(np.mean(np.square(array)) + 1e-12))


def _uneven(blur: float, generator: np.random.Generator) -> tuple[float, float]:
    tilt = np.exp(generator.normal(0, 0.15))
    return float(blur * tilt), float(blur / tilt)


def _draw_octaves(highest: tuple[float, ...], generator: np.random.Generator) -> tuple[float, ...]:
    return tuple(float(high * generator.random()) for high in highest)


def _gaussian(square: np.ndarray) -> np.ndarray:
    """Response of a Gaussian blur, of the square of standard deviation times angular frequency."""
    return np.exp(-0.5 * square)


def _mean(power: np.ndarray, weight: np.ndarray) -> float:
    return float((power * weight).sum(dtype=np.float64))


@lru_cache(maxsize=64)
def _frequencies(height: int, width: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Squared angular frequencies of rows and columns, and each coefficient's share of the whole plane."""
    vertical = (2 * np.pi * np.fft.fftfreq(height)[:, None]) ** 2
    horizontal = (2 * np.pi * np.fft.rfftfreq(width)[None, :]) ** 2
    weight = np.full(horizontal.shape, 2.0)
    weight[0, 0] = 1
    if width % 2 == 0:
        weight[0, -1] = 1
    return vertical.astype(np.float32), horizontal.astype(np.float32), (weight / (height * width)).astype(np.float32)
