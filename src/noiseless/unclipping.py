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
from concurrent.futures import Executor, ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from noiseless.runtime.machine import processors

Array = npt.NDArray[np.float32]

REACH = 2.5
"""Standard deviations from a limit from which on the mean is not moved: there it is by less than 0.002 of them."""

STEPS = 2048
"""Entries of the tables for each standard deviation."""

BLOCK, AROUND = 4, 5
"""Clipped pixels are counted in blocks of this side, and of so many blocks around each along rows and columns."""

PART = 512
"""Side of the parts of an image that are worked on by themselves, in the cache; a multiple of the side of blocks."""

TOO_MANY = 1.5
"""Clipped pixels, over those expected, from which there are too many."""

LEAST = 1e-6
"""A share of clipped pixels, or a level, that counts as none."""


Part = tuple[slice, slice]


def unclip(noisy: Array, restored: Array, sigma: Array) -> None:
    """Make restored images, in place, what they would be if the noise had not been clipped to [0, 1].

    Args:
        noisy: (N, C, H, W) in [0, 1] units.
        restored: of the same shape, by a network that has not seen clipped noise.
        sigma: standard deviation of the noise before clipping, broadcastable to them.
    """
    size = (1, 1) if sigma.shape[-2:] == (1, 1) else noisy.shape[-2:]
    levels = np.broadcast_to(sigma, (*noisy.shape[:2], *size))
    with ThreadPoolExecutor(processors()) as pool:
        for at in np.ndindex(noisy.shape[:2]):
            _unclip(noisy[at], restored[at], levels[at], 0.0, 1.0, pool)
            _unclip(noisy[at], restored[at], levels[at], 1.0, -1.0, pool)


def _unclip(noisy: Array, restored: Array, sigma: Array, limit: float, inwards: float, pool: Executor) -> None:
    """Take off what clipping at a limit did to one channel.

    Args:
        noisy: (H, W).
        restored: of the same shape, changed in place.
        sigma: broadcastable to them.
        limit: black or white.
        inwards: 1 where the limit is the lowest value, -1 where it is the highest.
        pool: works on the parts.
    """
    excess, share = _tables()
    parts = _parts(*noisy.shape)
    seen, expected = np.zeros((2, *(-(-side // BLOCK) for side in noisy.shape)), np.float32)

    def count(part: Part) -> None:
        clipped = noisy[part] == limit
        if clipped.any():
            seen[_blocks(part)] = _means(clipped.astype(np.float32))

    def expect(part: Part) -> None:
        expected[_blocks(part)] = share[_means(entries(part)).astype(np.intp)]

    def take_off(part: Part) -> None:
        found = excess.take(entries(part).astype(np.int32))
        found *= inwards * level(part)
        across = trust[_blocks(part)].repeat(BLOCK, 1)[:, : found.shape[1]]
        for row in range(BLOCK):
            rows = found[row::BLOCK]
            rows *= across[: len(rows)]
        restored[part] -= found

    def entries(part: Part) -> Array:
        found = restored[part] - np.float32(limit)
        found *= inwards * STEPS / np.maximum(level(part), LEAST)
        return found.clip(0, len(share) - 1, out=found)

    def level(part: Part) -> Array:
        return sigma if sigma.size == 1 else sigma[part]

    list(pool.map(count, parts))
    near = _around(seen)
    parts = [part for part in parts if near[_blocks(part)].any()]
    list(pool.map(expect, parts))
    trust = _trust(near, _around(expected))
    list(pool.map(take_off, parts))


def _parts(height: int, width: int) -> list[Part]:
    rows, columns = ([slice(start, start + PART) for start in range(0, side, PART)] for side in (height, width))
    return [(down, across) for down in rows for across in columns]


def _blocks(part: Part) -> Part:
    """Rows and columns of a part among the blocks."""
    rows, columns = (slice(span.start // BLOCK, span.stop // BLOCK) for span in part)
    return rows, columns


def _trust(seen: Array, expected: Array) -> Array:
    """How much of the correction holds in each block, given how many clipped pixels are seen and expected around it.

    Where fewer are seen: told a level that is too high by a third or by all, the correction is too large by about the
    square of what is missing of them. Where far more are: its fourth power. Chosen, as all numbers here, on photographs
    of validation, with white, correlated and photon noise.
    """
    ratio = seen / np.maximum(expected, np.float32(LEAST))
    fewer, more = np.minimum(1, ratio), TOO_MANY / np.maximum(ratio, TOO_MANY)
    return np.asarray((fewer * more * more) ** 2, np.float32)


def _around(values: Array) -> Array:
    """Sums over squares of blocks around each; scipy, which has them, takes longer to import than this to compute."""
    height, width = values.shape
    padded = np.pad(values, AROUND // 2, mode="edge")
    rows = _sum([padded[start : start + height] for start in range(AROUND)])
    return _sum([rows[:, start : start + width] for start in range(AROUND)])


def _means(values: Array) -> Array:
    """Means of blocks of (H, W); those at the end are filled up by their last rows and columns."""
    missing = [(0, -side % BLOCK) for side in values.shape]
    if any(after for _, after in missing):
        values = np.pad(values, missing, mode="edge")
    rows = _sum([values[start::BLOCK] for start in range(BLOCK)])
    return _sum([rows[:, start::BLOCK] for start in range(BLOCK)]) * np.float32(1 / BLOCK**2)


def _sum(arrays: list[Array]) -> Array:
    """Of arrays of one shape, without a copy of all of them, which `numpy.sum` would make."""
    total = arrays[0] + arrays[1]
    for array in arrays[2:]:
        total += array
    return total


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
