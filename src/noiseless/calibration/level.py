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

import numpy as np

from noiseless.calibration.patches import (
    FEWEST_PATCHES,
    FLAT,
    NOWHERE,
    SIDE,
    Patches,
    cut_patches,
    find_limits,
    flattest,
    median,
    rounding_step,
    share_of,
    smallest_variance,
    still_values,
)
from noiseless.errors import InputError
from noiseless.noise.clip import censored_moments

FIRST_SHARE = 0.005
LARGEST_SHARE = 0.1
"""Shares of all patches that count: at the start, and at most."""

ROUNDS = 8
MARGINS = (3.0, 2.0, 1.0, 0.5)
"""How far the mean of a patch should be from where the image is clipped, in standard deviations of the noise."""


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


def estimate_sigma(planes: np.ndarray) -> np.ndarray:
    """`noise_level` of several images of one size.

    Args:
        planes: (N, C, H, W), float32.

    Returns:
        (N, C, 1, 1) float32, in the unit of `planes`.
    """
    levels = np.stack([np.asarray(noise_level(plane), np.float32) for plane in planes])
    return levels.reshape(*planes.shape[:2], 1, 1)


def _plane_level(plane: np.ndarray) -> float:
    low, high = float(plane.min()), float(plane.max())
    if low == high:
        return 0.0
    if (plane.shape[0] - SIDE + 1) * (plane.shape[1] - SIDE + 1) < SIDE**2 or min(plane.shape) < SIDE:
        return _small_level(plane)
    unit, step = high - low, rounding_step(plane) / (high - low)
    scaled = ((plane - low) / unit).astype(np.float32, copy=False)
    limits = find_limits(scaled)
    frames = still_values(scaled, limits)
    if len(frames) > 1:
        return 0.0  # several areas of a single value: a picture without noise
    patches = cut_patches(scaled, limits)
    if len(frames):
        of_frame = share_of(scaled, scaled == frames[0])
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
    return float(median(np.abs(steps)) / (0.6745 * math.sqrt(2)))


def _flat_variance(patches: Patches, limits: tuple[float, float]) -> tuple[float, int]:
    """Variance of the noise from patches that are flat and not clipped, found by turns; how many are flat."""
    patches = _least_clipped(patches)
    if not len(patches):
        return 0.0, 0
    start = patches[patches.clipped <= max(0.05, float(patches.clipped.min()))]
    count = max(int(FIRST_SHARE * len(start)), FEWEST_PATCHES)
    variance = observed = smallest_variance(start[flattest(start, count)])
    flat = 0
    for _ in range(ROUNDS):
        usable = _unclipped(patches, limits, variance, observed)
        most = max(int(LARGEST_SHARE * len(usable)), FEWEST_PATCHES)
        flat = int(np.count_nonzero(usable.low <= FLAT * observed))
        chosen = usable[flattest(usable, min(max(flat, FEWEST_PATCHES), most))]
        observed = smallest_variance(chosen)
        before, variance = variance, observed / _share_left(chosen.means, limits, variance)
        if abs(variance - before) <= 1e-3 * before:
            break
    return variance, flat


def _least_clipped(patches: Patches) -> Patches:
    """The patches with less than half of their pixels on a limit, or failing them all that are not wholly there."""
    for share in (0.5, 1.0):
        chosen = patches.clipped < share
        if np.count_nonzero(chosen) >= FEWEST_PATCHES:
            return patches[chosen]
    return patches[patches.clipped < 1]


def _unclipped(patches: Patches, limits: tuple[float, float], variance: float, observed: float) -> Patches:
    """The patches as far from the limits as there are enough flat ones among them."""
    if limits == NOWHERE:
        return patches
    distance = np.minimum(patches.means - limits[0], limits[1] - patches.means)
    flat = patches.low <= FLAT * observed
    for margin in MARGINS:
        far = distance >= margin * math.sqrt(variance)
        if np.count_nonzero(far & flat) >= FEWEST_PATCHES:
            return patches[far]
    return patches


def _share_left(means: np.ndarray, limits: tuple[float, float], variance: float) -> float:
    """Share of the variance of the noise that clipping leaves in patches of these means."""
    if variance <= 0 or limits == NOWHERE:
        return 1.0
    low, high = max(limits[0], -1e3), min(limits[1], 1e3)
    width = high - low
    _, left = censored_moments((means.astype(np.float64) - low) / width, np.asarray(variance / width**2))
    return max(float(left.mean()) * width**2 / variance, 0.1)
