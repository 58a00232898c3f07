"""Noise told from texture band by band: noise that is visible at coarser detail and lacks at the finer is correlated.

The cosine waves of blocks are put into bands of frequency. In a band where noise exceeds the picture, the quiet blocks
hold about the same energy, as the chi-square law says; where texture exceeds the noise, they differ. White noise under
texture is even in the fine bands, and there as strong in one band as in the next; the picture itself is uneven.
"""

from __future__ import annotations

import itertools
import math

import numpy as np

from noiseless.calibration.texture import SIDE, TINY, Blocks

EDGES = (0.5, 0.36, 0.25, 0.18, 0.125, 0.085)
"""Borders of the bands in periods per pixel, finest first; before them comes the corner of waves that are fine along
both axes."""

CORNER = 0.75
"""Of the highest frequency along each axis, from where the corner is."""

EVEN = 1.15
"""How much more than by chance the quiet blocks may differ in a band that holds noise. White noise of 5 grey levels
under gravel gives 1.1 to 1.2, gravel alone 1.2 to 1.3."""

WEAKER = (3.0, 4.0)
"""Energy of a band over that of the next finer one from which that lacks: over the corner, and over any other band.
Noise of a length of 0.7 pixels has 3.4 over the corner; half an octave of gravel has 2 to 4, but is not even."""

QUIET, QUIETER, QUIETEST = 0.2, 0.1, 0.03
"""Shares of the blocks with the least energy in a band."""

_DEVIATES = {QUIET: -0.8416, QUIETER: -1.2816, QUIETEST: -1.8808}
"""Quantiles of the normal distribution."""


def weakens(blocks: Blocks) -> bool:
    """Whether noise that can be seen in some band lacks in the next finer one."""
    waves = (_COSINES @ blocks.residuals @ _COSINES.T) ** 2
    levels, unevenness = np.array([_measure(waves[:, band]) for band in _BANDS]).T
    least = np.array([WEAKER[0], *[WEAKER[1]] * (len(_BANDS) - 2)])
    weaker = levels[1:] > least * np.maximum(levels[:-1], TINY)
    return bool(np.any(weaker & (unevenness[1:] <= EVEN)))


def _measure(waves: np.ndarray) -> tuple[float, float]:
    """Variance of noise in a band, and how much the quiet blocks differ beyond chance.

    Args:
        waves: (n, k), squared, of each block.
    """
    energies = waves.mean(axis=1)
    quiet, quieter, quietest = np.quantile(energies, [QUIET, QUIETER, QUIETEST])
    mean = waves[energies <= quiet].mean(axis=0, dtype=np.float64)
    freedom = float(mean.sum() ** 2 / max(float((mean**2).sum()), TINY**2))  # fewer than k where the spectrum is steep
    level = float(quieter) / _quantile(freedom, QUIETER)
    chance = _quantile(freedom, QUIET) / _quantile(freedom, QUIETEST)
    return level, float(quiet) / max(float(quietest), TINY) / chance


def _quantile(freedom: float, share: float) -> float:
    """Of the chi-square distribution over its degrees of freedom, by the cube root of Wilson and Hilferty, 1931."""
    spread = 2 / (9 * max(freedom, 1.0))
    return float(max(1 - spread + _DEVIATES[share] * math.sqrt(spread), 0.05) ** 3)


def _cosines() -> np.ndarray:
    places, waves = np.arange(SIDE), np.arange(SIDE)[:, None]
    cosines: np.ndarray = np.sqrt(2 / SIDE) * np.cos(np.pi * (2 * places + 1) * waves / (2 * SIDE))
    cosines[0] /= np.sqrt(2)
    return np.asarray(cosines, np.float32)


def _bands() -> list[np.ndarray]:
    """Masks (SIDE, SIDE) over the waves."""
    along = np.arange(SIDE)
    radius = np.hypot(along[:, None], along) / (2 * SIDE)
    corner = np.minimum(along[:, None], along) >= CORNER * SIDE
    rings = [(radius >= low) & (radius < high) for high, low in itertools.pairwise(EDGES)]
    return [corner, *rings]


_COSINES = _cosines()
_BANDS = _bands()
