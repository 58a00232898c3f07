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

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]

REACH = 4.0
"""Standard deviations from the limit beyond which nothing is clipped."""

STEPS = 4096
"""Entries of the tables for each standard deviation."""

WINDOW = 15
"""Side of the square around a pixel in which clipped pixels are counted."""

FEWER, MORE = 2, 4
"""Powers with which the correction falls where fewer or more pixels are clipped than expected. Told a level that is too
high by a third or by all, the correction is too large by about the square of what is missing of them. All numbers here
were chosen on photographs of validation, with white, correlated and photon noise."""

TOO_MANY = 1.5
"""Clipped pixels, over those expected, from which there are too many."""

LEAST = 1e-6
"""Share of clipped pixels that counts as none."""


def unclipped(noisy: Array, restored: Array, sigma: Array) -> Array:
    """Restored images as they would be if the noise had not been clipped to [0, 1].

    Args:
        noisy: (N, C, H, W) in [0, 1] units.
        restored: of the same shape, by a network that has not seen clipped noise.
        sigma: standard deviation of the noise before clipping, broadcastable to them.

    Returns:
        `restored` itself where nothing was clipped.
    """
    result = restored
    for at in np.ndindex(noisy.shape[:2]):
        for limit, inwards in ((0.0, 1.0), (1.0, -1.0)):
            clipped = noisy[at] == limit
            if not clipped.any():
                continue
            if result is restored:
                result = restored.copy()
            distance = inwards * (restored[at] - np.float32(limit))
            result[at] -= inwards * _excess(distance, np.broadcast_to(sigma, noisy.shape)[at], clipped)
    return result


def _excess(distance: Array, level: Array, clipped: npt.NDArray[np.bool_]) -> Array:
    """How far clipping has moved each pixel of (H, W) from a limit, given how far it is from there now."""
    from scipy.ndimage import uniform_filter

    excess, share = np.zeros_like(distance), np.zeros_like(distance)
    near = (distance < REACH * level) & (level > 0)
    entries = np.maximum(distance[near] / level[near] * STEPS, 0).astype(np.intp)
    excess_table, share_table = _tables()
    excess[near] = excess_table[entries] * level[near]
    share[near] = share_table[entries]
    seen, expected = (uniform_filter(each.astype(np.float32), WINDOW, mode="mirror") for each in (clipped, share))
    ratio = seen / np.maximum(expected, LEAST)
    excess *= np.minimum(1, ratio) ** FEWER * (TOO_MANY / np.maximum(ratio, TOO_MANY)) ** MORE
    return excess


@functools.cache
def _tables() -> tuple[Array, Array]:
    """Excess and share of clipped pixels by the mean that clipping leaves, all in standard deviations from the limit.

    The clean value is not beyond the limit.
    """
    clean = np.linspace(-1, REACH, 2 * STEPS)
    share = np.array([math.erfc(value / math.sqrt(2)) / 2 for value in clean])
    mean = clean * (1 - share) + np.exp(-(clean**2) / 2) / math.sqrt(2 * math.pi)
    means = np.arange(int(REACH * STEPS) + 1) / STEPS
    found = np.interp(means, mean, clean).clip(0)
    return (means - found).astype(np.float32), np.interp(found, clean, share).astype(np.float32)
