"""Averaging a film over time, before and after its frames are denoised one by one.

Blocks of the neighbouring frames are matched to the frame in hand, and averaged with it where they agree with it as
well as noise allows; where they do not, at a scene cut or where something moves in another way, the frame stays by
itself. What noise is left before the network is known for each pixel, and told to it: displacements are whole pixels,
so that the noise of the average is as independent from pixel to pixel as it was. After the network the same steadies
what it made of the noise, which otherwise flickers.

Weights by the distance of patches as in non-local means, of A. Buades, B. Coll, J.-M. Morel: Denoising image
sequences does not require motion estimation, 2005; the variance of the noise is taken off the distance.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import numpy.typing as npt
from scipy.ndimage import uniform_filter

Array = npt.NDArray[np.float32]

BLOCK = 16
COARSE = 4
"""Sides of what is matched: blocks, first on an image that is so many times smaller."""
REACH = 4
"""Farthest displacement that is looked for, in pixels of the smaller image; then 2 pixels around it."""

PATCH = 7
"""Side of the patches that are compared."""
TOLERANCE = 0.08
"""Before the network: how far the distance of patches may exceed that of noise, as a share, where the weight is 1/e."""
STEADINESS = 0.2
"""After the network: the distance of patches where the weight is 1/e, in standard deviations of the noise before it."""
STEADY_PATCH = 5
SMALLEST_SIGMA = 0.5 / 255
SIMILAR = 0.05
"""A neighbour of which a smaller share agrees is another scene."""


def average(frames: Sequence[Array], index: int, sigma: npt.ArrayLike) -> tuple[Array, Array]:
    """A frame averaged with those around it.

    Args:
        frames: (C, H, W) each, in [0, 1] units.
        index: of the frame in hand.
        sigma: standard deviation of the noise, a number or one for each channel.

    Returns:
        The average, (C, H, W), and what is left of the noise's standard deviation, (H, W), 0 to 1.
    """
    frame = frames[index]
    told = np.maximum(np.asarray(sigma, np.float32).reshape(-1, 1, 1), SMALLEST_SIGMA)
    total, weights = frame.copy(), np.ones(frame.shape[1:], np.float32)
    squares = weights.copy()
    for moved in _others(frames, index, blurred):
        weight = agreement(frame, moved, told)
        if weight.mean() < SIMILAR:
            continue
        total += weight * moved
        weights += weight
        squares += weight * weight
    averaged: Array = np.asarray(total / weights, np.float32)
    left: Array = np.asarray(np.sqrt(squares) / weights, np.float32)
    return averaged, left


def steady(frames: Sequence[Array], index: int, sigma: float) -> Array:
    """A denoised frame averaged with those around it, where they show the same.

    Args:
        frames: (C, H, W) each, denoised, in [0, 1] units.
        index: of the frame in hand.
        sigma: standard deviation of the noise before denoising.

    Returns:
        (C, H, W).
    """
    frame, scale = frames[index], np.float32(STEADINESS * max(sigma, SMALLEST_SIGMA)) ** 2
    total, weights = frame.copy(), np.ones(frame.shape[1:], np.float32)
    for moved in _others(frames, index, lambda each: each.mean(0)):
        distance = uniform_filter(((frame - moved) ** 2).mean(0), STEADY_PATCH, mode="reflect")
        alike: Array = np.exp(-distance / scale).astype(np.float32)
        total += alike * moved
        weights += alike
    steadied: Array = total / weights
    return steadied


def _others(frames: Sequence[Array], index: int, look: Callable[[Array], Array]) -> Iterator[Array]:
    """The frames around one, their blocks moved to where they are in it; by what `look` shows of a frame, (H, W)."""
    seen = look(frames[index])
    for number, other in enumerate(frames):
        if number != index:
            yield displaced(other, motion(seen, look(other)))


def agreement(frame: Array, other: Array, sigma: Array) -> Array:
    """How much of another frame to take for each pixel, (H, W), 0 to 1: as far as noise explains the difference."""
    distance = ((frame - other) ** 2 / (2 * sigma**2)).mean(0)
    excess = uniform_filter(distance, PATCH, mode="reflect") - 1
    weight: Array = np.exp(-np.maximum(excess, 0) / TOLERANCE).astype(np.float32)
    return weight


def blurred(frame: Array) -> Array:
    """The brightness of a frame without most of its noise, (H, W)."""
    smooth: Array = uniform_filter(frame.mean(0), 3, mode="reflect")
    return smooth


def motion(frame: Array, other: Array) -> npt.NDArray[np.intp]:
    """Where the blocks of a frame are in another one.

    Args:
        frame: (H, W).
        other: (H, W).

    Returns:
        (2, rows, columns): how far down and to the right each block of `BLOCK` pixels lies in the other.
    """
    small, small_other = _reduced(frame), _reduced(other)
    start = np.zeros((2, *_blocks(frame.shape)), np.intp)
    coarse = _best(small, small_other, start, BLOCK // COARSE, REACH) * COARSE
    return _best(frame, other, coarse, BLOCK, 2)


def displaced(other: Array, vectors: npt.NDArray[np.intp]) -> Array:
    """Another frame, its blocks moved to where they are in the frame in hand; (..., H, W)."""
    rows, columns = _places(other.shape[-2:], vectors, BLOCK)
    moved: Array = other[..., rows, columns]
    return moved


def _best(frame: Array, other: Array, start: npt.NDArray[np.intp], block: int, reach: int) -> npt.NDArray[np.intp]:
    """The displacement around `start` with the smallest difference, for each block; in doubt the shortest."""
    best, least = start, np.full(start.shape[1:], np.inf, np.float32)
    steps = [(down, right) for down in range(-reach, reach + 1) for right in range(-reach, reach + 1)]
    for down, right in sorted(steps, key=lambda step: abs(step[0]) + abs(step[1])):
        vectors = start + np.array([down, right]).reshape(2, 1, 1)
        rows, columns = _places(frame.shape, vectors, block)
        difference = _block_means(np.abs(frame - other[rows, columns]), block, start.shape[1:])
        closer = difference < least * 0.98
        least = np.where(closer, difference, least)
        best = np.where(closer, vectors, best)
    return best


def _places(
    shape: tuple[int, ...], vectors: npt.NDArray[np.intp], block: int
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """For each pixel the row and the column that its block's vector leads to, inside the frame."""
    height, width = shape
    down, right = (each.repeat(block, 0).repeat(block, 1)[:height, :width] for each in vectors)
    rows = np.clip(np.arange(height)[:, np.newaxis] + down, 0, height - 1)
    columns = np.clip(np.arange(width) + right, 0, width - 1)
    return rows, columns


def _blocks(shape: tuple[int, ...]) -> tuple[int, int]:
    return -(-shape[0] // BLOCK), -(-shape[1] // BLOCK)


def _block_means(values: Array, block: int, count: tuple[int, ...]) -> Array:
    missing = [(0, number * block - size) for number, size in zip(count, values.shape, strict=True)]
    padded = np.pad(values, missing, mode="edge")
    mean: Array = padded.reshape(count[0], block, count[1], block).mean((1, 3))
    return mean


def _reduced(frame: Array) -> Array:
    count = -(-frame.shape[0] // COARSE), -(-frame.shape[1] // COARSE)
    return _block_means(frame, COARSE, count)
