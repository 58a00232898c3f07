"""Parts that stand for the whole: some of many images, the middle of one."""

from __future__ import annotations

from typing import Any

import numpy as np


def spread(count: int, most: int) -> list[int]:
    """Numbers from 0 to `count` - 1, at most so many, as far from each other as can be; ascending."""
    return sorted(set(np.linspace(0, count - 1, min(count, most)).round().astype(int).tolist()))


def middle(image: np.ndarray[Any, Any], side: int) -> np.ndarray[Any, Any]:
    """A view of the middle of an image (..., H, W), at most `side` pixels wide and high."""
    top, left = (max(0, length - side) // 2 for length in image.shape[-2:])
    return image[..., top : top + side, left : left + side]
