"""Traces of what was done to an image: the 8-pixel grid of JPEG, and the regular pattern that enlarging leaves.

References:
    Z. Fan, R. L. de Queiroz: Identification of bitmap compression history: JPEG detection and quantizer estimation.
    IEEE Transactions on Image Processing 12, 2003 (differences across the borders of blocks).
    A. C. Gallagher: Detection of linear and cubic interpolation in JPEG compressed images. CRV, 2005 (the second
    derivative of an enlarged image is periodic).
"""

from __future__ import annotations

import numpy as np

from noiseless.calibration.patches import median

BLOCK = 8
BORDER = BLOCK - 2
"""Place of the border of blocks among the third differences, whose middle lies one and a half pixels further on."""

MOST_LINES = 512
GRID = 1.08
"""Mean step across a border of blocks over that within, from which the grid is seen."""

PEAK = 12.0
"""Height of a peak in the spectrum of the second derivative over what is around it."""

LEAST_PERIOD = 64
FROM = 0.03
"""Frequency, in cycles a pixel, from which a peak is looked for."""


def jpeg_grid(plane: np.ndarray) -> bool:
    """Whether steps between neighbours are larger, everywhere, at every eighth row and column."""
    return all(_grid_strength(_lines(each)) > GRID for each in (plane, plane.T))


def enlargement(plane: np.ndarray) -> float | None:
    """By how much an image was enlarged, from 1 to 2, as far as that can be seen; None where it cannot.

    A larger factor is seen as one below 2 that leaves the same trace: 3 as 1.5. Not seen are factors whose trace lies
    where JPEG's may (8/7, 4/3, 8/5), and 2: between two pixels, half a pixel from both, every new one is alike.
    """
    down, across = (_peak(_lines(each)) for each in (plane, plane.T))
    if down is None or across is None or abs(down - across) > 0.01:
        return None
    return 2 / (2 - down - across)


def _lines(plane: np.ndarray) -> np.ndarray:
    return plane[:: max(1, plane.shape[0] // MOST_LINES)].astype(np.float64)


def _grid_strength(lines: np.ndarray) -> float:
    """Steps at every eighth line over the median of the others, in the half of the image that has less."""
    if len(lines) < 2 or lines.shape[1] < 8 * BLOCK:  # there are no two halves
        return 0.0
    bend = np.abs(np.diff(lines, 3, axis=1))
    strengths = []
    for half in np.array_split(np.minimum(bend, np.quantile(bend, 0.9)), 2):
        steps = half.mean(axis=0)
        usable = steps[: len(steps) // BLOCK * BLOCK].reshape(-1, BLOCK).mean(axis=0)
        others = np.delete(usable, BORDER)
        strengths.append(float(usable[BORDER] / max(float(median(others)), 1e-12)))
    return min(strengths)


def _peak(lines: np.ndarray) -> float | None:
    if lines.shape[1] < LEAST_PERIOD:
        return None
    second = np.abs(np.diff(lines, 2, axis=1)).mean(axis=0)
    spectrum = np.abs(np.fft.rfft((second - second.mean()) * np.hanning(len(second))))
    frequencies = np.fft.rfftfreq(len(second))
    usable = (frequencies > FROM) & (np.abs(frequencies * BLOCK - np.rint(frequencies * BLOCK)) > 0.03)
    if not usable.any():
        return None
    place = int(np.argmax(np.where(usable, spectrum, 0)))
    around = median(spectrum[max(place - 40, 1) : place + 41])
    return float(frequencies[place]) if spectrum[place] > PEAK * around else None
