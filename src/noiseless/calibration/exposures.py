"""The curve of variance over mean from repeated exposures of one scene: nothing of the picture is left in differences.

References:
    J. R. Janesick: Photon Transfer. SPIE Press, 2007.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from noiseless.calibration.curve import Fit, fit_of, points_of
from noiseless.calibration.lines import Points, fit_line
from noiseless.errors import DataError

BINS = 32
TILES = 16
FEWEST = 30
"""Pixels of a bin."""

COARSE = 8
MOST_STRUCTURE = 3.0
"""Power of the difference of two exposures in means of 8x8 pixels, over that of noise."""


STRAY = 1.5
"""Distance from the middle of the range, in ranges, beyond which a pixel is no part of the picture: a cosmic ray."""


def fit_exposures(
    frames: np.ndarray, limits: tuple[float, float], step: float, mask: np.ndarray | None = None
) -> Fit | None:
    """The line of the noise of one channel.

    Args:
        frames: (N, H, W), two exposures of one scene or more.
        limits: values at which they are clipped; pixels that touch them do not count.
        step: distance between rounded values, 0 where there are none.
        mask: (H, W), bool: where to look.

    Returns:
        None where too few pixels are left.
    """
    mean = frames.mean(axis=0, dtype=np.float64)
    variance = np.var(frames - np.median(frames - mean, axis=(1, 2), keepdims=True), axis=0, ddof=1, dtype=np.float64)
    inside = ((frames > limits[0]) & (frames < limits[1])).all(axis=0)
    inside &= True if mask is None else mask
    spread = np.sqrt(np.median(variance[inside])) if inside.any() else 0.0
    inside &= (mean > limits[0] + 3 * spread) & (mean < limits[1] - 3 * spread)
    if np.count_nonzero(inside) < FEWEST * 4:
        return None
    points = _points(mean[inside], variance[inside] - step**2 / 12, np.flatnonzero(inside) * TILES // inside.size)
    span = float(mean[inside].min()), float(mean[inside].max())
    return fit_of(points, fit_line(points), span, int(inside.sum()))


def check_no_copies(planes: Sequence[np.ndarray]) -> None:
    """Raise DataError where one exposure is another once more: where nothing differs, nothing is said of noise.

    Args:
        planes: (C, H, W) each; constant ones, which are alike without being copies, do not count.
    """
    shown = [hash(plane.tobytes()) for plane in planes if plane.min() < plane.max()]
    if len(set(shown)) < len(shown):
        raise DataError(
            "two of these exposures are the same in every value",
            expected="the same picture, with other noise",
            fix="Give each shot once: nothing can be told from copies.",
        )


def check_one_scene(frames: np.ndarray) -> None:
    """Raise DataError where exposures differ by more than noise does.

    Args:
        frames: (N, H, W), at least two, in [0, 1] units.
    """
    if len(frames) < 2:
        raise DataError("repeated exposures need at least two images of one scene", got=len(frames))
    frames = frames.clip(0.5 - STRAY, 0.5 + STRAY)
    rows, columns = (size // COARSE * COARSE for size in frames.shape[1:])
    if min(rows, columns) < 2 * COARSE:
        return
    for other in frames[1:]:
        difference = (other - frames[0])[:rows, :columns].astype(np.float64)
        difference -= difference.mean()
        blocks = difference.reshape(rows // COARSE, COARSE, columns // COARSE, COARSE).mean(axis=(1, 3))
        noise = float(np.median(difference**2)) / 0.455
        scene = min(float(np.var(frames[0])), float(np.var(other)))
        if float(np.var(blocks)) > MOST_STRUCTURE * max(noise, 1e-12) / COARSE and float(np.var(blocks)) > 0.02 * scene:
            share = np.sqrt(float(np.var(blocks)) / max(scene, 1e-12))
            raise DataError(
                "these exposures are not of one scene",
                got=f"a difference whose structure is {share:.0%} of the picture's",
                expected="the same picture, with other noise",
                fix="Align them, or give them as images of one sensor: without exposures.",
            )


def _points(mean: np.ndarray, variance: np.ndarray, tiles: np.ndarray) -> Points:
    """Bins of equal width; the columns are as of `Points`."""
    low, high = float(mean.min()), float(mean.max())
    bins = np.minimum((np.sqrt((mean - low) / max(high - low, 1e-12)) * BINS).astype(np.int64), BINS - 1)
    place = bins * TILES + np.minimum(tiles, TILES - 1)
    sums = [
        np.bincount(place, each, BINS * TILES).reshape(BINS, TILES) for each in (np.ones_like(mean), mean, variance)
    ]
    return points_of(sums, FEWEST)
