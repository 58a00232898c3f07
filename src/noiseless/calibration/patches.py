"""Patches of an image, taken apart into cosine waves: what the estimates of white noise are made from.

A patch of 7x7 pixels is flat where its low frequencies are no stronger than noise; what its high frequencies then hold
is noise. References stand in `noiseless.calibration.level`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

SIDE = 7
FIRST_HIGH = 8
"""Waves whose two frequencies add up to this or more are high; the others, but the mean, are low."""

MOST_PATCHES = 160_000
FEWEST_PATCHES = 300

SATURATED = 1e-3
"""An extreme value that this share of the pixels has is where the image is clipped."""

NOWHERE = (-math.inf, math.inf)


@dataclass(frozen=True)
class Patches:
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

    def __getitem__(self, chosen: np.ndarray) -> Patches:
        return Patches(self.means[chosen], self.clipped[chosen], self.low[chosen], self.high[chosen])

    def __len__(self) -> int:
        return len(self.means)


def window_grid(plane: np.ndarray, most: int = MOST_PATCHES) -> np.ndarray:
    """At most so many patches, on a grid as fine as that allows, (rows, columns, SIDE, SIDE)."""
    windows = sliding_window_view(plane, (SIDE, SIDE))
    stride = max(1, math.ceil(math.sqrt(windows.shape[0] * windows.shape[1] / most)))
    return windows[::stride, ::stride]


def share_of(plane: np.ndarray, chosen: np.ndarray, most: int = MOST_PATCHES) -> np.ndarray:
    """Share of the pixels of each patch of `plane` that are chosen, (n,)."""
    share: np.ndarray = window_grid(chosen.astype(np.float32), most).mean(axis=(-2, -1)).ravel()
    return share


def cut_patches(plane: np.ndarray, limits: tuple[float, float], most: int = MOST_PATCHES) -> Patches:
    """The patches of a plane, (H, W), that is clipped at `limits`."""
    pixels = window_grid(plane, most).reshape(-1, SIDE * SIDE)
    means = pixels.mean(axis=1)
    pixels = pixels - means[:, None]
    high = pixels @ HIGH_WAVES
    energy = np.einsum("np,np->n", pixels, pixels)
    clipped = np.zeros_like(means)
    if limits != NOWHERE:
        clipped = share_of(plane, (plane <= limits[0]) | (plane >= limits[1]), most)
    return Patches(means, clipped, energy - np.einsum("nk,nk->n", high, high), high)


def still_values(plane: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
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


def flattest(patches: Patches, count: int) -> np.ndarray:
    """Places of the `count` patches with the least low energy."""
    if count >= len(patches):
        return np.arange(len(patches))
    return np.argpartition(patches.low, count)[:count]


def smallest_variance(patches: Patches) -> float:
    """Mean of the lower half of the eigenvalues of the high frequencies, freed from its bias under pure noise."""
    count, waves = patches.high.shape
    eigenvalues = np.linalg.eigvalsh(patches.high.T.astype(np.float64) @ patches.high / count)
    bias = max(1 - 0.45 * math.sqrt(waves / count), 0.5)
    return max(float(eigenvalues[: waves // 2].mean()) / bias**2, 0.0)


def find_limits(plane: np.ndarray) -> tuple[float, float]:
    """Where the values, scaled to [0, 1], are clipped; infinite where they are not."""
    enough = max(SATURATED * plane.size, 4)
    return (
        0.0 if np.count_nonzero(plane == 0) >= enough else -math.inf,
        1.0 if np.count_nonzero(plane == 1) >= enough else math.inf,
    )


def rounding_step(plane: np.ndarray) -> float:
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
    degrees = SIDE * SIDE - 1 - HIGH_WAVES.shape[1]
    spread = 2 / (9 * degrees)
    return float(degrees * (1 - spread + 1.6448536 * math.sqrt(spread)) ** 3)


HIGH_WAVES = _high_waves()
FLAT = _flat_energy()
