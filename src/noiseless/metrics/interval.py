"""How sure a mean over images is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from noiseless.errors import InputError

RESAMPLES = 2000


class Interval(NamedTuple):
    """A mean and the ends of its bootstrap interval, in the unit of the values."""

    mean: float
    low: float
    high: float


def bootstrap_interval(values: Sequence[float] | np.ndarray, seed: int = 0, *, level: float = 0.95) -> Interval:
    """The mean of per-image values and its percentile bootstrap interval.

    Images are drawn with replacement, as many as there are, 2000 times; the interval holds the middle `level`
    of the means. It says how much the mean would change with other images of the same kind.

    Args:
        values: one for each image, (n,); infinite and NaN ones make the result infinite or NaN.
        seed: of the drawing: the same values and seed give the same interval.
        level: share of the means inside the interval.

    Raises:
        InputError: no values, or a level outside (0, 1).

    References:
        B. Efron, R. J. Tibshirani: An Introduction to the Bootstrap. Chapman & Hall, 1993.

    Examples:
        >>> bootstrap_interval([30.0, 30.0, 30.0])
        Interval(mean=30.0, low=30.0, high=30.0)
    """
    numbers = np.asarray(values, np.float64).ravel()
    if not numbers.size:
        raise InputError("an interval of no values", expected="at least one value")
    if not 0 < level < 1:
        raise InputError("level of an interval is out of range", got=level, expected="between 0 and 1")
    mean = float(numbers.mean())
    if not np.isfinite(mean):
        return Interval(mean, mean, mean)
    chosen = np.random.default_rng(seed).integers(numbers.size, size=(RESAMPLES, numbers.size))
    low, high = np.quantile(numbers[chosen].mean(axis=1), [(1 - level) / 2, (1 + level) / 2])
    return Interval(mean, float(low), float(high))
