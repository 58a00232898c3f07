"""Impulses: single values at an end of the range that the values around them do not explain."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from noiseless.calibration.patches import median

FARTHEST = 0.1
"""Share of the range that an impulse is away from the median around it, at least."""

SPREADS = 5.0
"""And so many times the spread around it."""

FEWEST = 5e-4
"""Share of the values that must be lost."""

SURE = 4.0
"""Standard deviations by which the outliers on an end must exceed twice those beside it."""

MOST = 1_000_000
"""Values that are looked at."""

MOST_LOST = 5
"""Extreme values among nine, the one in the middle included, with which the others can still tell what it was."""


@dataclass(frozen=True)
class Impulses:
    """Where impulses are, (H, W) bool, and the share of all values that are lost, those that cannot be told too."""

    places: np.ndarray
    amount: float


@dataclass(frozen=True)
class _Outliers:
    """Values that differ from those around them.

    Attributes:
        darker: (H, W), bool.
        brighter: likewise.
        least: how far they are away at least, typically.
        spread: around values on an end, typically.
        each: values that every one of them stands for.
    """

    darker: np.ndarray
    brighter: np.ndarray
    least: float
    spread: float
    each: int = 1

    def beyond(self, beside: _Outliers) -> _Outliers:
        """Those on ends where they are more than noise explains, which has as many a little beside an end."""
        kept, counts, excess = [], 0, 0
        for here, there in ((self.darker, beside.darker), (self.brighter, beside.brighter)):
            count = int(np.count_nonzero(here))
            more = count - 2 * beside.each * int(np.count_nonzero(there))
            kept.append(here & (more > 0))
            counts, excess = (counts + count, excess + more) if more > 0 else (counts, excess)
        certain = excess > SURE * math.sqrt(counts)
        return replace(self, darker=kept[0] & certain, brighter=kept[1] & certain)


def find_impulses(plane: np.ndarray) -> Impulses:
    """Find values of 0, 1 or an end of the range that differ from all around them.

    Args:
        plane: (H, W), in [0, 1] units.
    """
    none = Impulses(np.zeros(plane.shape, bool), 0.0)
    low, high = float(plane.min()), float(plane.max())
    extreme = (plane == low) | (plane == 0) | (plane == high) | (plane == 1)
    enough = FEWEST / 2 * plane.size < np.count_nonzero(extreme[1:-1, 1:-1]) <= MOST
    if low == high or min(plane.shape) < 3 or not enough:
        return none
    found = _outliers(plane, extreme, extreme)
    if _amount(plane, found) < FEWEST:
        return none
    near = (plane < low + FARTHEST * (high - low)) | (plane > high - FARTHEST * (high - low))
    found = found.beyond(_outliers(plane, extreme, near & ~extreme, found.spread))
    return Impulses(found.darker | found.brighter, _amount(plane, found))


def _outliers(plane: np.ndarray, extreme: np.ndarray, among: np.ndarray, usual: float | None = None) -> _Outliers:
    """Values that those around them, without extreme ones, do not explain.

    Args:
        plane: (H, W).
        extreme: (H, W), bool, values that may be lost.
        among: likewise, those to look at.
        usual: spread around values, at least; the typical one of these where None.
    """
    darker, brighter = np.zeros(plane.shape, bool), np.zeros(plane.shape, bool)
    rows, columns = np.nonzero(among[1:-1, 1:-1])
    each = max(math.ceil(len(rows) / MOST), 1)
    rows, columns = rows[::each], columns[::each]
    lost = sliding_window_view(extreme, (3, 3))[rows, columns].reshape(-1, 9)
    lost[:, 4] = True
    enough = np.count_nonzero(lost, axis=1) <= MOST_LOST
    rows, columns, lost = rows[enough], columns[enough], lost[enough]
    if not len(rows):
        return _Outliers(darker, brighter, 0.0, 0.0)
    middle, spread = _around(plane, rows, columns, lost)
    usual = float(median(spread)) if usual is None else usual
    least = np.maximum(FARTHEST * (plane.max() - plane.min()), SPREADS * np.maximum(spread, usual))
    away = plane[rows + 1, columns + 1] - middle
    darker[rows + 1, columns + 1], brighter[rows + 1, columns + 1] = away < -least, away > least
    return _Outliers(darker, brighter, float(median(least)), usual, each)


def _amount(plane: np.ndarray, found: _Outliers) -> float:
    """Share of all values that are lost, by those that are seen."""
    lost = _share(np.count_nonzero(found.darker), plane > plane.min() + found.least)
    return lost + _share(np.count_nonzero(found.brighter), plane < plane.max() - found.least)


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
