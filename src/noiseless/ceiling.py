"""A ceiling on what a network that is not told the noise takes out of any one part of an image.

Such a network takes some fine meshes and screens for noise and wipes them out. What it removes there is many times what
it removes elsewhere, which noise, much the same all over an image, never is. So what is removed around a pixel is held
to a multiple of what is usual in the image; the rest of it stays.

What is usual is found in a few places of an image, so that an image that is denoised in windows comes out as it does at
once.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]

WINDOW = 16
"""Side of the square around a pixel over which its removal is averaged; even."""

PLACES, SIDE = 3, 64
"""What is usual is found in so many places along each side of an image, each a square of this side."""

USUAL = 75
"""Percentile of the removals that is called usual: whole parts of an image, such as its sky, may have less noise."""

SLIGHT = 0.1 / 255
"""Root mean square below which nothing was removed, as from white paper."""


def removal(noisy: Array, restored: Array) -> Array:
    """Root mean square of what was removed around each pixel, over all channels: (N, H, W) of (N, C, H, W)."""
    squares = np.square(noisy - restored).mean(axis=1, dtype=np.float64)
    for axis in (1, 2):
        squares = _moving_mean(squares, axis)
    root: Array = np.sqrt(squares.clip(0)).astype(np.float32)
    return root


def places(height: int, width: int) -> list[tuple[slice, slice]]:
    """Rows and columns of the squares in which an image of this size shows what is usual."""
    down, across = (
        [slice(start, start + SIDE) for start in np.linspace(0, max(length - SIDE, 0), PLACES).astype(int).tolist()]
        for length in (height, width)
    )
    return [(rows, columns) for rows in down for columns in across]


def usual(removals: Sequence[Array]) -> float:
    """What is usually removed from an image, of the `removal` in its `places`; infinite where nothing was removed."""
    values = np.concatenate([each.ravel() for each in removals])
    values = values[values > SLIGHT]
    return float(np.percentile(values, USUAL)) if values.size else np.inf


def usual_of(noisy: Array, restored: Array) -> list[float]:
    """What is usually removed from each of whole images, (N, C, H, W)."""
    return [usual([each[place] for place in places(*each.shape)]) for each in removal(noisy, restored)]


def held(noisy: Array, restored: Array, most: Sequence[float]) -> Array:
    """Restored images from which no more was removed around any pixel than `most`, one number for each image.

    Args:
        noisy: (N, C, H, W).
        restored: of the same shape.
        most: root mean square, in the units of the images.
    """
    found = removal(noisy, restored)
    limit = np.asarray(most, np.float32).reshape(-1, 1, 1)
    if (found <= limit).all():
        return restored
    share = np.minimum(1, limit / np.maximum(found, SLIGHT))[:, np.newaxis]
    result: Array = (noisy + share * (restored - noisy)).astype(np.float32, copy=False)
    return result


def _moving_mean(values: npt.NDArray[np.float64], axis: int) -> npt.NDArray[np.float64]:
    """The mean of WINDOW values around each, mirrored beyond the ends."""
    around = [(0, 0)] * values.ndim
    around[axis] = (WINDOW // 2 + 1, WINDOW // 2 - 1)
    sums = np.cumsum(np.pad(values, around, mode="symmetric"), axis=axis)
    after, before = (np.take(sums, range(start, sums.shape[axis] - WINDOW + start), axis) for start in (WINDOW, 0))
    means: npt.NDArray[np.float64] = (after - before) / WINDOW
    return means
