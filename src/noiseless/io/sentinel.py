"""Values that say that there is no picture: a result must not take them where there is one."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def kept_apart(
    array: npt.NDArray[Any], hidden: npt.NDArray[np.bool_] | None, low: float, high: float
) -> npt.NDArray[Any]:
    """The array, with values from `low` to `high` where nothing is hidden moved to the closest value outside.

    Args:
        array: integers or floats.
        hidden: where these values mean what they say; nowhere if ``None``.
        low: smallest of the values that say that there is no picture.
        high: largest of them.
    """
    wrong = (array >= low) & (array <= high)
    if hidden is not None:
        wrong &= ~hidden
    if not wrong.any():
        return array
    if array.dtype.kind == "f":
        outside = np.nextafter(array.dtype.type(high), array.dtype.type(np.inf))
    else:
        limits = np.iinfo(array.dtype)
        outside = array.dtype.type(high + 1 if high < limits.max else low - 1)
    apart: npt.NDArray[Any] = np.where(wrong, outside, array)
    return apart
