"""What a conditioned network is told of the noise in an image, from the image alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from noiseless.calibration.measuring import find_noise
from noiseless.noise import Noise
from noiseless.noise.chain import Chain

LARGE = 2_000_000
"""Pixels of a plane that is measured in parts."""

PARTS, PART = 4, 320
"""Parts along each side, and their side in pixels."""


@dataclass(frozen=True)
class Told:
    """What a network is told of the noise of a plane, for any part of it.

    Attributes:
        noise: what was found.
        level: (C, 1, 1), where it is the same everywhere.
        scale: units of the parts in those of the plane that was measured.
    """

    noise: Noise
    level: np.ndarray | None
    scale: float = 1.0

    def __call__(self, part: np.ndarray) -> np.ndarray:
        """Standard deviations for a part (C, h, w): (C, h, w), or (C, 1, 1) where there is one level."""
        found = self.noise.told_map(part * self.scale) if self.level is None else self.level
        return np.asarray(found / self.scale, np.float32)


def measure(plane: np.ndarray) -> Told:
    """What a network is told of the noise of a plane (C, H, W), float32, [0, 1] units.

    Noise that grows with brightness gives a map, correlated noise a level that counts its strength at coarse scales.
    Stripes and impulses do not count: a network for white noise does not remove them whatever it is told.
    """
    kind, found = find_noise(_parts(plane))
    noise = found.parts[0] if isinstance(found, Chain) else found
    return Told(noise, None if kind == "poisson-gaussian" else noise.told_map(plane[:, :1, :1]))


def told_level(planes: np.ndarray) -> np.ndarray:
    """The level of white noise that a network is told, for each plane on its own; see `measure`.

    Args:
        planes: (N, C, H, W), float32, [0, 1] units.

    Returns:
        Standard deviations, float32: (N, C, 1, 1), or (N, C, H, W) where the noise of any plane depends on brightness.
    """
    told = [measure(plane)(plane) for plane in planes]
    size = max(level.shape[1:] for level in told)
    return np.stack([np.broadcast_to(level, (len(level), *size)) for level in told])


def pixel_level(planes: np.ndarray) -> np.ndarray:
    """The standard deviation of a pixel, for classical methods; unlike in `told_level`, correlation adds nothing.

    Told the strength at coarse scales, non-local means blur photographs: the level of the single pixel gains more.

    Args:
        planes: (N, C, H, W), float32, [0, 1] units.

    Returns:
        (N, C, 1, 1), float32, the root mean square over each channel.
    """
    variances = [np.broadcast_to(measure(plane).noise.variance(plane), plane.shape) for plane in planes]
    levels = np.sqrt(np.stack(variances).mean(axis=(2, 3), keepdims=True, dtype=np.float64))
    return np.asarray(levels, np.float32)


def _parts(plane: np.ndarray) -> list[np.ndarray]:
    """A large plane as parts spread over it, which say as much in less time; any other as it is."""
    height, width = plane.shape[1:]
    if height * width <= LARGE:
        return [plane]
    down, across = (min(PART, size // PARTS) for size in (height, width))
    tops, lefts = (np.linspace(0, size - part, PARTS).astype(int) for size, part in ((height, down), (width, across)))
    return [plane[:, top : top + down, left : left + across] for top in tops for left in lefts]
