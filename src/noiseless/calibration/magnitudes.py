"""Whether an image holds magnitudes of complex values, as of MRI, whose noise is Rician: dark areas show it.

Where there is no signal, magnitudes of noise follow Rayleigh's law, whose mean, spread and skewness stand in fixed
proportions; where the signal is strong, they have the noise of the complex parts. Photons can make dark areas alike,
but not bright ones.

Reference:
    H. Gudbjartsson, S. Patz: The Rician distribution of noisy MRI data. Magnetic Resonance in Medicine 34, 1995.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from noiseless.calibration.patches import rounding_step

SIDE = 8
LARGEST = 2048
FEWEST = 40
"""Blocks, dark and bright, that it takes to tell."""

DARK, DARKEST = 1.3, 0.05
"""Dark blocks have a mean of no more than so many times that of the quantile `DARKEST`."""

FAIR, BRIGHT = 2.5, 5.0
"""Strengths of the signal, over the noise, from which the variance is nine tenths of normal noise's, and nearly all."""

ALIKE = 0.8
"""What the variance of fair blocks is at least, over that of bright ones."""

FLAT, LEAST, MOST = 0.25, 0.75, 1.05
"""Quantile of the variances of bright blocks that is taken for that of flat ones; it is 0.83 to 0.88 of the noise's."""

LOW, MIDDLE, HIGH = (math.sqrt(-2 * math.log(1 - share)) for share in (0.1, 0.5, 0.9))
"""Quantiles of Rayleigh's law of parameter 1; unlike moments, they hardly change where a few blocks are no noise."""

NEAR = 0.05
"""How far the form of what is seen may be from it: its middle and its skewness, both over its width."""


def magnitude_level(planes: Sequence[np.ndarray]) -> float:
    """Standard deviation of the noise of the complex parts; 0 where the images are no magnitudes, or that is not seen.

    Args:
        planes: (H, W) each, in any unit.
    """
    if any(plane.min() < 0 or min(plane.shape) < SIDE for plane in planes):
        return 0.0
    blocks = np.concatenate([_blocks(plane) for plane in planes])
    means = blocks.mean(axis=1)
    shown = means > 0
    blocks, means = blocks[shown], means[shown]
    if len(blocks) < 2 * FEWEST:
        return 0.0
    dark = blocks[means <= DARK * np.quantile(means, DARKEST)]
    level = float(np.median(dark)) / MIDDLE
    bright, fair = blocks[means > BRIGHT * level], blocks[(means > FAIR * level) & (means <= BRIGHT * level)]
    if min(len(dark), len(bright)) < FEWEST or not _is_rayleigh(dark + _dither(planes, dark.shape)):
        return 0.0
    variance = _flat_variance(bright)
    if len(fair) >= FEWEST and _flat_variance(fair) < ALIKE * variance:
        return 0.0  # it grows on, as that of photons
    return level if LEAST < variance / level**2 < MOST else 0.0


def _flat_variance(blocks: np.ndarray) -> float:
    steps = np.diff(blocks.reshape(-1, SIDE, SIDE), axis=2)
    return float(np.quantile((steps**2).mean(axis=(1, 2)) / 2, FLAT))


def _is_rayleigh(values: np.ndarray) -> bool:
    found = _form(*np.quantile(values, [0.1, 0.5, 0.9]))
    return bool(np.all(np.abs(found - _form(LOW, MIDDLE, HIGH)) < NEAR))


def _form(low: float, middle: float, high: float) -> np.ndarray:
    """The middle and the skewness of a distribution with these quantiles, over its width."""
    return np.array([middle, low + high - 2 * middle]) / (high - low)


def _dither(planes: Sequence[np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
    """What rounding may have taken away."""
    step = min(rounding_step(plane) for plane in planes)
    return (np.random.default_rng(0).random(shape) - 0.5) * step


def _blocks(plane: np.ndarray) -> np.ndarray:
    """(n, SIDE * SIDE), float64, of no more than `LARGEST` rows and columns."""
    rows, columns = (min(size, LARGEST) // SIDE for size in plane.shape)
    cut = plane[: rows * SIDE, : columns * SIDE].astype(np.float64)
    return cut.reshape(rows, SIDE, columns, SIDE).transpose(0, 2, 1, 3).reshape(-1, SIDE * SIDE)
