"""Is the noise of a colour picture independent from colour to colour, or that of a developed photograph?

What a sensor or a formula adds to each colour by itself is as strong in the finest detail of differences of colours as
in that of the colours. Cameras and JPEG take the finest detail of colour differences away: on 55 crops of developed
photographs none of it was left, at most a fifth where JPEG had stored white noise, and at most 0.6 of synthetic camera
noise; of white noise of two grey levels or more at least 0.4, and mostly 0.9. So most pictures are told in little time,
and those between are calibrated.
"""

from __future__ import annotations

import math

import numpy as np

from noiseless.calibration.measuring import find_noise
from noiseless.errors import InputError

ALIKE, INDEPENDENT = 0.35, 0.75
"""Finest detail of differences of colours, over that of the colours and the root of two: below the one, noise of a
photograph; above the other, noise of each colour by itself."""

FAINT = 1 / 255
"""Finest detail below which there is little noise."""

LEAST_SIDE = 32
"""Pixels of a side below which nothing can be told."""

WHITE = ("gaussian", "poisson-gaussian")
"""Kinds of noise, as of `noiseless.calibration.Calibration`, that are independent from pixel to pixel."""


def has_independent_noise(plane: np.ndarray) -> bool:
    """Whether a picture has noise that is another one in each colour, as no developed photograph has.

    Args:
        plane: (3, H, W), float32, in [0, 1] units.
    """
    if min(plane.shape[1:]) < LEAST_SIDE:
        return False
    red, green, blue = (_finest(colour) for colour in plane)
    own = (_spread(red) + _spread(green) + _spread(blue)) / 3
    differing = min(_spread(red - green), _spread(blue - green)) / math.sqrt(2)
    if own < FAINT or differing < ALIKE * own:
        return False
    if differing >= INDEPENDENT * own:
        return True
    try:
        return find_noise([plane])[0] in WHITE
    except InputError:
        return False


def _finest(colour: np.ndarray) -> np.ndarray:
    """The diagonal detail of blocks of 2x2 pixels, which has the standard deviation of white noise."""
    height, width = (side // 2 * 2 for side in colour.shape)
    even, odd = colour[:height:2, :width], colour[1:height:2, :width]
    found: np.ndarray = (even[:, ::2] - even[:, 1::2] - odd[:, ::2] + odd[:, 1::2]) / 2
    return found


def _spread(detail: np.ndarray) -> float:
    """The standard deviation of normal noise, of which a picture's edges are few and large outliers."""
    return float(np.median(np.abs(detail))) / 0.6745
