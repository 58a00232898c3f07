"""The squared error of a restored image to the clean one that nobody has, pixel by pixel; only means say anything.

From one image, by Stein's formula. With y = x + n and a model f,

    E |f(y) - x|^2 = E |f(y) - y|^2 - E |n|^2 + 2 E <n, f(y)>,

and for normal noise the last is the trace of its covariance times the model's derivative: <b, f(y + b) - f(y)> for a
small b that is distributed as the noise. So one formula serves white, correlated and signal-dependent noise; for the
last the normal law of the same variance stands in.

Of a clipped pixel y is not known, but its mean and variance are: those of noise beyond the limit, which in a rounded
image is half a step before the last value. They stand in for y and are taken off the variance of n; and as a clipped
pixel does not change with n, the derivative is by the others alone, whose n has the error of rounding as well. All this
asks for the clean value, on which what is clipped depends little: a shipped model tells it well enough, and how far it
is off is added.

From two exposures y and z of one scene, without any formula: E |f(y) - z|^2 is the error and the variance of z, which
the difference of the two tells.

References:
    C. M. Stein: Estimation of the mean of a multivariate normal distribution. Annals of Statistics 9, 1981.
    S. Ramani, T. Blu, M. Unser: Monte-Carlo SURE. IEEE Transactions on Image Processing 17, 2008.
    J. Lehtinen et al.: Noise2Noise. ICML, 2018 (a noisy target in place of a clean one).
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage
from scipy.special import ndtr

from noiseless.calibration.patches import rounding_step
from noiseless.noise import Noise
from noiseless.noise.base import Moments
from noiseless.noise.chain import Chain
from noiseless.noise.clip import Clip, censored_moments, moments_beyond
from noiseless.noise.poisson import Poisson
from noiseless.noise.poisson_gaussian import PoissonGaussian
from noiseless.noise.values import as_array

if TYPE_CHECKING:
    from noiseless.denoiser import Denoiser

PROBE = 0.1
"""Size of the change that the derivative is measured with, in standard deviations of the noise."""

STREAM = 20260
"""Tells the random numbers of this measurement from others of the same seed."""

SMOOTHED = 1.5
"""Standard deviation in pixels of the window whose mean stands in for the clean value where nothing was clipped."""

BLOCK = 16
"""Side of the blocks whose spread says how sure an estimate is."""

GREYS = np.linspace(0.1, 0.9, 9, dtype=np.float32).reshape(1, 3, 3)
UNBIASED = 1e-3
"""How far noise may move a mean grey and still count as of zero mean."""


@dataclass(frozen=True)
class Law:
    """What the noise does to each pixel of an image, (C, H, W), and what is seen of it.

    Attributes:
        clean: about the clean values.
        free: variance before clipping, that of rounding included.
        variance: after it.
        shift: of the mean, by clipping.
        full: the noisy image; where it was clipped, what is expected to have been there.
        seen: what `full` differs from the clean image by, its mean square; the rest of `free` is hidden by clipping.
        unseen: of what is left of the noise, the share to add for pixels like this that were clipped.
        inside: whether a pixel was not clipped.
    """

    clean: np.ndarray
    free: np.ndarray
    variance: np.ndarray
    shift: np.ndarray
    full: np.ndarray
    seen: np.ndarray
    unseen: np.ndarray
    inside: np.ndarray

    @property
    def power(self) -> np.ndarray:
        """Mean squared error of the noisy image, at each pixel."""
        return np.asarray(self.variance + self.shift**2)

    def probe(self, noise: Noise, generator: np.random.Generator, mixing: np.ndarray | None = None) -> np.ndarray:
        """Normal noise, not clipped, with the correlation of the model and, by `mixing`, of channels; float32."""
        flat, noise = np.full(self.free.shape, 0.5, np.float32), noise.draw(generator)
        after = noise.moments(Moments.of(flat))
        if after is not None and after.normal:
            spread = np.sqrt(noise.variance(flat))
            drawn = np.divide(noise.sample(flat, generator) - flat, spread, out=np.zeros_like(flat), where=spread > 0)
        else:
            drawn = generator.standard_normal(flat.shape)
        if mixing is not None:
            drawn = np.einsum("cd,dhw->chw", mixing, drawn)
        return np.asarray(drawn * np.sqrt(self.free), np.float32)


@dataclass(frozen=True)
class Risk:
    """Stein's formula, made ready for an image.

    Attributes:
        noisy: the image, (C, H, W) in [0, 1] units.
        law: of its noise.
        probe: noise as it might have been, float32.
    """

    noisy: np.ndarray
    law: Law
    probe: np.ndarray

    @classmethod
    def of(cls, noisy: np.ndarray, noise: Noise, seed: int, mixing: np.ndarray | None = None) -> Risk:
        """Make it ready.

        Args:
            noisy: (C, H, W), float32, in [0, 1] units.
            noise: that it has.
            seed: of the probe.
            mixing: (C, C), rows of norm 1: makes channels that resemble each other of independent ones.
        """
        law = law_of(noisy, noise)
        # not the stream of a bare seed: an image that was made with it would be probed with its own noise
        return cls(noisy, law, law.probe(noise, np.random.default_rng([seed, STREAM]), mixing))

    @property
    def level(self) -> float:
        """Mean squared error of the noisy image."""
        return float(self.law.power.mean())

    @property
    def beside(self) -> np.ndarray:
        """The image with a little more noise where it was not clipped, float32, which is to be restored as well."""
        return np.asarray(self.noisy + np.float32(PROBE) * self.probe * self.law.inside, np.float32)

    @property
    def sample(self) -> np.ndarray:
        """What another noisy image of the scene might differ from it by, (C, H, W)."""
        if self.law.inside.all():
            return self.probe
        return np.asarray((self.law.clean + self.probe).clip(0, 1) - self.law.clean)

    def left(self, restored: np.ndarray, restored_beside: np.ndarray) -> np.ndarray:
        """Noise times what of it is left in the restored image, at each pixel: the noise's variance, if all is."""
        return np.asarray(self.probe * self.moved(restored, restored_beside))

    def moved(self, restored: np.ndarray, restored_beside: np.ndarray) -> np.ndarray:
        """What a model makes of the probe, by its derivative."""
        return np.asarray((np.asarray(restored_beside, np.float64) - restored) / PROBE)

    def error(self, restored: np.ndarray, restored_beside: np.ndarray) -> np.ndarray:
        """Squared error of the restored image at each pixel, (C, H, W), float64."""
        removed = np.asarray(restored, np.float64) - self.law.full
        return np.asarray(removed**2 - self.law.seen + (2 + self.law.unseen) * self.left(restored, restored_beside))


def error_to_another_view(restored: np.ndarray, noisy: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Squared error at each pixel, from a second noisy view of the scene, of like and independent noise.

    Args:
        restored: from `noisy`, (C, H, W) in [0, 1] units.
        noisy: the first view.
        other: the second.
    """
    return np.asarray((np.asarray(restored, np.float64) - other) ** 2 - variance_of_views(noisy, other))


def variance_of_views(noisy: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Variance of the noise at each pixel, of which only means say anything: half the squared difference; float64."""
    return np.asarray((noisy.astype(np.float64) - other) ** 2 / 2)


def block_means(error: np.ndarray) -> np.ndarray:
    """Means of (C, H, W) over channels and blocks of 16 pixels, (rows, columns); of smaller images one."""
    rows, columns = (max(side // BLOCK, 1) * min(BLOCK, side) for side in error.shape[-2:])
    tall, wide = min(BLOCK, rows), min(BLOCK, columns)
    plane = error.mean(axis=0)[:rows, :columns]
    return np.asarray(plane.reshape(rows // tall, tall, columns // wide, wide).mean(axis=(1, 3)))


def law_of(noisy: np.ndarray, noise: Noise) -> Law:
    """The law of the noise in an image whose clean version is not known.

    An image that never leaves [0, 1] counts as clipped where it reaches 0 or 1, unless its noise has no normal law near
    by.
    """
    inside, step = (noisy > 0) & (noisy < 1), rounding_step(noisy)
    rounding = step**2 / 12
    if inside.all() or noisy.min() < 0 or noisy.max() > 1 or not has_formula(noise):
        clean = ndimage.gaussian_filter(noisy, (0, SMOOTHED, SMOOTHED), mode="mirror").clip(0, 1)
        free = noise.variance(clean) + rounding
        none = np.zeros(noisy.shape)
        return Law(clean, free, free, none, noisy, free, none, np.ones_like(inside))
    told = noise.told_map(noisy)
    clean = np.asarray(reference(len(noisy))(noisy, noise=told, channel_axis=0, data_range=(0.0, 1.0)), np.float64)
    clean = clean.clip(0, 1)  # the small shipped models know it better than windows do, which take a dark line for grey
    before = noise.variance(clean.astype(np.float32)).astype(np.float64)
    expected, variance = censored_moments(clean, before)
    third, spread = _third_moment(noise, clean), np.sqrt(np.maximum(before, np.finfo(np.float64).tiny))
    full, seen, unseen = noisy.astype(np.float64), before + rounding, np.zeros(noisy.shape)
    for clipped, limit, side in ((noisy <= 0, step / 2, -1.0), (noisy >= 1, 1 - step / 2, 1.0)):
        away = side * (limit - clean)
        beyond, hidden = moments_beyond(away, before, side * third)
        full[clipped] = (clean + side * beyond)[clipped]
        seen[clipped] = (before - hidden)[clipped]
        unseen += inside * _unseen(away / spread, hidden / spread**2)
    return Law(clean, before + rounding, variance + rounding, expected - clean, full, seen, unseen, inside)


def _unseen(away: np.ndarray, hidden: np.ndarray) -> np.ndarray:
    """Squared error of clipped pixels that is not seen, over that of pixels that might have been clipped and were not.

    What stands in for a clipped pixel is of the clean value that a model tells, which errs as the measured one does: an
    error e moves it by h e, where h is the share of the variance that is hidden, and h (2 - h) of e squared is missing.

    Args:
        away: distance from the clean value to the limit, in standard deviations.
        hidden: share of the variance that is hidden in a pixel that is beyond it.
    """
    clipped = ndtr(-np.maximum(away, 0))
    return np.asarray(clipped / (1 - clipped) * hidden * (2 - hidden))


def _third_moment(noise: Noise, clean: np.ndarray) -> np.ndarray:
    """Third central moment of the noise at each pixel: that of counts, all else is even."""
    gains = [as_array(part.gain) for part in counted(noise) if isinstance(part, Poisson | PoissonGaussian)]
    return sum((gain**2 * clean for gain in gains), np.zeros_like(clean))


@functools.cache
def reference(channels: int) -> Denoiser:
    """The model that judges: the small ones are as good at it as the large."""
    from noiseless.denoiser import load

    return load("color-nano" if channels == 3 else "gray-nano")


def has_formula(noise: Noise) -> bool:
    """Whether Stein's formula holds for noise, but for the clipping that follows it."""
    return counted(noise) == _uncut(noise)


def counted(noise: Noise) -> tuple[Noise, ...]:
    """The parts of noise for which Stein's formula holds: zero mean, and a formula of the variance."""
    found = []
    for part in _uncut(noise):
        after = part.moments(Moments.of(np.repeat(GREYS, part.channels or 1, axis=0)))
        if after is not None and float(np.abs(after.mean - GREYS).max()) < UNBIASED:
            found.append(part)
    return tuple(found)


def _uncut(noise: Noise) -> tuple[Noise, ...]:
    """The parts of noise but for the clipping that follows them."""
    parts = noise.parts if isinstance(noise, Chain) else (noise,)
    return tuple(part for part in parts if not isinstance(part, Clip))
