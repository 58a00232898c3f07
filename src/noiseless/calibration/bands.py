"""Noise told from texture band by band: noise that is visible at coarser detail and lacks at the finer is correlated.

The cosine waves of blocks are put into bands of frequency. What blocks that are quiet in the bands beside one hold of
it is everywhere. Noise differs from block to block by chance alone, and white noise is as strong in one band as in the
next. The spectrum of a picture falls with a power of the frequency, that of correlated noise faster than any power:
over an octave by more than pictures do, which is seen even where texture makes blocks differ.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np

from noiseless.calibration.texture import SIDE, TINY, Blocks
from noiseless.noise.correlated import coarseness

EDGES = (0.5, 0.36, 0.25, 0.18, 0.125, 0.085, 0.05)
"""Borders of the bands in periods per pixel, finest first; before them comes the corner of waves that are fine along
both axes."""

CORNER = 0.75
"""Of the highest frequency along each axis, from where the corner is."""

CORNER_FALL = 3.0
"""Energy of a calm band over that of the corner from which that lacks. Noise of a length of 0.7 pixels has 3.4."""

OCTAVE_FALL, CALM_ENOUGH, BENDS = 16.0, (0.5, 0.6, 0.6, 0.6), 1.1
"""Energy of a band over that of the band an octave finer from which that lacks; how lively the first may be, finest
first; and by how much the fall gets steeper towards fine detail within the coarsest octave. Noise of a length from 1
pixel on, under texture, falls by 23 to 90. Crops of photographs with next to no flat area have 4 to 20 in their
steepest octave, and are livelier there. Found on 100 such crops of photographs of training and validation: of noise of
5 grey levels 88 to 97 are told at each length of 0.7 to 3 pixels, none that is without noise or has white noise, but
for one at 2 grey levels."""

LONG_FALL, LONG_BENDS = 12.0, 0.9
"""The same of the coarsest octave where noise may be so long that it stands out from texture in the coarsest band
alone: the fall ends in what is texture. Smooth texture falls by as much, but goes on rising at half the size. Found on
the 80 most textured crops of 321x481 pixels of photographs of training and validation, of which 64 instead of 60 are
told noise of 5 grey levels and a length of 3 pixels; on 1131 without correlated noise it calls none in addition."""

SHARP = 3.6
"""Energy of a band of middle frequencies over that of the next finer one, where it is noise that a camera has smoothed:
nine in ten channels of the Canon crops of PolyU have 4 and more, the faint detail of clean photographs at most 3.8."""

CALMEST, FEWEST = 0.05, 24
"""Share of the blocks, and their least number, that are quiet beside a band."""

LIVELY = 0.1
"""Variance of logarithms, beyond chance, from which a band holds texture: quiet blocks of noise have less than 0.05,
half noise and half texture 0.1 to 0.3, fur and grass 0.5 and more. Found, as the next two, on crops of 120 photographs
scaled down, with white and with correlated noise."""

RISE = 1.7
"""Energy of a calm band over that of the next finer one, where the spectrum speaks for noise as well."""

LONGER = 1.25
"""Length of noise over what is measured, at most: 1.5 pixels are measured as 1.3, more as less still."""


@dataclass(frozen=True)
class Bands:
    """What the bands say.

    Attributes:
        weakens: noise that can be seen in some band lacks in finer ones.
        long: the coarsest octave falls as if noise were alone in the coarsest band, texture in the finer.
        smoothed: middle frequencies lack beside coarser ones more than in pictures, be it noise or not.
        calm: some band that exceeds the next finer one holds noise, as far as can be told.
        level: of white noise, in the coarsest calm band, or failing that in the calmest.
        frequency: of that band, in periods per pixel.
    """

    weakens: bool
    long: bool
    smoothed: bool
    calm: bool
    level: float
    frequency: float

    def highest(self, length: float) -> float:
        """Standard deviation that noise of this length has at most: what fills the coarsest calm band.

        The spectrum of such noise falls with ``exp(-2 (pi f length) ** 2)`` from the strength at coarse scales.
        """
        coarse = self.level * math.exp((math.pi * self.frequency * LONGER * length) ** 2)
        return coarse / coarseness(length)


def measure_bands(blocks: Blocks) -> Bands:
    """Look for bands that hold noise, and more of it than finer ones."""
    waves = _waves(blocks.residuals)
    energies, lively = _beside(waves)
    finer = np.maximum(energies, TINY)
    steps, octaves, calm = energies[1:] / finer[:-1], energies[2:] / finer[:-2], lively[1:] <= LIVELY
    quiet = lively[2:] <= CALM_ENOUGH
    falls = (octaves > OCTAVE_FALL) & quiet
    falls[-1] &= steps[-2] > BENDS * steps[-1]
    weakens = bool(falls.any() or (calm[0] and steps[0] > CORNER_FALL))
    long = bool(quiet[-1] and octaves[-1] > LONG_FALL and steps[-2] > LONG_BENDS * steps[-1])
    band = 1 + int(np.flatnonzero(calm)[-1] if calm.any() else np.argmin(lively[1:]))
    frequency = math.sqrt((EDGES[band - 1] ** 2 + EDGES[band] ** 2) / 2)
    smoothed, rises = bool(np.any(steps[1:3] > SHARP)), bool(np.any(calm & (steps > RISE)))
    return Bands(weakens, long, smoothed, rises, math.sqrt(float(energies[band])), frequency)


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
_HALVES = [
    np.arange(SIDE)[:, None] < np.arange(SIDE),
    np.arange(SIDE)[:, None] > np.arange(SIDE),
]
"""Waves that are finer along one axis, and along the other."""
