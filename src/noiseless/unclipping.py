"""What clipping took of the noise, given back: clipped noise leaves shadows too bright and highlights too dark.

A sensor or a file that cannot hold values below black turns the noise of a dark pixel into one-sided noise, whose mean
is above the clean value. A network that learned from noise that was not clipped restores that mean. How far it is off
follows from the mean and the standard deviation of the noise alone, so that it can be undone: as if the noise had never
been clipped.

That is done only as far as pixels show it. Around each pixel, about as many must be black (or white) as clipping makes
of such noise. Where there are fewer, the noise is weaker there than was told, or its neighbours are alike, or the image
was never clipped; where there are far more, what is counted is photons, of which none is no clipping.

Reference:
    A. Foi: Clipped noisy images: heteroskedastic modeling and practical denoising. Signal Processing 89, 2009.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]

REACH = 2.5
"""Standard deviations from a limit from which on the mean is not moved: there it is by less than 0.002 of them."""

STEPS = 2048
"""Entries of the tables for each standard deviation."""

BLOCK, AROUND = 4, 5
"""Clipped pixels are counted in blocks of this side, and of so many blocks around each along rows and columns."""

BAND = 128
"""Rows that are worked on at once; a multiple of the side of blocks."""

TOO_MANY = 1.5
"""Clipped pixels, over those expected, from which there are too many."""

LEAST = 1e-6
"""A share of clipped pixels, or a level, that counts as none."""


def unclipped(noisy: Array, restored: Array, sigma: Array) -> Array:
    """Restored images as they would be if the noise had not been clipped to [0, 1].

    Args:
        noisy: (N, C, H, W) in [0, 1] units.
        restored: of the same shape, by a network that has not seen clipped noise.
        sigma: standard deviation of the noise before clipping, broadcastable to them.

    Returns:
        `restored` itself where nothing was clipped.
    """
    touched = [at for at in np.ndindex(noisy.shape[:2]) if _reaches_a_limit(noisy[at])]
    if not touched:
        return restored
    result = np.array(restored, order="C")
    sigma = np.broadcast_to(sigma, (*noisy.shape[:2], *sigma.shape[-2:]))
    for at in touched:
        _unclip(noisy[at], restored[at], sigma[at], result[at])
    return result


def _reaches_a_limit(plane: Array) -> bool:
    return bool((plane == 0).any() or (plane == 1).any())


def _unclip(noisy: Array, restored: Array, sigma: Array, result: Array) -> None:
    """Take off what clipping did to one channel, (H, W), from `result`, which holds what was restored."""
    for rows, inner in _bands(len(noisy)):
        level = sigma if len(sigma) == 1 else sigma[rows]
        for limit, inwards in ((0.0, 1.0), (1.0, -1.0)):
            clipped = noisy[rows] == limit
            if clipped.any():
                excess = _excess(inwards * (restored[rows] - np.float32(limit)), level, clipped)
                result[rows][inner] -= inwards * excess[inner]


def _bands(height: int) -> Iterator[tuple[slice, slice]]:
    """Rows that are worked on at once, so that they stay in the processor's cache, and in them those that are kept."""
    halo = AROUND // 2 * BLOCK
    for start in range(0, height, BAND):
        first = max(0, start - halo)
        yield slice(first, start + BAND + halo), slice(start - first, start - first + BAND)


def _excess(distance: Array, level: Array, clipped: npt.NDArray[np.bool_]) -> Array:
    """How far clipping has moved the mean away from a limit, (H, W).

    Args:
        distance: of each pixel from the limit, (H, W).
        level: standard deviation of the noise, broadcastable to it.
        clipped: the pixels that lie on the limit.
    """
    excess, share = _tables()
    entries = np.asarray(distance * (STEPS / np.maximum(level, LEAST)), np.float32).clip(0, len(share) - 1)
    trust = _trust(_means(clipped.astype(np.float32)), share[_means(entries).astype(np.intp)])
    height, width = distance.shape
    found: Array = excess.take(entries.astype(np.intp))
    found *= level * trust.repeat(BLOCK, 0)[:height].repeat(BLOCK, 1)[:, :width]
    return found


def _trust(seen: Array, expected: Array) -> Array:
    """How much of the correction holds in each block, given the shares of clipped pixels that are seen and expected.

    Where fewer are seen: told a level that is too high by a third or by all, the correction is too large by about the
    square of what is missing of them. Where far more are: its fourth power. Chosen, as all numbers here, on photographs
    of validation, with white, correlated and photon noise.
    """
    ratio = _around(seen) / np.maximum(_around(expected), np.float32(LEAST))
    fewer, more = np.minimum(1, ratio), TOO_MANY / np.maximum(ratio, TOO_MANY)
    return np.asarray((fewer * more * more) ** 2, np.float32)


def _around(values: Array) -> Array:
    """Sums over squares of blocks around each; scipy, which has them, takes longer to import than this to compute."""
    for axis in (0, 1):
        beyond = [(AROUND // 2, AROUND // 2) if each == axis else (0, 0) for each in (0, 1)]
        padded = np.moveaxis(np.pad(values, beyond, mode="edge"), axis, 0)
        length = values.shape[axis]
        values = np.moveaxis(np.add.reduce([padded[start : start + length] for start in range(AROUND)]), 0, axis)
    return values


def _means(values: Array) -> Array:
    """Means of blocks of (H, W); those at the end are filled up by their last rows and columns."""
    missing = [(0, -side % BLOCK) for side in values.shape]
    if any(after for _, after in missing):
        values = np.pad(values, missing, mode="edge")
    rows = values.reshape(-1, BLOCK, values.shape[1]).sum(axis=1)
    found: Array = np.add.reduce([rows[:, start::BLOCK] for start in range(BLOCK)]) * np.float32(1 / BLOCK**2)
    return found


@functools.cache
def _tables() -> tuple[Array, Array]:
    """Excess and share of clipped pixels by the mean that clipping leaves, all in standard deviations from the limit.

    The clean value is not beyond the limit; the last entry stands for all that is out of reach.
    """
    clean = np.linspace(-1, REACH, 4 * STEPS)
    share = np.array([math.erfc(value / math.sqrt(2)) / 2 for value in clean])
    mean = clean * (1 - share) + np.exp(-(clean**2) / 2) / math.sqrt(2 * math.pi)
    means = np.arange(int(REACH * STEPS) + 1) / STEPS
    found = np.interp(means, mean, clean).clip(0)
    excess, shares = means - found, np.interp(found, clean, share)
    excess[-1] = shares[-1] = 0
    return excess.astype(np.float32), shares.astype(np.float32)
