"""How pixels of noise resemble their neighbours: autocorrelation and spectrum of the flattest blocks of an image.

Blocks of 16x16 pixels lose their mean and slope. Those that vary the least, among all blocks of about the same
brightness, hold noise and nothing else, whatever its spectrum. Removing a slope and choosing small energies both make
noise look weaker and shorter than it is; how much follows from the length of the correlation, and is put right.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from noiseless.calibration.patches import NOWHERE, median
from noiseless.noise.clip import censored_moments

SIDE = 16
MOST_BLOCKS = 8000
STRIDE = 8
LAGS = 8
BINS = 8
FEWEST_IN_BIN = 40
SHARE = 0.2
"""Share of the blocks of a bin that are taken for flat when their energy is measured."""

FLATTEST = 0.05
"""Share of all blocks, relative to the noise expected at their brightness, whose correlation is measured."""

FLOOR = 2.3 / 255
"""Standard deviation below which no block falls where noise lies over everything; sharp pictures have some that do."""

HIGHEST = 2.5
"""Energy of the flat blocks of any brightness over that floor, at most: more is texture."""

LENGTHS = np.geomspace(0.25, 8.0, 26)
WAVELENGTHS = (2.0, 4.0, 8.0, 16.0)
"""Borders, in pixels, of the octaves in which the level is given."""

FINE, FINEST = (0.36, 0.5), 0.36
"""Frequencies, in periods per pixel, of fine detail: along any direction; and of the finest: along both axes."""

NOISE_LENGTHS, NOISE_DIRECTED = (0.6, 0.9, 1.3, 1.9, 2.3), (0.09, 0.122, 0.163, 0.248, 0.36)
"""How directed blocks of noise are by chance, the median, at correlation lengths as measured: drawn 512x512."""

DIRECTED, DIRECTED_CHANCE, SKEWED = 0.15, 1.05, 2.5
"""Logarithm of how directed blocks are over that, from which it counts; at least this over the root of their number,
about one standard deviation of chance; and standard deviations of the skewness of noise."""

PULL, PUREST = 3.0, 0.25
"""How much what goes beyond takes from the level, and the share that is left at least. Found on crops of 256 pixels of
photographs of training, 260 with correlated noise of 5, 10 and 20 grey levels and 136 clean ones that passed for such:
where blocks are directed or skewed, the level was too high, twice at the median where they are so most, and pictures
with such noise came out worse than they were. Strong noise that is not there has 0.45 of its level."""

FEWEST_JUDGED = 6
"""Blocks, none of their pixels clipped, that say something of texture."""

INSIDE, HALF_INSIDE = 0.98, 0.4
"""Share of the pixels of a block that must not be clipped; the second where there are fewer than SOME_BLOCKS of the
first, and noise is seen all over: half of all blocks have it."""

SOME_BLOCKS = 300
TINY = 1e-14


@dataclass(frozen=True)
class Blocks:
    """Blocks of one channel, without mean and slope.

    Attributes:
        means: (n,).
        residuals: (n, SIDE, SIDE), float32.
        energies: (n,), variance of each.
        clipped: (n,), share of the pixels that lie on a limit.
    """

    means: np.ndarray
    residuals: np.ndarray
    energies: np.ndarray
    clipped: np.ndarray


@dataclass(frozen=True)
class Texture:
    """What the flattest blocks of a channel look like.

    Attributes:
        sigma: standard deviation of a pixel.
        across: autocorrelation of the residual at lags of 1 to LAGS pixels along rows.
        down: likewise along columns.
        length: in pixels, of the correlation ``exp(-r ** 2 / (2 * length ** 2))`` with the same first lag; 0 for none.
        octaves: levels of white noise of the power found between the WAVELENGTHS: at the finest detail first.
        uneven: 1.1 or so for noise, more for what belongs to a picture.
        floor: standard deviation that all but 3% of all blocks exceed.
        fall: power of fine over that of the finest detail: 1 for white noise, over whatever picture.
        picture: what in the blocks speaks for texture, beyond what noise has by chance: 0 for noise.
    """

    sigma: float
    across: tuple[float, ...]
    down: tuple[float, ...]
    length: float
    octaves: tuple[float, ...]
    uneven: float
    floor: float
    fall: float
    picture: float

    @property
    def first_lag(self) -> float:
        """Correlation of neighbours, the mean of both directions."""
        return (self.across[0] + self.down[0]) / 2

    @property
    def pure(self) -> float:
        """Share of `sigma` that is noise, as far as can be told."""
        return max(1 / (1 + PULL * self.picture), PUREST)


def take_blocks(planes: Sequence[np.ndarray], limits: tuple[float, float], mask: np.ndarray | None = None) -> Blocks:
    """Blocks of one channel of several images; those that touch the limits of clipping, or hold
    a single value, are left out. Where too few are left and noise shows everywhere, half clipped ones count, made as
    strong as before that.

    Args:
        planes: (H, W) each, in one unit.
        limits: where values are clipped.
        mask: (H, W), bool: blocks lie wholly where it is true.
    """
    most = max(MOST_BLOCKS // max(len(planes), 1), 100)
    parts = [_cut(np.asarray(plane, np.float32), most, mask) for plane in planes if min(plane.shape) >= SIDE]
    pixels = parts[0] if len(parts) == 1 else np.concatenate([np.empty((0, SIDE * SIDE), np.float32), *parts])
    varied = pixels.max(axis=1, initial=-math.inf) > pixels.min(axis=1, initial=math.inf)
    clipped = _clipped(pixels, limits)
    chosen = varied & (clipped < 1 - INSIDE)
    if np.count_nonzero(chosen) < SOME_BLOCKS:
        half = varied & (clipped < 1 - HALF_INSIDE)
        chosen = half if np.count_nonzero(half) > len(pixels) / 2 else chosen
    pixels, clipped = pixels[chosen], clipped[chosen]
    means = pixels.mean(axis=1)
    residuals = pixels - means[:, None]
    residuals -= (residuals @ _SLOPES) @ _SLOPES.T
    if limits != NOWHERE:
        residuals /= np.sqrt(_left(clipped))[:, None]
    energies = np.einsum("np,np->n", residuals, residuals).astype(np.float64) / (SIDE * SIDE - 3)
    return Blocks(means, residuals.reshape(-1, SIDE, SIDE), energies, clipped)


def bare_share(planes: Sequence[np.ndarray], mask: np.ndarray | None = None) -> float:
    """Share of the blocks that hold a single value, which noise leaves only where it is clipped."""
    parts = [_cut(np.asarray(plane, np.float32), MOST_BLOCKS, mask) for plane in planes if min(plane.shape) >= SIDE]
    single = [part.min(axis=1) == part.max(axis=1) for part in parts]
    return float(np.mean(np.concatenate(single))) if any(map(len, single)) else 0.0


def measure_texture(blocks: Blocks, expected: np.ndarray) -> Texture | None:
    """Energy and correlation of the flattest blocks.

    Args:
        blocks: of one channel.
        expected: (n,), variance of white noise at the mean of each block, up to a factor.

    Returns:
        None where there are too few blocks.
    """
    if len(blocks.means) < FEWEST_IN_BIN:
        return None
    ratio = blocks.energies / np.maximum(expected, TINY)
    count = max(int(FLATTEST * len(ratio)), 12)
    chosen = np.argpartition(ratio, count - 1)[:count]
    scaled = blocks.residuals[chosen] / np.sqrt(np.maximum(expected[chosen], TINY))[:, None, None]
    power = np.mean(np.abs(np.fft.rfft2(scaled, s=(2 * SIDE, 2 * SIDE))) ** 2, axis=0)
    across, down = _correlations(power)
    length, kept = _length_of((across[0] + down[0]) / 2)
    floor = float(np.quantile(blocks.energies, 0.03))
    energy, uneven = _energy(blocks, HIGHEST * floor if floor > FLOOR**2 else math.inf)
    octaves = _octaves(power, float(np.mean(blocks.energies[chosen])))
    picture = _picture(scaled[blocks.clipped[chosen] == 0], length)
    sigma, fall = math.sqrt(energy / kept), _fall(power)
    return Texture(sigma, across, down, length, octaves, uneven, math.sqrt(floor), fall, picture)


def measure_halved(
    planes: Sequence[np.ndarray], limits: tuple[float, float], mask: np.ndarray | None = None
) -> Texture | None:
    """As `measure_texture`, of planes of half the size, for noise that is the same everywhere and twice as long.

    Args:
        planes: as of `take_blocks`.
        limits: likewise.
        mask: likewise, of the full size.
    """
    blocks = take_blocks([_halved(plane) for plane in planes], limits, None if mask is None else _halved(mask) == 1)
    return measure_texture(blocks, np.ones_like(blocks.energies))


def bend(texture: Texture) -> float:
    """How the spectrum goes on towards coarse detail, over how that of noise of the same correlation length does.

    About 1 for noise, whose spectrum is flat beyond its length; 1.3 and more for pictures, whose spectrum goes on
    rising.
    """
    nearest = min(LENGTHS, key=lambda length: abs(length - texture.length))
    return _rise(texture.octaves) / _rise(_octaves(_spectrum_of(nearest), 1.0))


def _rise(octaves: tuple[float, ...]) -> float:
    _, fine, middle, coarse = octaves
    return fine * coarse / max(middle**2, TINY)


def _halved(plane: np.ndarray) -> np.ndarray:
    height, width = (size // 2 * 2 for size in plane.shape)
    whole = plane[:height, :width].astype(np.float32)
    return (whole[::2, ::2] + whole[1::2, ::2] + whole[::2, 1::2] + whole[1::2, 1::2]) / 4


def _clipped(pixels: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
    """Share of the pixels of each block that lie on a limit."""
    if limits == NOWHERE:
        return np.zeros(len(pixels), np.float32)
    inside = np.count_nonzero((pixels > limits[0]) & (pixels < limits[1]), axis=1)
    return np.asarray(1 - inside / pixels.shape[1], np.float32)


def _left(clipped: np.ndarray) -> np.ndarray:
    """Share of its variance that is left of normal noise of which one end, of this share, is clipped."""
    sigma = 0.1  # so that the other end is far away
    means = np.linspace(5 * sigma, 0, 101)
    shares = [0.5 * math.erfc(mean / sigma / math.sqrt(2)) for mean in means]
    _, left = censored_moments(means, np.asarray(sigma**2))
    return np.asarray(np.interp(clipped, shares, left / sigma**2), np.float32)


def _cut(plane: np.ndarray, most: int, mask: np.ndarray | None) -> np.ndarray:
    """Blocks of a plane, (n, SIDE * SIDE)."""
    windows = sliding_window_view(plane, (SIDE, SIDE))
    stride = max(STRIDE, math.ceil(math.sqrt(windows.shape[0] * windows.shape[1] / most)))
    stride = 2 if windows.shape[0] * windows.shape[1] < 100 * STRIDE**2 else stride
    pixels: np.ndarray = windows[::stride, ::stride].reshape(-1, SIDE * SIDE)
    if mask is not None:
        pixels = pixels[sliding_window_view(mask, (SIDE, SIDE))[::stride, ::stride].all(axis=(-2, -1)).ravel()]
    return pixels


def _energy(blocks: Blocks, highest: float) -> tuple[float, float]:
    """Variance of the flattest blocks of each brightness, and how unlike noise they are.

    Blocks that hold nothing but noise have about the same energy: the tenth hundredth over the third is little more
    than 1. A brightness whose blocks differ more, as those of a picture do, counts less.
    """
    low, high = float(blocks.means.min()), float(blocks.means.max())
    bins = np.minimum(((blocks.means - low) / max(high - low, TINY) * BINS).astype(np.int64), BINS - 1)
    found, uneven = [], []
    for number in range(BINS):
        here = np.sort(blocks.energies[bins == number])
        if len(here) >= FEWEST_IN_BIN:
            found.append(min(float(here[: max(int(SHARE * len(here)), 5)].mean()), highest))
            uneven.append(float(here[int(0.1 * len(here))] / here[int(0.03 * len(here))]))
    if not found:
        return min(float(median(blocks.energies)), highest), math.inf
    weights = 1 / (0.03 + np.array(uneven) - 1) ** 3
    return float(np.average(found, weights=weights)), float(np.quantile(uneven, 0.4))


def _correlations(power: np.ndarray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Autocorrelation along rows and along columns from the mean power spectrum of zero-padded blocks."""
    products = np.fft.irfft2(power, s=(2 * SIDE, 2 * SIDE))
    lags = np.arange(1, LAGS + 1)
    overlap = SIDE / (SIDE - lags) / products[0, 0]
    return tuple((products[0, lags] * overlap).tolist()), tuple((products[lags, 0] * overlap).tolist())


def _fall(power: np.ndarray) -> float:
    down, across = np.abs(np.fft.fftfreq(2 * SIDE))[:, None], np.fft.rfftfreq(2 * SIDE)[None, :]
    fine, corner = np.hypot(down, across), np.minimum(down, across) >= FINEST
    return float(power[(fine >= FINE[0]) & (fine < FINE[1])].mean() / max(float(power[corner].mean()), TINY))


def _picture(residuals: np.ndarray, length: float) -> float:
    """What in blocks, (n, SIDE, SIDE), speaks for texture: most have a direction, or lights are unlike shadows.

    Noise of cameras is not normal either, for it grows with brightness, but it is as often above as below. Of few
    blocks, as where most are clipped, nothing is said.
    """
    if len(residuals) < FEWEST_JUDGED:
        return 0.0
    expected = float(np.interp(length, NOISE_LENGTHS, NOISE_DIRECTED))
    directed = math.log(max(float(median(_directedness(residuals))), TINY) / expected)
    each = residuals / np.sqrt(np.mean(residuals**2, axis=(1, 2), keepdims=True))
    chance = math.sqrt(7 * math.pi / each.size) * max(length, 0.5)
    skewness = abs(float(np.mean(each**3))) - SKEWED * chance
    return max(directed - max(DIRECTED, DIRECTED_CHANCE / math.sqrt(len(residuals))), 0.0) + max(skewness, 0.0)


def _directedness(residuals: np.ndarray) -> np.ndarray:
    """How much steeper blocks, (n, SIDE, SIDE), are along one direction than across it, 0 to 1: (n,).

    That of the eigenvalues of the structure tensor, their difference over their sum. Noise may be smoother along rows
    than along columns, all over: both steps are taken over what is usual.
    """
    down = residuals[:, 2:, 1:-1] - residuals[:, :-2, 1:-1]
    across = residuals[:, 1:-1, 2:] - residuals[:, 1:-1, :-2]
    of_down, of_across, of_both = (np.mean(each, axis=(1, 2)) for each in (down**2, across**2, down * across))
    usual = min(max(float(median(of_down / np.maximum(of_down + of_across, TINY))), TINY), 1 - TINY)
    of_down, of_across, of_both = of_down / usual, of_across / (1 - usual), of_both / math.sqrt(usual * (1 - usual))
    found: np.ndarray = np.hypot(of_down - of_across, 2 * of_both) / np.maximum(of_down + of_across, TINY)
    return found


def _octaves(power: np.ndarray, energy: float) -> tuple[float, ...]:
    """Levels of white noise that has the power of the blocks between the WAVELENGTHS."""
    rows, columns = np.fft.fftfreq(2 * SIDE)[:, None], np.fft.rfftfreq(2 * SIDE)[None, :]
    frequency = np.sqrt(rows**2 + columns**2)
    weight = np.where((columns == 0) | (columns == 0.5), 1.0, 2.0) * np.ones_like(rows)
    density = power / float(np.average(power, weights=weight)) * energy
    edges = [math.inf, *(1 / length for length in WAVELENGTHS)]
    bands = [(frequency >= low) & (frequency < high) for high, low in itertools.pairwise(edges)]
    return tuple(math.sqrt(float(np.average(density[band], weights=weight[band]))) for band in bands)


def _length_of(first_lag: float) -> tuple[float, float]:
    """Length of a correlation, and the share of its variance that is measured, from the measured first lag."""
    lags, shares = _biases()
    if first_lag <= lags[0]:
        return 0.0, 1.0
    length = float(np.interp(first_lag, lags, LENGTHS))
    return length, float(np.interp(length, LENGTHS, shares))


@lru_cache(maxsize=1)
def _biases() -> tuple[np.ndarray, np.ndarray]:
    """For each of LENGTHS: the first lag, and the share of the variance, that are measured in flat blocks."""
    lags, shares = [], []
    for length in LENGTHS:
        left = _covariance_of(length)
        blocks = left.reshape(SIDE, SIDE, SIDE, SIDE)
        neighbours = np.einsum("abab->ab", blocks[:, 1:, :, :-1])
        trace = float(np.trace(left))
        lags.append(float(neighbours.sum()) * SIDE / (SIDE - 1) / trace)
        spread = math.sqrt(2 * float(np.sum(left**2))) / trace
        shares.append(trace / (SIDE * SIDE - 3) * max(1 - _CHOSEN * spread, 0.3))
    return np.array(lags), np.array(shares)


def _covariance_of(length: float) -> np.ndarray:
    """Covariance, (SIDE * SIDE, SIDE * SIDE), of the pixels of a block of noise that has lost its mean and slope."""
    places = np.arange(SIDE)
    one = np.exp(-((places[:, None] - places[None, :]) ** 2) / (2 * length**2))
    covariance = np.kron(one, one)
    basis = np.concatenate([np.full((SIDE * SIDE, 1), 1 / SIDE), _SLOPES], axis=1).astype(np.float64)
    across = covariance @ basis
    return np.asarray(covariance - basis @ across.T - across @ basis.T + basis @ (basis.T @ across) @ basis.T)


@lru_cache(maxsize=len(LENGTHS))
def _spectrum_of(length: float) -> np.ndarray:
    """Mean power spectrum of such blocks, zero-padded as in `measure_texture`: (2 * SIDE, SIDE + 1)."""
    impulses = np.eye(SIDE * SIDE).reshape(-1, SIDE, SIDE)
    waves = np.fft.rfft2(impulses, s=(2 * SIDE, 2 * SIDE)).reshape(SIDE * SIDE, -1)
    power: np.ndarray = np.einsum("pk,pk->k", waves.conj(), _covariance_of(length) @ waves).real
    return power.reshape(2 * SIDE, SIDE + 1)


_CHOSEN = 0.5
"""Standard deviations from the energy of all blocks to that of those taken, halved or so: not all blocks are flat."""


def _slopes() -> np.ndarray:
    """Down and across as orthonormal columns, (SIDE * SIDE, 2), float32."""
    centred = np.arange(SIDE) - (SIDE - 1) / 2
    rows, columns = np.meshgrid(centred, centred, indexing="ij")
    both = np.stack([rows.ravel(), columns.ravel()], axis=1)
    unit: np.ndarray = (both / np.linalg.norm(both, axis=0)).astype(np.float32)
    return unit


_SLOPES = _slopes()
