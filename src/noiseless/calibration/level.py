"""The standard deviation of white noise, estimated from one noisy image.

A patch of 7x7 pixels is taken apart into its cosine waves. Where the low frequencies of a patch are no stronger than
noise, the patch is flat, and what its high frequencies hold is noise. White noise is independent from wave to wave:
choosing patches by their low frequencies does not make the noise in their high frequencies look weaker than it is.
Texture that the choice missed lies in few directions of the space of high frequencies, so only the directions of
smallest variance count (their share of the variance under pure noise is known).

References:
    N. N. Ponomarenko, V. V. Lukin, M. S. Zriakhov, A. Kaarna, J. Astola: An automatic approach to lossy compression
    of AVIRIS images. IGARSS, 2007; M. Colom, A. Buades: Analysis and extension of the Ponomarenko et al. method.
    Image Processing On Line 3, 2013 (choosing patches by low frequencies, measuring in the high ones).
    S. Pyatykh, J. Hesser, L. Zheng: Image noise level estimation by principal component analysis. IEEE Transactions
    on Image Processing 22, 2013 (the smallest eigenvalues of patch covariances).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from noiseless.errors import InputError

SIDE = 7
FIRST_HIGH = 8
"""Waves whose two frequencies add up to this or more are high; the others, but the mean, are low."""

MOST_PATCHES = 160_000
FEWEST_PATCHES = 300
FIRST_SHARE = 0.005
LARGEST_SHARE = 0.1
"""Shares of all patches that count: at the start, and at most."""

ROUNDS = 8
MARGINS = (3.0, 2.0, 1.0, 0.5)
"""How far the mean of a patch should be from where the image is clipped, in standard deviations of the noise."""

SATURATED = 1e-3
"""An extreme value that this share of the pixels has is where the image is clipped."""

NOWHERE = (-math.inf, math.inf)


def noise_level(planes: np.ndarray) -> np.ndarray:
    """Standard deviation of the white Gaussian noise in each channel of an image.

    Texture is told from noise, and images that were clipped or rounded (8-bit files) give the noise before that. For
    noise that varies with brightness it is that of the flat parts; correlated noise (demosaicked, smoothed, compressed)
    is underestimated, since its finest detail is missing.

    Args:
        planes: (C, H, W), float, in any unit; not changed.

    Returns:
        (C,) float64, in the unit of `planes`; 0 for a channel that is constant or a single pixel.

    Raises:
        InputError: not of this shape, not finite, or empty.
    """
    array = np.asarray(planes)
    if array.ndim != 3 or not array.size or array.dtype.kind not in "fiu":
        raise InputError(
            "the noise level needs an image", got=f"{array.dtype} of shape {array.shape}", expected="(C, H, W)"
        )
    if not np.isfinite(array).all():
        raise InputError("the noise level needs a finite image", got="NaN or infinite values")
    return np.array([_plane_level(plane) for plane in (array if array.dtype.kind == "f" else array.astype(np.float64))])


def _plane_level(plane: np.ndarray) -> float:
    low, high = float(plane.min()), float(plane.max())
    if low == high:
        return 0.0
    if (plane.shape[0] - SIDE + 1) * (plane.shape[1] - SIDE + 1) < SIDE**2 or min(plane.shape) < SIDE:
        return _small_level(plane)
    unit, step = high - low, _step(plane) / (high - low)
    scaled = ((plane - low) / unit).astype(np.float32, copy=False)
    limits = _limits(scaled)
    frames = _still_values(scaled, limits)
    if len(frames) > 1:
        return 0.0  # several areas of a single value: a picture without noise
    patches = _patches(scaled, limits)
    if len(frames):
        of_frame = _share_of(scaled, scaled == frames[0])
        patches = patches[of_frame <= (0.25 if step else 0.0)]
    if not len(patches):
        return 0.0
    variance, flat = _flat_variance(patches, limits)
    empty = len(frames) > 0 or np.mean(patches.clipped == 1) > 0.2
    if empty and flat < FEWEST_PATCHES / 10:
        return 0.0  # beside what is empty there are edges, but nothing that looks like noise
    return math.sqrt(max(variance - step**2 / 12, 0.0)) * unit


def _small_level(plane: np.ndarray) -> float:
    """From differences of neighbours, for images that hold too few patches."""
    steps = np.concatenate([np.diff(plane, axis=axis).ravel() for axis in (0, 1)])
    return float(np.median(np.abs(steps)) / (0.6745 * math.sqrt(2)))


@dataclass(frozen=True)
class _Patches:
    """Patches of an image.

    Attributes:
        means: (n,), of each patch.
        clipped: (n,), share of the pixels that lie on a limit.
        low: (n,), energy of the low frequencies without the mean.
        high: (n, k), coefficients of the high frequencies.
    """

    means: np.ndarray
    clipped: np.ndarray
    low: np.ndarray
    high: np.ndarray

    def __getitem__(self, chosen: np.ndarray) -> _Patches:
        return _Patches(self.means[chosen], self.clipped[chosen], self.low[chosen], self.high[chosen])

    def __len__(self) -> int:
        return len(self.means)


def _windows(plane: np.ndarray) -> np.ndarray:
    """Patches on a grid fine enough for MOST_PATCHES, (rows, columns, SIDE, SIDE)."""
    windows = sliding_window_view(plane, (SIDE, SIDE))
    stride = max(1, math.ceil(math.sqrt(windows.shape[0] * windows.shape[1] / MOST_PATCHES)))
    return windows[::stride, ::stride]


def _share_of(plane: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Share of the pixels of each patch of `plane` that are chosen, (n,)."""
    share: np.ndarray = _windows(chosen.astype(np.float32)).mean(axis=(-2, -1)).ravel()
    return share


def _patches(plane: np.ndarray, limits: tuple[float, float]) -> _Patches:
    pixels = _windows(plane).reshape(-1, SIDE * SIDE)
    means = pixels.mean(axis=1)
    pixels = pixels - means[:, None]
    high = pixels @ _HIGH_WAVES
    energy = np.einsum("np,np->n", pixels, pixels)
    clipped = np.zeros_like(means)
    if limits != NOWHERE:
        clipped = _share_of(plane, (plane <= limits[0]) | (plane >= limits[1]))
    return _Patches(means, clipped, energy - np.einsum("nk,nk->n", high, high), high)


def _still_values(plane: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
    """The values, but limits, of areas without any noise: one for a frame or a mask, several for a drawn picture.

    A few such patches are nothing: an 8-bit image with little noise has them by chance.
    """
    windows = sliding_window_view(plane, (SIDE, SIDE))[::SIDE, ::SIDE]
    smallest, largest = windows.min(axis=(-2, -1)), windows.max(axis=(-2, -1))
    still = (smallest == largest) & (smallest > limits[0]) & (largest < limits[1])
    if np.count_nonzero(still) < max(0.01 * smallest.size, 6):
        return np.empty(0)
    values: np.ndarray
    values, counts = np.unique(smallest[still], return_counts=True)
    main = values[[np.argmax(counts)]]
    return main if counts.max() >= 0.9 * counts.sum() else values


def _flat_variance(patches: _Patches, limits: tuple[float, float]) -> tuple[float, int]:
    """Variance of the noise from patches that are flat and not clipped, found by turns; how many are flat."""
    patches = _least_clipped(patches)
    if not len(patches):
        return 0.0, 0
    start = patches[patches.clipped <= max(0.05, float(patches.clipped.min()))]
    count = max(int(FIRST_SHARE * len(start)), FEWEST_PATCHES)
    variance = observed = _smallest_variance(start[_flattest(start, count)])
    flat = 0
    for _ in range(ROUNDS):
        usable = _unclipped(patches, limits, variance, observed)
        most = max(int(LARGEST_SHARE * len(usable)), FEWEST_PATCHES)
        flat = int(np.count_nonzero(usable.low <= _FLAT * observed))
        chosen = usable[_flattest(usable, min(max(flat, FEWEST_PATCHES), most))]
        observed = _smallest_variance(chosen)
        before, variance = variance, observed / _share_left(chosen.means, limits, variance)
        if abs(variance - before) <= 1e-3 * before:
            break
    return variance, flat


def _least_clipped(patches: _Patches) -> _Patches:
    """The patches with less than half of their pixels on a limit, or failing them all that are not wholly there."""
    for share in (0.5, 1.0):
        chosen = patches.clipped < share
        if np.count_nonzero(chosen) >= FEWEST_PATCHES:
            return patches[chosen]
    return patches[patches.clipped < 1]


def _flattest(patches: _Patches, count: int) -> np.ndarray:
    if count >= len(patches):
        return np.arange(len(patches))
    return np.argpartition(patches.low, count)[:count]


def _smallest_variance(patches: _Patches) -> float:
    """Mean of the lower half of the eigenvalues of the high frequencies, freed from its bias under pure noise."""
    count, waves = patches.high.shape
    eigenvalues = np.linalg.eigvalsh(patches.high.T.astype(np.float64) @ patches.high / count)
    bias = max(1 - 0.45 * math.sqrt(waves / count), 0.5)
    return max(float(eigenvalues[: waves // 2].mean()) / bias**2, 0.0)


def _unclipped(patches: _Patches, limits: tuple[float, float], variance: float, observed: float) -> _Patches:
    """The patches as far from the limits as there are enough flat ones among them."""
    if limits == NOWHERE:
        return patches
    distance = np.minimum(patches.means - limits[0], limits[1] - patches.means)
    flat = patches.low <= _FLAT * observed
    for margin in MARGINS:
        far = distance >= margin * math.sqrt(variance)
        if np.count_nonzero(far & flat) >= FEWEST_PATCHES:
            return patches[far]
    return patches


def _share_left(means: np.ndarray, limits: tuple[float, float], variance: float) -> float:
    """Share of the variance of the noise that clipping leaves in patches of these means."""
    if variance <= 0 or limits == NOWHERE:
        return 1.0
    from noiseless.noise.clip import censored_moments  # brings scipy, which takes its time

    low, high = max(limits[0], -1e3), min(limits[1], 1e3)
    width = high - low
    _, left = censored_moments((means.astype(np.float64) - low) / width, np.asarray(variance / width**2))
    return max(float(left.mean()) * width**2 / variance, 0.1)


def _limits(plane: np.ndarray) -> tuple[float, float]:
    """Where the values, scaled to [0, 1], are clipped; infinite where they are not."""
    enough = max(SATURATED * plane.size, 4)
    return (
        0.0 if np.count_nonzero(plane == 0) >= enough else -math.inf,
        1.0 if np.count_nonzero(plane == 1) >= enough else math.inf,
    )


def _step(plane: np.ndarray) -> float:
    """Distance between the levels of an image that was rounded; 0 where values are as good as continuous."""
    some = plane.ravel()[:: max(1, plane.size // 20_000)]
    steps = np.diff(np.sort(some))  # np.unique would import numpy.ma
    steps = steps[steps > 0]
    if not 0 < len(steps) <= len(some) / 4:
        return 0.0
    return float(steps.min())


def _high_waves() -> np.ndarray:
    """The cosine waves of high frequency as columns, (SIDE * SIDE, k), float32."""
    places, frequencies = np.arange(SIDE), np.arange(SIDE)[:, None]
    waves = np.sqrt(2 / SIDE) * np.cos(np.pi * (2 * places + 1) * frequencies / (2 * SIDE))
    waves[0] /= np.sqrt(2)
    high = [
        np.outer(waves[row], waves[column]).ravel()
        for row in range(SIDE)
        for column in range(SIDE)
        if row + column >= FIRST_HIGH
    ]
    return np.stack(high, axis=1).astype(np.float32)


def _flat_energy() -> float:
    """Energy of the low frequencies, over the variance of the noise, that 95% of flat patches do not exceed.

    By the cube root transformation of Wilson and Hilferty, 1931, good to 0.05% here; scipy's function is slow
    to import.
    """
    degrees = SIDE * SIDE - 1 - _HIGH_WAVES.shape[1]
    spread = 2 / (9 * degrees)
    return float(degrees * (1 - spread + 1.6448536 * math.sqrt(spread)) ** 3)


_HIGH_WAVES = _high_waves()
_FLAT = _flat_energy()
