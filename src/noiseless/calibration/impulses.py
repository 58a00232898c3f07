"""Impulses: single values at an end of the range that the values around them do not explain."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from noiseless.calibration.patches import median

FARTHEST = 0.1
"""Share of the range that an impulse is away from the median around it, at least."""

SPREADS = 5.0
"""And so many times the spread around it."""

FEWEST = 5e-4
"""Share of the values that must be lost."""

MOST = 1_000_000
MOST_LOST = 5
"""Extreme values among nine, the one in the middle included, with which the others can still tell what it was."""


@dataclass(frozen=True)
class Impulses:
    """Where impulses are, (H, W) bool, and the share of all values that are lost, those that cannot be told too."""

    places: np.ndarray
    amount: float


def find_impulses(plane: np.ndarray) -> Impulses:
    """Find values of 0, 1 or an end of the range that differ from all around them.

    Args:
        plane: (H, W), in [0, 1] units.
    """
    places = np.zeros(plane.shape, bool)
    low, high = float(plane.min()), float(plane.max())
    extreme = (plane == low) | (plane == 0) | (plane == high) | (plane == 1)
    rows, columns = np.nonzero(extreme[1:-1, 1:-1])
    if low == high or min(plane.shape) < 3 or not FEWEST / 2 * plane.size < len(rows) <= MOST:
        return Impulses(places, 0.0)
    lost = sliding_window_view(extreme, (3, 3))[rows, columns].reshape(-1, 9)
    enough = np.count_nonzero(lost, axis=1) <= MOST_LOST
    rows, columns, lost = rows[enough], columns[enough], lost[enough]
    if not len(rows):
        return Impulses(places, 0.0)
    middle, spread = _around(plane, rows, columns, lost)
    value = plane[rows + 1, columns + 1]
    least = np.maximum(FARTHEST * (high - low), SPREADS * np.maximum(spread, float(median(spread))))
    chosen = np.abs(value - middle) > least
    places[rows[chosen] + 1, columns[chosen] + 1] = True
    typical = float(median(least))
    amount = _share(np.count_nonzero(chosen & (value < middle)), plane > low + typical)
    amount += _share(np.count_nonzero(chosen & (value > middle)), plane < high - typical)
    return Impulses(places, amount) if amount >= FEWEST else Impulses(np.zeros_like(places), 0.0)


def _share(count: int | np.integer, room: np.ndarray) -> float:
    """Share of lost values among those that are far enough from an end for a loss to be seen."""
    places = int(np.count_nonzero(room))
    return float(count) / places if places > 0.02 * room.size else 0.0


def _around(
    plane: np.ndarray, rows: np.ndarray, columns: np.ndarray, lost: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Median and spread of the neighbours that are not lost, (n, 9), themselves."""
    around = sliding_window_view(plane, (3, 3))[rows, columns].reshape(-1, 9)
    around = np.where(lost, np.float32(np.nan), around)
    ordered = np.sort(around, axis=1)  # NaN last
    count = lost.shape[1] - np.count_nonzero(lost, axis=1)
    middle = _at_middle(ordered, count)
    spread = _at_middle(np.sort(np.abs(around - middle[:, None]), axis=1), count)
    return middle, 1.4826 * spread


def _at_middle(ordered: np.ndarray, count: np.ndarray) -> np.ndarray:
    each = np.arange(len(ordered))
    found: np.ndarray = (ordered[each, (count - 1) // 2] + ordered[each, count // 2]) / 2
    return found


def without_impulses(plane: np.ndarray, impulses: np.ndarray) -> np.ndarray:
    """The plane with a value from nearby in the place of each impulse: one of the same noise, so not an average."""
    rows, columns = np.nonzero(impulses)
    if not len(rows):
        return plane
    repaired = plane.copy()
    for step in ((0, 1), (1, 0), (0, -1), (-1, 0), (1, 1), (-1, -1)):
        there = (np.clip(rows + step[0], 0, plane.shape[0] - 1), np.clip(columns + step[1], 0, plane.shape[1] - 1))
        good = ~impulses[there]
        repaired[rows[good], columns[good]] = plane[there[0][good], there[1][good]]
        rows, columns = rows[~good], columns[~good]
    return repaired
