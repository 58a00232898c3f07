"""What all metrics ask of the images they compare."""

from __future__ import annotations

import math

import numpy as np

from noiseless.errors import DataError, InputError


def checked_pair(restored: np.ndarray, clean: np.ndarray, *, smallest: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Both images in float64.

    Args:
        restored: (H, W) or (C, H, W), any real dtype.
        clean: the same shape.
        smallest: smallest height and width that the metric is defined for.

    Raises:
        DataError: the shapes differ, are not those of an image, or an image is smaller than `smallest`.
    """
    first, second = np.asarray(restored), np.asarray(clean)
    if first.shape != second.shape:
        raise DataError("images of different shape cannot be compared", got=f"{first.shape} and {second.shape}")
    if first.ndim not in (2, 3) or "c" in first.dtype.kind + second.dtype.kind:
        raise DataError("not an image", got=f"shape {first.shape}", expected="(H, W) or (C, H, W)")
    if not first.size or min(first.shape[-2:]) < smallest:
        raise DataError(
            "an image is too small for this metric",
            got=f"{first.shape[-1]}x{first.shape[-2]}",
            expected=f"at least {smallest}x{smallest} pixels",
        )
    return first.astype(np.float64, copy=False), second.astype(np.float64, copy=False)


def checked_range(data_range: float) -> float:
    """The data range as a float.

    Raises:
        InputError: not a positive, finite number.
    """
    if not (math.isfinite(data_range) and data_range > 0):
        raise InputError("data_range of a metric is no range", got=repr(data_range), expected="a number > 0")
    return float(data_range)
