"""How strong the noise of one image is, with what chance made of it: what a good denoiser leaves of it tells.

Stein's formula is off by as much as the noise of the image is stronger or weaker than its variance says: by chance, and
because a measured variance is not exact. At sigma 50 one percent of it is a quarter of the error of a good denoiser.

But of the denoiser of least mean error that error is known in another way: it is what the derivative of the denoiser
says is left of the noise. Shipped models come near it, so that where Stein's formula says more, the noise is stronger.
Both are compared in bands of frequency and of colour. Pictures have little in fine detail and in differences of
channels, where most of the noise is: the error is small there for sure, which tells the level of the noise. In what is
coarse there is less noise to be wrong about, and Stein's formula is the surer one.

References:
    B. Efron: Tweedie's formula and selection bias. Journal of the American Statistical Association 106, 2011.
    K. Miyasawa: An empirical Bayes estimator of the mean of a normal population. Bulletin of the International
    Statistical Institute 38, 1961 (error and derivative of the best denoiser).
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import fft

from noiseless.noise import Noise
from noiseless.noise.gaussian import Gaussian
from noiseless.noise.poisson import Poisson
from noiseless.noise.poisson_gaussian import PoissonGaussian

if TYPE_CHECKING:
    from noiseless.evaluation.risk import Risk

RINGS = (1 / 8, 1 / 4, 1 / 2)
"""Where bands end, in shares of the highest frequency along rows or columns."""

SPREAD, WIDEST, SHARED = 0.15, 1.5, 0.3
"""How well the derivative tells the error of a shipped model in a band: the standard deviation of their ratio, for a
band in which all of the noise is left; the most it may be; the correlation of two bands. It grows with the root of how
little is left. Found on crops of photographs that no model has seen, for noise of sigma 5 to 50."""

TAILS = 1.25
"""What the deviation is multiplied by, since pictures of one kind of texture are further off than a normal law has it:
with it the 95% interval of the error held the truth in 95% of the grey crops, and in 99% of those in colour."""

LEAST = 1e-4
"""Share of the noise that is left at least."""

CHANCE = 8.0
"""Variance of an error that Stein's formula gives, over that of the noise times the error, for each pixel: 4 from how
the error happens to resemble the noise, and at most as much from the random direction of the derivative."""


@dataclass(frozen=True)
class Power:
    """Mean squared noise of an image.

    Attributes:
        excess: by how much it is above the variance.
        deviation: standard deviation of that.
    """

    excess: float
    deviation: float


def is_white(noise: Noise) -> bool:
    """Whether the shipped models have learned such noise, and its power is the same in all frequencies."""
    return isinstance(noise, Gaussian | Poisson | PoissonGaussian)


def power_of(risk: Risk, restored: np.ndarray, beside: np.ndarray, deviation: float) -> Power:
    """The power of the noise in an image.

    Args:
        risk: Stein's formula for the image.
        restored: by the reference, (C, H, W).
        beside: what the reference made of `risk.beside`.
        deviation: standard deviation of the mean variance, for what is not known of it; no more than all of it.
    """
    bands = np.concatenate([_bands(risk, restored, beside, weights) for weights in _mixing(len(restored))], axis=1)
    error, left, expected, count = bands[:, bands[-1] > 0]  # small images have no band between others
    level = risk.level
    deviation = min(deviation, level)
    share = expected / expected.sum()
    left = np.maximum(left, LEAST * expected)
    spread = left * np.minimum(SPREAD * np.sqrt(expected / left), WIDEST)
    uneven = float((risk.law.seen**2).mean() / max(float(risk.law.seen.mean()) ** 2, 1e-30))
    chance = 2 * uneven * expected**2 / count
    told = SHARED * np.outer(spread, spread) + np.diag((1 - SHARED) * spread**2)
    unsure = np.diag(chance + CHANCE * level * left / risk.noisy.size) + deviation**2 * np.outer(share, share)
    together = chance + deviation**2 * share  # covariance of the power with what is seen in each band
    gain = np.linalg.solve(told + unsure, together)
    rest = float(chance.sum() + deviation**2 - together @ gain)
    return Power(float(gain @ (error - left)), TAILS * float(np.sqrt(max(rest, 0.0))))


def _bands(risk: Risk, restored: np.ndarray, beside: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Of one mixture of channels: error and noise that is left as Stein's formula has them, variance, count.

    Returns:
        (4, bands), in shares of the mean over all pixels and channels, but for the count.
    """
    law, size = risk.law, risk.noisy.size
    removed = _spectrum(np.asarray(restored, np.float64) - law.full, weights)
    probe, moved = (_spectrum(each, weights) for each in (risk.probe, risk.moved(restored, beside)))
    rows, columns = (np.digitize(np.arange(side) / side, RINGS) for side in removed.shape[-2:])
    band = np.maximum(rows[:, np.newaxis], columns).ravel()
    count = np.bincount(band, minlength=len(RINGS) + 1)
    taken, left = (np.bincount(band, each.ravel(), len(count)) / size for each in (removed**2, probe * moved))
    expected = float(weights**2 @ law.seen.mean(axis=(-2, -1))) * count / size
    return np.stack([taken - expected + 2 * left, left, expected, count])


def _spectrum(image: np.ndarray, weights: np.ndarray) -> np.ndarray:
    found: np.ndarray = fft.dctn(np.einsum("c,chw->hw", weights, image), norm="ortho")
    return found


@functools.cache
def _mixing(channels: int) -> np.ndarray:
    """Orthonormal rows: the mean of the channels, and their differences."""
    rows = np.eye(channels)
    rows[0] = 1
    found: np.ndarray = np.linalg.qr(rows.T)[0].T
    return found
