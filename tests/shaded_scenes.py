"""Pictures without noise for the tests of calibration."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter


def scene(size: int = 160, seed: int = 9) -> np.ndarray:
    """Smooth shading, edges and a patch of strong texture, float64 (1, size, size) from 0 to 1."""
    y, x = np.mgrid[:size, :size] / size
    picture = 0.3 + 0.2 * x + 0.2 * np.sin(3 * y) + 0.15 * ((x - 0.6) ** 2 + (y - 0.4) ** 2 < 0.05)
    texture = gaussian_filter(np.random.default_rng(seed).standard_normal((size, size)), 0.8)
    return (picture + 0.3 * texture * (y > 0.55))[None]


def as_8_bit(image: np.ndarray) -> np.ndarray:
    """The image clipped to [0, 1] and rounded to 256 levels."""
    return np.rint(np.clip(image, 0, 1) * 255) / 255
