"""Metrics of single pixels: mean squared error, mean absolute error and PSNR."""

from __future__ import annotations

import math

import numpy as np

from noiseless.metrics.images import checked_pair, checked_range


def mse(restored: np.ndarray, clean: np.ndarray, *, data_range: float = 1.0) -> float:
    """Mean squared error over all pixels and channels, in units of ``data_range ** 2``.

    Args:
        restored: (H, W) or (C, H, W), any real dtype.
        clean: the same shape.
        data_range: largest minus smallest possible value; 1 for images in [0, 1].

    Returns:
        A number >= 0; NaN where an image holds NaN.

    Raises:
        DataError: the shapes differ, are not those of an image, or an image is empty.
        InputError: `data_range` is not positive.
    """
    first, second = checked_pair(restored, clean)
    return float(np.mean(np.square(first - second))) / checked_range(data_range) ** 2


def mae(restored: np.ndarray, clean: np.ndarray, *, data_range: float = 1.0) -> float:
    """Mean absolute error over all pixels and channels, in units of `data_range`; as `mse` otherwise."""
    first, second = checked_pair(restored, clean)
    return float(np.mean(np.abs(first - second))) / checked_range(data_range)


def psnr(restored: np.ndarray, clean: np.ndarray, *, data_range: float = 1.0) -> float:
    """Peak signal-to-noise ratio ``10 log10(data_range ** 2 / mse)`` in dB, over all pixels and channels at once.

    Nothing is clipped, quantised or cropped here: that belongs to the protocol of an evaluation.

    Args:
        restored: (H, W) or (C, H, W), any real dtype.
        clean: the same shape.
        data_range: largest minus smallest possible value; 1 for images in [0, 1].

    Returns:
        dB; infinity for identical images, NaN where an image holds NaN.

    Raises:
        DataError: the shapes differ, are not those of an image, or an image is empty.
        InputError: `data_range` is not positive.

    Examples:
        >>> clean = np.zeros((4, 4))
        >>> round(psnr(clean + 0.1, clean), 6), psnr(clean, clean)
        (20.0, inf)
    """
    error = mse(restored, clean, data_range=data_range)
    return math.inf if error == 0 else -10 * math.log10(error)
