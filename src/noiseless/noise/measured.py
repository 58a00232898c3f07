"""Variances measured by sampling, for noise models without a formula."""

from __future__ import annotations

import numpy as np

from noiseless.noise.base import Noise

LEVELS = 128
SAMPLES = 512
"""Of each level: the standard deviation of a pixel is right within about 2%."""

REPEATS = 16
BLOCK = 8
NEIGHBOURHOOD = 4.0
"""Standard deviation in pixels of the Gaussian window over which errors are averaged where pixels depend on others."""


def measured_variance(noise: Noise, clean: np.ndarray) -> np.ndarray:
    """Variance of the error of a noise model, measured with a fixed seed: the same image gives the same result.

    Args:
        noise: any model.
        clean: float32, (H, W), (C, H, W) or (N, C, H, W).

    Returns:
        float64 of the same shape.
    """
    if not clean.size:
        return np.zeros(clean.shape)
    return _by_value(noise, clean) if noise.pointwise else _by_neighbourhood(noise, clean)


def _by_value(noise: Noise, clean: np.ndarray) -> np.ndarray:
    """Samples at values between the smallest and the largest; each pixel takes the variance of its value."""
    levels = np.linspace(clean.min(), clean.max(), LEVELS)
    curves = _curves(noise, levels)
    if len(curves) == 1:
        variance: np.ndarray = np.interp(clean, levels, curves[0])
        return variance
    planes = np.moveaxis(clean if clean.ndim > 2 else clean[None], -3, 0)
    variances = [np.interp(plane, levels, curve) for plane, curve in zip(planes, curves, strict=True)]
    return np.moveaxis(np.stack(variances), 0, -3).reshape(clean.shape)


def _curves(noise: Noise, levels: np.ndarray) -> np.ndarray:
    """Variance at each level, (channels or 1, levels), a little smoothed; values are spread around their level."""
    from scipy.ndimage import uniform_filter1d

    generator = np.random.default_rng(0)
    shape = (SAMPLES, noise.channels or 1, 1, len(levels))
    spread = generator.uniform(-0.5, 0.5, shape) * (levels[1] - levels[0])
    values = np.clip(levels + spread, levels[0], levels[-1]).astype(np.float32)
    error = noise.sample(values, generator) - values
    variance = np.var(error, axis=0, dtype=np.float64)[:, 0, :]
    smooth: np.ndarray = uniform_filter1d(variance, 5, axis=-1, mode="nearest")
    return smooth


def _by_neighbourhood(noise: Noise, clean: np.ndarray) -> np.ndarray:
    """Samples of the whole image at several positions of the block grid; each pixel takes those around it."""
    from scipy.ndimage import gaussian_filter

    generator = np.random.default_rng(0)
    total, squares = np.zeros(clean.shape), np.zeros(clean.shape)
    for _ in range(REPEATS):
        error = _error_on_grid(noise, clean, generator)
        total += error
        squares += error**2
    window = (0.0,) * (clean.ndim - 2) + (NEIGHBOURHOOD, NEIGHBOURHOOD)
    mean = gaussian_filter(total / REPEATS, window)
    variance: np.ndarray = np.maximum(gaussian_filter(squares / REPEATS, window) - mean**2, 0)
    return variance


def _error_on_grid(noise: Noise, clean: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    top, left = generator.integers(BLOCK, size=2)
    margins = ((0, 0),) * (clean.ndim - 2) + ((int(top), 0), (int(left), 0))
    shifted = np.pad(clean, margins, mode="edge")
    error: np.ndarray = noise.sample(shifted, generator)[..., top:, left:].astype(np.float64) - clean
    return error
