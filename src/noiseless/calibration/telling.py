"""What a conditioned network is told of the noise in an image, from the image alone."""

from __future__ import annotations

import numpy as np

from noiseless.calibration.measuring import examine_planes
from noiseless.noise.chain import Chain


def told_level(planes: np.ndarray) -> np.ndarray:
    """The level of white noise that a network is told, for each plane on its own.

    Noise that grows with brightness gives a map, correlated noise a level that counts its strength at coarse scales.
    Stripes and impulses do not count: a network for white noise does not remove them whatever it is told.

    Args:
        planes: (N, C, H, W), float32, [0, 1] units.

    Returns:
        Standard deviations, float32: (N, C, 1, 1), or (N, C, H, W) where the noise of any plane depends on brightness.
    """
    told = [_of_plane(plane) for plane in planes]
    size = max(level.shape[1:] for level in told)
    return np.stack([np.broadcast_to(level, (len(level), *size)) for level in told])


def _of_plane(plane: np.ndarray) -> np.ndarray:
    found = examine_planes([plane])
    noise = found.noise.parts[0] if isinstance(found.noise, Chain) else found.noise
    return noise.told_map(plane if found.kind == "poisson-gaussian" else plane[:, :1, :1])
