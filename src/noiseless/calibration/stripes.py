"""Offsets of whole rows or columns, told from the picture: the left and the right part of a stripe agree."""

from __future__ import annotations

import math

import numpy as np

from noiseless.calibration.patches import median

PARTS = 4
"""Parts that a line is cut into, each of which says its own offset."""

SIGNIFICANT = 5.0
"""Standard errors that the agreement of the parts must exceed."""

WINDOW = 4
"""Lines on each side that an offset is measured against."""


def stripe_level(plane: np.ndarray) -> tuple[float, float]:
    """Standard deviation of row offsets and of column offsets.

    Args:
        plane: (H, W), in any unit.

    Returns:
        Rows, columns; 0 where there are none to be seen.
    """
    return _row_level(plane), _row_level(plane.T)


def without_stripes(plane: np.ndarray, rows: bool, columns: bool) -> np.ndarray:
    """The plane less the offsets of its rows or columns, as far as they differ from the lines around."""
    if rows:
        plane = plane - _offsets(plane)[:, None]
    if columns:
        plane = plane - _offsets(plane.T)[None, :]
    return plane


def _row_level(plane: np.ndarray) -> float:
    if min(plane.shape) < 8 * PARTS:
        return 0.0
    steps = np.stack([median(part) for part in np.array_split(_steps(plane), PARTS, axis=1)])
    steps -= median(steps)[:, None]
    spread = 1.4826 * median(np.abs(steps))[:, None]
    if not spread.all():
        return 0.0
    steps = np.clip(steps, -3 * spread, 3 * spread)
    covariance = steps @ steps.T / steps.shape[1]
    agreement = np.array([covariance[i, j] for i in range(PARTS) for j in range(i)])
    error = float(np.mean(np.diag(covariance))) / math.sqrt(steps.shape[1])
    smallest, typical = float(agreement.min()), float(median(agreement))
    return math.sqrt(typical / 2) if smallest > SIGNIFICANT * error / 2 and typical > SIGNIFICANT * error else 0.0


def _steps(plane: np.ndarray) -> np.ndarray:
    """From each row to the next, of at most 512 columns."""
    stride = max(1, plane.shape[1] // 512)
    some = plane[:, ::stride].astype(np.float32)
    found: np.ndarray = np.diff(some, axis=0)
    return found


def _offsets(plane: np.ndarray) -> np.ndarray:
    """How far each row lies from the mean of those around it."""
    size = 2 * WINDOW + 1
    padded = np.pad(plane.astype(np.float32), ((WINDOW, WINDOW), (0, 0)), mode="reflect")
    sums = np.cumsum(np.concatenate([np.zeros_like(padded[:1]), padded], axis=0, dtype=np.float64), axis=0)
    around = (sums[size:] - sums[:-size]) / size
    found: np.ndarray = median(plane - around)
    return found
