"""Patches of an image, taken apart into cosine waves: what the estimates of white noise are made from.

A patch of 7x7 pixels is flat where its low frequencies are no stronger than noise; what its high frequencies then hold
is noise. References stand in `noiseless.calibration.level`.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

SIDE = 7
FIRST_HIGH = 8
"""Waves whose two frequencies add up to this or more are high; the others, but the mean, are low."""

MOST_PATCHES = 160_000
FEWEST_PATCHES = 300

TOGETHER = 4096
"""Patches that are taken apart together, so that they stay in the processor's cache."""

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
        """Those of these places, or where this is true."""
        places = np.flatnonzero(chosen) if chosen.dtype == bool else chosen
        return Patches(*(each.take(places, axis=0) for each in (self.means, self.clipped, self.low, self.high)))

    def __len__(self) -> int:
        return len(self.means)


def window_grid(plane: np.ndarray, most: int = MOST_PATCHES) -> np.ndarray:
    """At most so many patches, on a grid as fine as that allows, (rows, columns, SIDE, SIDE)."""
    stride = _stride(plane, most)
    return sliding_window_view(plane, (SIDE, SIDE))[::stride, ::stride]


def share_of(plane: np.ndarray, chosen: np.ndarray, most: int = MOST_PATCHES) -> np.ndarray:
    """Share of the pixels of each patch of `plane` that are chosen, (n,), float32."""
    stride, counts = _stride(plane, most), chosen.astype(np.uint8)
    for _ in range(2):  # along columns, then along rows
        last = len(counts) - SIDE + 1
        counts = functools.reduce(np.add, (counts[start : start + last : stride] for start in range(SIDE))).T
    share: np.ndarray = counts.ravel() / np.float32(SIDE**2)
    return share


def _stride(plane: np.ndarray, most: int) -> int:
    return max(1, math.ceil(math.sqrt((plane.shape[0] - SIDE + 1) * (plane.shape[1] - SIDE + 1) / most)))


def cut_patches(plane: np.ndarray, limits: tuple[float, float], most: int = MOST_PATCHES) -> Patches:
    """The patches of a plane, (H, W), that is clipped at `limits`."""
    windows = window_grid(plane, most)
    lines = max(1, TOGETHER // windows.shape[1])
    parts = [_taken_apart(windows[first : first + lines]) for first in range(0, len(windows), lines)]
    means, low, high = (np.concatenate(each) for each in zip(*parts, strict=True))
    clipped = np.zeros_like(means)
    if limits != NOWHERE:
        clipped = share_of(plane, (plane <= limits[0]) | (plane >= limits[1]), most)
    return Patches(means, clipped, low, high)


def _taken_apart(windows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean, low energy and high coefficients of patches, (rows, columns, SIDE, SIDE)."""
    middle = windows[:, :, SIDE // 2, SIDE // 2]
    pixels = np.subtract(windows.transpose(2, 3, 0, 1), middle, order="C")  # small numbers lose less
    pixels = pixels.reshape(SIDE * SIDE, -1)
    waves = WAVES @ pixels
    low = np.einsum("pn,pn->n", pixels, pixels) - np.einsum("kn,kn->n", waves, waves)
    return middle.ravel() + waves[0] / np.float32(SIDE), low, waves[1:].T


def still_values(plane: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
    """The values, but limits, of areas without any noise: one for a frame or a mask, several for a drawn picture.

    A few such patches are nothing: an 8-bit image with little noise has them by chance.
    """
    down, across = (size // SIDE for size in plane.shape)
    bands = plane[: down * SIDE, : across * SIDE].reshape(down, SIDE, across * SIDE)
    smallest = bands.min(axis=1).reshape(down, across, SIDE).min(axis=2)
    largest = bands.max(axis=1).reshape(down, across, SIDE).max(axis=2)
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
    eigenvalues = np.linalg.eigvalsh(products(patches.high) / count)
    bias = max(1 - 0.45 * math.sqrt(waves / count), 0.5)
    return max(float(eigenvalues[: waves // 2].mean()) / bias**2, 0.0)


def products(rows: np.ndarray) -> np.ndarray:
    """``rows.T @ rows`` in float64."""
    found = np.zeros((rows.shape[1], rows.shape[1]))
    for first in range(0, len(rows), TOGETHER):
        exact = rows[first : first + TOGETHER].astype(np.float64)
        found += exact.T @ exact
    return found


def median(values: np.ndarray) -> np.ndarray:
    """Along the last axis: ten times as fast as NumPy's on many short rows, and without its import of numpy.ma."""
    ordered, count = np.sort(values, axis=-1), values.shape[-1]
    middle: np.ndarray = (ordered[..., (count - 1) // 2] + ordered[..., count // 2]) / 2
    return middle


def find_limits(plane: np.ndarray) -> tuple[float, float]:
    """The smallest and the largest value, where so many pixels have them that they are clipped; else infinite."""
    low, high = float(plane.min()), float(plane.max())
    if low == high:
        return NOWHERE
    enough = max(SATURATED * plane.size, 4)
    return (
        low if np.count_nonzero(plane == low) >= enough else -math.inf,
        high if np.count_nonzero(plane == high) >= enough else math.inf,
    )


def rounding_step(plane: np.ndarray) -> float:
    """Distance between the levels of an image that was rounded; 0 where values are as good as continuous."""
    some = plane.ravel()[:: max(1, plane.size // 20_000)]
    steps = np.diff(np.sort(some))  # np.unique would import numpy.ma
    steps = steps[steps > 0]
    if not 0 < len(steps) <= len(some) / 4:
        return 0.0
    return float(steps.min())


def _waves() -> np.ndarray:
    """The constant wave and the cosine waves of high frequency as rows, (1 + k, SIDE * SIDE), float32."""
    places, frequencies = np.arange(SIDE), np.arange(SIDE)[:, None]
    waves = np.sqrt(2 / SIDE) * np.cos(np.pi * (2 * places + 1) * frequencies / (2 * SIDE))
    waves[0] /= np.sqrt(2)
    chosen = [
        np.outer(waves[row], waves[column]).ravel()
        for row in range(SIDE)
        for column in range(SIDE)
        if row + column >= FIRST_HIGH or row == column == 0
    ]
    return np.stack(chosen).astype(np.float32)


def _flat_energy() -> float:
    """Energy of the low frequencies, over the variance of the noise, that 95% of flat patches do not exceed.

    By the cube root transformation of Wilson and Hilferty, 1931, good to 0.05% here; scipy's function is slow
    to import.
    """
    degrees = SIDE * SIDE - 1 - HIGH
    spread = 2 / (9 * degrees)
    return float(degrees * (1 - spread + 1.6448536 * math.sqrt(spread)) ** 3)


WAVES = _waves()
HIGH = len(WAVES) - 1
"""Number of high waves."""

FLAT = _flat_energy()
