"""Multi-scale structural similarity."""

from __future__ import annotations

import numpy as np

from noiseless.metrics.images import checked_pair, checked_range
from noiseless.metrics.structural import RADIUS, inside, ssim_terms

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
SMALLEST = (2 * RADIUS + 1) * 2 ** (len(WEIGHTS) - 1)


def ms_ssim(restored: np.ndarray, clean: np.ndarray, *, data_range: float = 1.0) -> float:
    """Multi-scale structural similarity of Wang et al. over five scales, each half the one before (2x2 means).

    The product of the mean contrast terms of the first four scales and the mean SSIM of the last, each to the
    power of its weight; negative means count as 0, means are over channels too. Contrast terms are averaged
    where the window lies inside the image, the SSIM of the last scale over all of it with mirrored borders:
    as in torchmetrics.

    Args:
        restored: (H, W) or (C, H, W), any real dtype, at least 176x176 pixels.
        clean: the same shape.
        data_range: largest minus smallest possible value; 1 for images in [0, 1].

    Returns:
        1 for identical images, less for all others; NaN where an image holds NaN.

    Raises:
        DataError: the shapes differ, are not those of an image, or an image is smaller than 176x176.
        InputError: `data_range` is not positive.

    References:
        Z. Wang, E. P. Simoncelli, A. C. Bovik: Multiscale structural similarity for image quality assessment.
        Asilomar Conference on Signals, Systems and Computers, 2003.
    """
    first, second = checked_pair(restored, clean, smallest=SMALLEST)
    scale = checked_range(data_range)
    product = 1.0
    for weight in WEIGHTS[:-1]:
        terms = ssim_terms(first, second, scale)
        product *= _power(inside(terms.contrast), weight)
        first, second = _half(first), _half(second)
    last = ssim_terms(first, second, scale, mode="mirror")
    return product * _power(last.luminance * last.contrast, WEIGHTS[-1])


def _power(values: np.ndarray, weight: float) -> float:
    return float(np.maximum(np.mean(values), 0) ** weight)


def _half(image: np.ndarray) -> np.ndarray:
    height, width = (side // 2 * 2 for side in image.shape[-2:])
    even = image[..., :height, :width]
    rows = even[..., 0::2, :] + even[..., 1::2, :]
    quarter: np.ndarray = (rows[..., 0::2] + rows[..., 1::2]) / 4
    return quarter
