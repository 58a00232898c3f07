"""Lines of variance over brightness, fitted to points of which some lie too high."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from noiseless.calibration.patches import median

ROUNDS = 20
TRUSTED = 1000.0
"""Patches of a bin beyond which it counts no more: its texture is then a larger error than its noise."""

TINY = 1e-12


@dataclass(frozen=True)
class Line:
    """Variance of the noise before clipping: ``gain * x + floor`` for a value x, in the units of the image."""

    gain: float
    floor: float

    def variance(self, values: np.ndarray) -> np.ndarray:
        """Variance at each value, never quite 0."""
        found: np.ndarray = np.maximum(self.gain * np.asarray(values, np.float64) + self.floor, TINY)
        return found


@dataclass(frozen=True)
class Points:
    """What the flat patches of each bin of brightness say.

    Attributes:
        values: (b, t + 1), mean brightness before clipping; the last column is of all tiles, the others lack one.
        variances: (b, t + 1), of the noise before clipping.
        counts: (b, t + 1), patches.
    """

    values: np.ndarray
    variances: np.ndarray
    counts: np.ndarray

    @property
    def whole(self) -> Points:
        """Those of all tiles, (b, 1)."""
        return Points(self.values[:, -1:], self.variances[:, -1:], self.counts[:, -1:])


def fit_line(points: Points, *, bounded: bool = True) -> Line:
    """The line through the points of all tiles; see `fit_lines`."""
    gain, floor = fit_lines(points.whole, bounded=bounded)[0].tolist()
    return Line(gain, floor)


def fit_lines(points: Points, *, sloped: bool = True, bounded: bool = True) -> np.ndarray:
    """A line through the points of each column whose relative errors are alike, in which high outliers count little.

    Args:
        points: from the flat patches.
        sloped: whether the variance may depend on the value.
        bounded: whether the floor must not be negative.

    Returns:
        (t + 1, 2), gain and floor.
    """
    value, variance = points.values, points.variances
    trust = points.counts / (points.counts + TRUSTED)
    robust = np.ones_like(value)
    ends = np.stack([value.min(axis=0), value.max(axis=0), (value.min(axis=0) + value.max(axis=0)) / 2])
    gain, floor = np.zeros(value.shape[1]), (trust * variance).sum(axis=0) / trust.sum(axis=0)
    moving = np.ones(value.shape[1], bool)
    for _ in range(ROUNDS):
        weight = trust * robust / _along(gain, floor, value) ** 2
        steeper, higher = _weighted(value, variance, weight, sloped, bounded)
        change = np.abs(_along(gain, floor, ends) / _along(steeper, higher, ends) - 1).max(axis=0)
        gain, floor = np.where(moving, steeper, gain), np.where(moving, higher, floor)
        moving &= change >= 1e-4
        if not moving.any():
            break
        robust = _robust(variance / _along(gain, floor, value) - 1)
    return np.stack([gain, floor], axis=1)


def are_close(one: Line, other: Line, span: tuple[float, float]) -> bool:
    """Whether two lines give nearly the same variance at values from the one to the other of `span`."""
    ends = np.array([span[0], sum(span) / 2, span[1]])
    return bool(np.all(np.abs(one.variance(ends) / other.variance(ends) - 1) < 2e-3))


def _along(gain: np.ndarray, floor: np.ndarray, values: np.ndarray) -> np.ndarray:
    found: np.ndarray = np.maximum(gain * values + floor, TINY)
    return found


def _robust(residual: np.ndarray) -> np.ndarray:
    """Weights of points from their relative distance to the line: high ones count the less the farther they are."""
    distance = residual / np.maximum(1.48 * median(np.abs(residual.T)), 0.01)
    weights: np.ndarray = np.where(
        distance > 1, 1 / np.maximum(distance, 1) ** 2, 1 / np.maximum(np.abs(distance) / 2, 1)
    )
    return weights


def _weighted(
    value: np.ndarray, variance: np.ndarray, weight: np.ndarray, sloped: bool, bounded: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Gain and floor of the line of least weighted squares through each column."""
    weight = weight / weight.sum(axis=0)
    middle, height = (weight * value).sum(axis=0), (weight * variance).sum(axis=0)
    if not sloped:
        return np.zeros_like(height), height
    aside = value - middle
    width = (weight * aside**2).sum(axis=0)
    gain = np.maximum((weight * aside * (variance - height)).sum(axis=0), 0) / np.maximum(width, TINY)
    gain = np.where(width <= TINY, 0.0, gain)
    floor = height - gain * middle
    if bounded:
        through_zero = (weight * value * variance).sum(axis=0) / np.maximum((weight * value**2).sum(axis=0), TINY)
        gain, floor = np.where(floor < 0, through_zero, gain), np.maximum(floor, 0.0)
    return gain, floor
