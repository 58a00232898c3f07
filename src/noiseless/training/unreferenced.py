"""How far a restored image is from the clean one that nobody knows: mean squared error without a reference.

Both estimates are unbiased for a network that has not learned from the image; they choose the best weights of a run
that has no clean images, and stop it early.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from noiseless.training.known import KnownNoise

STEP = 0.1
"""Share of the noise that is added to see how much of the noise is still in the result."""

DRAWS = 2

Restore = Callable[[np.ndarray], np.ndarray]


def error_from_noise(noisy: np.ndarray, noise: KnownNoise, seed: int, restore: Restore) -> tuple[float, float]:
    """Stein's unbiased risk estimate, for the noise that is known; see `noiseless.training.objectives.sure`.

    Args:
        noisy: (C, H, W) in [0, 1] units.
        noise: what it has.
        seed: of the noise that is added to it.
        restore: what is judged; from such an array to a restored one.

    Returns:
        Mean squared error of the restored and of the noisy image; that of the restored may be below 0 by chance.
    """
    generator = torch.Generator().manual_seed(seed)
    batch = torch.from_numpy(noisy)[None]
    variance = float(noise.variance(batch).mean())
    restored = restore(noisy).astype(np.float64)
    left = 0.0
    for _ in range(DRAWS):
        more = noise.sample(batch, generator)[0].numpy()
        moved = restore(noisy + np.float32(STEP) * more).astype(np.float64)
        left += float((more * (moved - restored)).mean()) / STEP / DRAWS
    fidelity = float(((restored - noisy) ** 2).mean())
    return fidelity - variance + 2 * left, variance


def error_from_another_view(noisy: np.ndarray, other: np.ndarray, restore: Restore) -> tuple[float, float]:
    """From a second noisy view of the scene, of the same and independent noise, which may be correlated.

    Lehtinen et al., "Noise2Noise", 2018: the squared distance to the other view is the error plus the variance of
    its noise, which is half the squared distance between the views.

    Args:
        noisy: (C, H, W) in [0, 1] units.
        other: the second view.
        restore: as of `error_from_noise`.

    Returns:
        As `error_from_noise`.
    """
    variance = float(((noisy.astype(np.float64) - other) ** 2).mean()) / 2
    return float(((restore(noisy).astype(np.float64) - other) ** 2).mean()) - variance, variance
