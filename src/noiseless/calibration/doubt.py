"""How sure a line of noise is: intervals of its level, gain, read noise and curve, 95% of which hold the truth.

What chance does shows when one part of the image after the other is left out (jackknife). What texture does shows in
how far the points lie from the line, for it adds to the variance here and not there; but of that chance knows nothing,
since the same texture comes back whatever is left out. The line itself is off by a share of that distance, by more
where it goes on beyond the points: as for any line of weighted least squares.

Reference:
    B. Efron: The jackknife, the bootstrap and other resampling plans. SIAM, 1982.
"""

from __future__ import annotations

import math

import numpy as np

from noiseless.calibration.curve import Fit
from noiseless.calibration.lines import TRUSTED
from noiseless.calibration.report import CurvePoint, Interval

SURE = 2.0
"""Standard errors in the half of an interval."""

SHARE = 0.35
"""Standard error of a level over the distance of the points from it; of a variance it is twice that. Found on 24
photographs of CID22 with white and signal-dependent noise, seen on those of CLIC 2025."""

LEAST, LEAST_CLIPPED = 0.014, 0.03
"""Distance of the points, over the variance, that counts at least; the second where the image is clipped."""

VALUES = np.linspace(0, 1, 21)


def level_interval(fit: Fit, *, clipped: bool) -> Interval:
    """Interval of the standard deviation, if it is the same everywhere."""
    level = math.sqrt(fit.level)
    distance = _distance(fit, np.full(len(fit.points.values), fit.level), clipped)
    return _interval(level, math.hypot(jackknife(np.sqrt(np.maximum(fit.levels, 0))), SHARE * distance * level))


def gain_interval(fit: Fit, *, clipped: bool) -> Interval:
    """Interval of the gain."""
    return _interval(
        fit.line.gain, math.hypot(jackknife(fit.replicates[:, 0]), math.sqrt(_covariance(fit, clipped)[1, 1]))
    )


def read_interval(fit: Fit, *, clipped: bool) -> Interval:
    """Interval of the read noise, a standard deviation."""
    error = math.hypot(jackknife(fit.replicates[:, 1]), math.sqrt(_covariance(fit, clipped)[0, 0]))
    return _root_interval(fit.line.floor, error)


def curve(fit: Fit, *, clipped: bool) -> tuple[CurvePoint, ...]:
    """The standard deviation at values from 0 to 1, each with its interval."""
    variances = fit.line.variance(VALUES)
    chance = [jackknife(column) for column in (fit.replicates[:, :1] * VALUES + fit.replicates[:, 1:]).T]
    rows = np.stack([np.ones_like(VALUES), VALUES], axis=1)
    errors = np.hypot(chance, np.sqrt(np.einsum("vi,ij,vj->v", rows, _covariance(fit, clipped), rows)))
    return tuple(
        CurvePoint(float(value), math.sqrt(variance), _root_interval(float(variance), float(error)))
        for value, variance, error in zip(VALUES, variances, errors, strict=True)
    )


def jackknife(replicates: np.ndarray) -> float:
    """Standard error from estimates that lack one of their parts each."""
    count = len(replicates)
    return math.sqrt((count - 1) / count * float(np.sum((replicates - replicates.mean()) ** 2)))


def _interval(value: float, error: float) -> Interval:
    return max(value - SURE * error, 0.0), value + SURE * error


def _root_interval(variance: float, error: float) -> Interval:
    """Of the standard deviation, which near 0 is not in proportion to the variance."""
    low, high = _interval(variance, error)
    return math.sqrt(low), math.sqrt(high)


def _weights(fit: Fit) -> np.ndarray:
    counts = fit.points.counts[:, -1]
    weights: np.ndarray = counts / (counts + TRUSTED)
    return weights / max(float(weights.sum()), 1e-12)


def _distance(fit: Fit, variances: np.ndarray, clipped: bool) -> float:
    """Root mean square of how far the points lie from these variances, over them."""
    least = LEAST_CLIPPED if clipped else LEAST
    ratios = fit.points.variances[:, -1] / np.maximum(variances, 1e-12) - 1
    return math.hypot(math.sqrt(float(_weights(fit) @ ratios**2)), least)


def _covariance(fit: Fit, clipped: bool) -> np.ndarray:
    """Of floor and gain, (2, 2), from the distance of the points.

    Where all points are of one brightness they tell only the sum of both. Neither is negative, though, so that neither
    can be more than explains all of the variance: those are the ends of its interval then (each is held by half the
    weight, for what the one gains the other loses).
    """
    values = fit.points.values[:, -1]
    variances = fit.line.variance(values)
    rows = np.stack([np.ones_like(values), values], axis=1) / variances[:, None]
    told = rows.T @ (_weights(fit)[:, None] * rows) / (2 * SHARE * _distance(fit, variances, clipped)) ** 2
    most = 1 / np.maximum(np.abs(rows).mean(axis=0), 1e-12)
    covariance: np.ndarray = np.linalg.inv(told + np.diag((SURE / most) ** 2 / 2))
    return covariance
