"""The variance of white noise as a line over brightness: gain times the value, plus read noise squared.

Patches whose low frequencies are no stronger than the noise that the line so far gives at their mean are flat; the
variance in their high frequencies, bin by bin of brightness, gives points, and a weighted line through them is the
next line. A point that lies above the others counts less: texture only ever adds to the variance. Directions of high
frequency in which texture lies are left out, as in `noiseless.calibration.level`. Where the image is clipped, the
line is compared with what clipping leaves of it. How far the line is from the truth is found by leaving out one
sixteenth of the image after the other (jackknife).

References:
    A. Foi, M. Trimeche, V. Katkovnik, K. Egiazarian: Practical Poissonian-Gaussian noise modeling and fitting for
    single-image raw-data. IEEE Transactions on Image Processing 17, 2008 (the model, and clipping).
    L. Azzari, A. Foi: Gaussian-Cauchy mixture modeling for robust signal-dependent noise estimation. ICASSP, 2014
    (outliers of the mean-variance scatter are one-sided).
    B. Efron: The jackknife, the bootstrap and other resampling plans. SIAM, 1982.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from noiseless.calibration.lines import TINY, Line, Points, are_close, fit_line, fit_lines
from noiseless.calibration.patches import (
    FEWEST_PATCHES,
    FLAT,
    HIGH,
    MOST_PATCHES,
    NOWHERE,
    SIDE,
    Patches,
    cut_patches,
    find_limits,
    flattest,
    products,
    rounding_step,
    share_of,
    smallest_variance,
    still_values,
    window_grid,
)
from noiseless.noise.clip import censored_moments

BINS = 16
FEWEST_IN_BIN = 60
ROUNDS = 8
CELLS = 1000
"""Steps of brightness in which what clipping leaves is looked up."""

TILES = 4
"""Tiles of an image along each side, for the jackknife."""

LEFT = (0.7, 0.3)
"""Share of its variance that clipping must leave of the noise in a patch; the second where too few have the first."""


@dataclass(frozen=True)
class Samples:
    """Patches of one channel of one or several images.

    Attributes:
        patches: of all images.
        tiles: (n,), number of the part of an image that each patch lies in, from 0.
        limits: where values are clipped; infinite where they are not.
        step: distance between the levels of rounded values, 0 where there are none.
    """

    patches: Patches
    tiles: np.ndarray
    limits: tuple[float, float]
    step: float


@dataclass(frozen=True)
class Fit:
    """The line of a channel.

    Attributes:
        line: gain and floor are not negative.
        level: variance if it is the same at all values.
        free: the line whose floor may be negative, as it is where black is not 0.
        points: what it was fitted to.
        replicates: (t, 2), gain and floor without one tile each.
        levels: (t,), level without one tile each.
        span: smallest and largest mean of the flat patches.
        flat: number of flat patches.
    """

    line: Line
    level: float
    free: Line
    points: Points
    replicates: np.ndarray
    levels: np.ndarray
    span: tuple[float, float]
    flat: int


def take_samples(planes: Sequence[np.ndarray], mask: np.ndarray | None = None) -> Samples:
    """Patches of one channel of several images.

    Args:
        planes: (H, W) each, of any sizes, in one unit; those smaller than a patch give none.
        mask: (H, W), bool: patches lie wholly where it is true.
    """
    most = max(MOST_PATCHES // max(len(planes), 1), 4000)
    parts = [_sample(np.asarray(plane, np.float32), most, mask) for plane in planes if min(plane.shape) >= SIDE]
    found = [part for part in parts if part is not None]
    if not found:
        none = Patches(np.empty(0), np.empty(0), np.empty(0), np.empty((0, HIGH)))
        return Samples(none, np.empty(0, np.int64), NOWHERE, 0.0)
    patches = Patches(*(np.concatenate([getattr(part.patches, name) for part in found]) for name in _FIELDS))
    tiles = np.concatenate([part.tiles + TILES**2 * number for number, part in enumerate(found)]) // len(found)
    limits = _joined([part.limits for part in found])
    return Samples(patches, tiles, limits, min(part.step for part in found))


_FIELDS = ("means", "clipped", "low", "high")


def _sample(plane: np.ndarray, most: int, mask: np.ndarray | None) -> Samples | None:
    """Patches of one image; None where it was drawn or is constant."""
    if plane.min() == plane.max():
        return None
    limits = find_limits(plane)
    frames = still_values(plane, limits)
    if len(frames) > 1:
        return None
    patches, tiles, step = cut_patches(plane, limits, most), _tiles(plane, most), rounding_step(plane)
    usable = patches.clipped < 0.5
    if len(frames):
        usable &= share_of(plane, plane == frames[0], most) <= (0.25 if step else 0.0)
    if mask is not None:
        usable &= share_of(plane, ~mask, most) == 0
    return Samples(patches[usable], tiles[usable], limits, step)


def _tiles(plane: np.ndarray, most: int) -> np.ndarray:
    rows, columns = window_grid(plane, most).shape[:2]
    down, across = (np.arange(count) * TILES // count for count in (rows, columns))
    tiles: np.ndarray = (down[:, None] * TILES + across).ravel()
    return tiles


def _joined(limits: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Limits of images together: the innermost."""
    return max(low for low, _ in limits), min(high for _, high in limits)


def fit_curve(samples: Samples) -> Fit | None:
    """The line of the noise of one channel; None where there are too few patches to tell."""
    patches = samples.patches
    if len(patches) < FEWEST_IN_BIN:
        return None
    clipping = _Clipping(patches, samples.limits)
    line = Line(0.0, _first_variance(patches))
    for number in range(ROUNDS):
        looks = clipping.look(line)
        flat = _first_flat(patches) if number == 0 else _flat(patches, looks)
        points = _points(samples, looks, flat)
        before, line = line, fit_line(points)
        if number and are_close(before, line, clipping.span):
            break
    means = patches.means[flat]
    return fit_of(points, line, (float(means.min()), float(means.max())), len(flat))


def fit_of(points: Points, line: Line, span: tuple[float, float], flat: int) -> Fit:
    """What the points say beside their line.

    Args:
        points: from the flat patches.
        line: through those of all tiles.
        span: smallest and largest mean of the flat patches.
        flat: their number.
    """
    replicates, levels = fit_lines(points)[:-1], fit_lines(points, sloped=False)[:, 1]
    free = fit_line(points, bounded=False)
    return Fit(line, float(levels[-1]), free, points, replicates, levels[:-1], span, flat)


def no_fit() -> Fit:
    """The fit of a channel in which no white noise can be seen."""
    nothing, line = np.zeros((TILES**2, 2)), Line(0.0, 0.0)
    points = Points(*(np.empty((0, TILES**2 + 1)) for _ in range(3)))
    return Fit(line, 0.0, line, points, nothing, nothing[:, 0], (0.0, 0.0), 0)


@dataclass(frozen=True)
class _Looks:
    """What patches look like on a line: mean before clipping, variance after it, the share that is left; (n,) each."""

    means: np.ndarray
    variances: np.ndarray
    left: np.ndarray


class _Clipping:
    """What clipping leaves of noise, at the observed mean of each patch."""

    def __init__(self, patches: Patches, limits: tuple[float, float]) -> None:
        self.means, self.limits = patches.means, limits
        low, high = float(patches.means.min()), float(patches.means.max())
        self.span = (low, high)
        self.grid = np.linspace(low - 0.3 * (high - low) - 1e-6, high + 0.3 * (high - low) + 1e-6, 300)
        self._observed = np.linspace(low, high, CELLS + 1)
        place = (patches.means - low) * (CELLS / max(high - low, TINY))
        self._cell = np.minimum(place.astype(np.int64), CELLS - 1)
        self._within = place - self._cell

    def look(self, line: Line) -> _Looks:
        """What each patch looks like on a line."""
        if self.limits == NOWHERE:
            return _Looks(self.means, line.variance(self.means), np.ones_like(self.means))
        variance = line.variance(self.grid)
        mean, left = self._censored(variance)
        return _Looks(*(self._at_patches(mean, each) for each in (self.grid, left, left / variance)))

    def _at_patches(self, mean: np.ndarray, value: np.ndarray) -> np.ndarray:
        """A function of the observed mean at each patch, from a table of even steps: faster than to search in one."""
        table = np.interp(self._observed, mean, value)
        found: np.ndarray = table.take(self._cell) + self._within * np.diff(table).take(self._cell)
        return found

    def _censored(self, variance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        width = self.span[1] - self.span[0] + 1e-6
        low = max(self.limits[0], self.span[0] - 1e2 * width)
        high = min(self.limits[1], self.span[1] + 1e2 * width)
        mean, left = censored_moments((self.grid - low) / (high - low), variance / (high - low) ** 2)
        return np.maximum.accumulate(mean) * (high - low) + low, np.maximum(left * (high - low) ** 2, TINY)


def _first_variance(patches: Patches) -> float:
    start = patches[patches.clipped <= 0.05]
    start = start if len(start) >= FEWEST_PATCHES else patches
    return smallest_variance(start[flattest(start, max(int(0.005 * len(start)), FEWEST_PATCHES))])


def _first_flat(patches: Patches) -> np.ndarray:
    """The flattest patches of each bin of brightness."""
    bins = _bins(patches.means, BINS)
    chosen = []
    for number in range(BINS):
        here = np.flatnonzero((bins == number) & (patches.clipped <= 0.3))
        count = max(len(here) // 50, FEWEST_IN_BIN)
        if len(here) > FEWEST_IN_BIN:
            chosen.append(here[np.argpartition(patches.low[here], min(count, len(here) - 1))[:count]])
    return np.concatenate(chosen) if chosen else flattest(patches, FEWEST_PATCHES)


def _flat(patches: Patches, looks: _Looks) -> np.ndarray:
    energy, left = patches.low / looks.variances, looks.left
    for share in LEFT:
        flat = np.flatnonzero((energy <= FLAT) & (left >= share))
        if len(flat) >= FEWEST_PATCHES:
            return flat
    usable = np.flatnonzero(left >= LEFT[-1])
    usable = usable if len(usable) >= FEWEST_PATCHES else np.arange(len(patches))
    return usable[np.argsort(energy[usable])[:FEWEST_PATCHES]]


def _bins(means: np.ndarray, count: int) -> np.ndarray:
    """Bin of each mean; those of dark patches are narrower, for there a line of photon noise says the most."""
    low, high = float(means.min()), float(means.max())
    place = np.sqrt((means - low) / max(high - low, TINY))
    bins: np.ndarray = np.minimum((place * count).astype(np.int64), count - 1)
    return bins


def _points(samples: Samples, looks: _Looks, flat: np.ndarray) -> Points:
    value, variance, left = (each.take(flat) for each in (looks.means, looks.variances, looks.left))
    scaled = samples.patches.high.take(flat, axis=0) / np.sqrt(variance)[:, None].astype(np.float32)
    ratio = _smallest_directions(scaled)
    found = (ratio * variance - samples.step**2 / 12) / left
    tiles, bins = samples.tiles[flat], _bins(samples.patches.means[flat], BINS)
    count = TILES**2
    shape, place = (BINS, count), bins * count + tiles
    sums = [np.bincount(place, each, BINS * count).reshape(shape) for each in (np.ones(len(flat)), value, found)]
    return points_of(sums, FEWEST_IN_BIN / 2)


def points_of(sums: Sequence[np.ndarray], fewest: float) -> Points:
    """Points of the bins that hold at least so many patches without any one tile.

    Args:
        sums: counts, values and variances added up for each bin and tile, (b, t) each.
        fewest: how many.
    """
    counts = sums[0]
    whole, without = counts.sum(axis=1, keepdims=True), counts.sum(axis=1, keepdims=True) - counts
    enough = without.min(axis=1) >= fewest
    enough = enough if enough.any() else whole[:, 0] == whole.max()
    alone = without < 1  # all of a bin lies in one tile: nothing is left without it
    parts = []
    for each in sums:
        total = each.sum(axis=1, keepdims=True)
        parts.append(np.concatenate([np.where(alone, total, total - each), total], axis=1)[enough])
    number = np.maximum(parts[0], 1)
    return Points(parts[1] / number, np.maximum(parts[2] / number, TINY), number)


def _smallest_directions(scaled: np.ndarray) -> np.ndarray:
    """Mean square of each patch in the directions in which all of them together vary the least, without its bias."""
    count, waves = scaled.shape
    _, directions = np.linalg.eigh(products(scaled) / count)
    bias = max(1 - 0.45 * math.sqrt(waves / count), 0.5)
    along = scaled @ directions[:, : waves // 2].astype(np.float32)
    ratio: np.ndarray = np.einsum("nk,nk->n", along, along) / (waves // 2) / bias**2
    return ratio
