"""Structural similarity."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from scipy.ndimage import correlate1d

from noiseless.metrics.images import checked_pair, checked_range

RADIUS = 5
SIGMA = 1.5
K1, K2 = 0.01, 0.03


class Terms(NamedTuple):
    """The two factors of SSIM at each pixel; float64, the shape of the image."""

    luminance: np.ndarray
    contrast: np.ndarray


def ssim(restored: np.ndarray, clean: np.ndarray, *, data_range: float = 1.0) -> float:
    """Structural similarity of Wang et al. with the settings of its authors.

    A Gaussian window of 11x11 pixels and standard deviation 1.5, K1 = 0.01, K2 = 0.03, biased variances; the
    mean over all pixels whose window lies inside the image, then over the channels. It equals scikit-image's
    with ``gaussian_weights=True, sigma=1.5, use_sample_covariance=False``.

    Args:
        restored: (H, W) or (C, H, W), any real dtype, at least 11x11 pixels.
        clean: the same shape.
        data_range: largest minus smallest possible value; 1 for images in [0, 1].

    Returns:
        1 for identical images, less for all others; NaN where an image holds NaN.

    Raises:
        DataError: the shapes differ, are not those of an image, or an image is smaller than 11x11.
        InputError: `data_range` is not positive.

    References:
        Z. Wang, A. C. Bovik, H. R. Sheikh, E. P. Simoncelli: Image quality assessment: from error visibility
        to structural similarity. IEEE Transactions on Image Processing 13, 2004.
    """
    first, second = checked_pair(restored, clean, smallest=2 * RADIUS + 1)
    return float(np.mean(inside(np.multiply(*ssim_terms(first, second, checked_range(data_range))))))


def ssim_terms(
    first: np.ndarray, second: np.ndarray, data_range: float, mode: Literal["reflect", "mirror"] = "reflect"
) -> Terms:
    """Luminance and contrast-structure terms at every pixel.

    Args:
        first: float64 (..., H, W).
        second: the same shape.
        data_range: of both.
        mode: how windows go on beyond the border, as in scipy.ndimage.
    """

    def average(image: np.ndarray) -> np.ndarray:
        rows: np.ndarray = correlate1d(image, _WINDOW, axis=-1, mode=mode)
        both: np.ndarray = correlate1d(rows, _WINDOW, axis=-2, mode=mode)
        return both

    mean_1, mean_2 = average(first), average(second)
    squares, product = mean_1 * mean_1 + mean_2 * mean_2, mean_1 * mean_2
    spread = average(first * first + second * second) - squares
    covariance = average(first * second) - product
    c1, c2 = (K1 * data_range) ** 2, (K2 * data_range) ** 2
    return Terms((2 * product + c1) / (squares + c1), (2 * covariance + c2) / (spread + c2))


def inside(values: np.ndarray) -> np.ndarray:
    """The pixels whose window lies inside the image."""
    return values[..., RADIUS:-RADIUS, RADIUS:-RADIUS]


def _window() -> np.ndarray:
    weights = np.exp(-0.5 * (np.arange(-RADIUS, RADIUS + 1) / SIGMA) ** 2)
    window: np.ndarray = weights / weights.sum()
    return window


_WINDOW = _window()
