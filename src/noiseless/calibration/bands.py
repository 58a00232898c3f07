"""Noise told from texture band by band: noise that is visible at coarser detail and lacks at the finer is correlated.

The cosine waves of blocks are put into bands of frequency. In a band where noise exceeds the picture, the quiet blocks
hold about the same energy, as the chi-square law says; where texture exceeds the noise, they differ. White noise under
texture is even in the fine bands, and there as strong in one band as in the next; the picture itself is uneven.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np

from noiseless.calibration.texture import SIDE, TINY, Blocks
from noiseless.noise.correlated import Correlated

EDGES = (0.5, 0.36, 0.25, 0.18, 0.125, 0.085, 0.05)
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

CALMEST, FEWEST = 0.05, 24
"""Share of the blocks, and their least number, that are quiet beside a band."""

LIVELY = 0.1
"""Variance of logarithms, beyond chance, from which a band holds texture: quiet blocks of noise have less than 0.05,
half noise and half texture 0.1 to 0.3, fur and grass 0.5 and more. Found, as the next two, on crops of 120 photographs
scaled down, with white and with correlated noise."""

RISE = 1.7
"""Energy of a calm band over that of the next finer one, where the spectrum speaks for noise as well."""

COARSEST = 4
"""The last band that is believed where the spectrum does not: coarser ones hold too few waves."""

LONGER = 1.25
"""Length of noise over what is measured, at most: 1.5 pixels are measured as 1.3, more as less still."""

_DEVIATES = {QUIET: -0.8416, QUIETER: -1.2816, QUIETEST: -1.8808}
"""Quantiles of the normal distribution."""


@dataclass(frozen=True)
class Bands:
    """What the bands say.

    Attributes:
        weakens: noise that can be seen in some band lacks in the next finer one.
        calm: some band that exceeds the next finer one holds noise, as far as can be told.
        level: of white noise, in the coarsest calm band, or failing that in the calmest.
        frequency: of that band, in periods per pixel.
    """

    weakens: bool
    calm: bool
    level: float
    frequency: float

    def highest(self, length: float) -> float:
        """Standard deviation that noise of this length has at most: what fills the coarsest calm band.

        The spectrum of such noise falls with ``exp(-2 (pi f length) ** 2)`` from the strength at coarse scales.
        """
        coarse = self.level * math.exp((math.pi * self.frequency * LONGER * length) ** 2)
        return coarse / math.sqrt(1 + float(Correlated(1.0, length).coarse_variance()))


def measure_bands(blocks: Blocks) -> Bands:
    """Look for bands that hold noise, and more of it than finer ones."""
    waves = _waves(blocks.residuals)
    energies, lively = _beside(waves)
    steps, calm = energies[1:] / np.maximum(energies[:-1], TINY), lively[1:] <= LIVELY
    steep = bool(np.any((calm & (steps > _LEAST))[:COARSEST]))
    band = 1 + int(np.flatnonzero(calm)[-1] if calm.any() else np.argmin(lively[1:]))
    frequency = math.sqrt((EDGES[band - 1] ** 2 + EDGES[band] ** 2) / 2)
    weakens, rises = steep or _weakens(waves), bool(np.any(calm & (steps > RISE)))
    return Bands(weakens, rises, math.sqrt(float(energies[band])), frequency)


def _waves(residuals: np.ndarray) -> np.ndarray:
    """Squares of the cosine waves of blocks, (n, SIDE, SIDE)."""
    across = (residuals.reshape(-1, SIDE) @ _COSINES.T).reshape(-1, SIDE, SIDE)
    both: np.ndarray = np.ascontiguousarray(across.transpose(0, 2, 1)).reshape(-1, SIDE) @ _COSINES.T
    return both.reshape(-1, SIDE, SIDE) ** 2


def _beside(waves: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Energy of each band but the last in blocks that are quiet in the bands beside it, and how lively it is there."""
    shares = np.stack([band.ravel() / np.count_nonzero(band) for band in _BANDS], axis=1).astype(np.float32)
    logs = np.log(waves.reshape(len(waves), -1) @ shares + TINY)
    count = min(max(int(CALMEST * len(waves)), FEWEST), len(waves) - 1)
    energies, lively = [], []
    for number in range(len(_BANDS) - 1):
        beside = [other for other in (number - 1, number + 1, number + 2) if 0 <= other < len(_BANDS)]
        chosen = np.argpartition(logs[:, beside].sum(axis=1), count)[:count]
        energies.append(float(np.exp(logs[chosen, number]).mean()))
        lively.append(_liveliness(waves[chosen], logs[chosen], number) if number else math.inf)
    return np.array(energies), np.array(lively)


def _liveliness(waves: np.ndarray, logs: np.ndarray, number: int) -> float:
    """How much blocks differ beyond chance: in energy, in direction, and together with the next finer band."""
    apart = float(logs[:, number].var()) - _chance(waves[:, _BANDS[number]])
    along = [waves[:, _BANDS[number] & half] for half in _HALVES]
    turned = np.log((along[0].mean(axis=1) + TINY) / (along[1].mean(axis=1) + TINY))
    directed = float(turned.var()) - _chance(along[0]) - _chance(along[1])
    together = float(np.cov(logs[:, number], logs[:, number - 1])[0, 1])
    return max(apart, 0.0) + max(directed, 0.0) + max(together, 0.0)


def _chance(waves: np.ndarray) -> float:
    """Variance of the logarithm of the mean of these squares, (n, k), under pure noise."""
    share = 2 / _freedom(waves.mean(axis=0, dtype=np.float64))
    return share * (1 + share / 2)


def _freedom(mean: np.ndarray) -> float:
    """Degrees of freedom of the sum of waves of these mean squares: fewer than waves where the spectrum is steep."""
    return float(mean.sum() ** 2 / max(float((mean**2).sum()), TINY**2))


def _weakens(waves: np.ndarray) -> bool:
    """Whether an even band lacks in the next finer one."""
    levels, unevenness = np.array([_measure(waves[:, band]) for band in _BANDS[:-1]]).T
    weaker = levels[1:] > _LEAST * np.maximum(levels[:-1], TINY)
    return bool(np.any(weaker & (unevenness[1:] <= EVEN)))


def _measure(waves: np.ndarray) -> tuple[float, float]:
    """Variance of noise in a band, and how much the quiet blocks differ beyond chance.

    Args:
        waves: (n, k), squared, of each block.
    """
    energies = waves.mean(axis=1)
    quiet, quieter, quietest = np.quantile(energies, [QUIET, QUIETER, QUIETEST])
    freedom = _freedom(waves[energies <= quiet].mean(axis=0, dtype=np.float64))
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
_LEAST = np.array([WEAKER[0], *[WEAKER[1]] * (len(_BANDS) - 3)])
_HALVES = [
    np.arange(SIDE)[:, None] < np.arange(SIDE),
    np.arange(SIDE)[:, None] > np.arange(SIDE),
]
"""Waves that are finer along one axis, and along the other."""
