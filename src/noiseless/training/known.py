"""What an objective without clean images knows of the noise: its strength by brightness, and who resembles whom.

Any noise model is brought into this form by looking at it: its variance over the brightness is fitted by a line
(photon noise and a floor), and its correlation between neighbours is measured on a sample of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from noiseless.noise import Noise

REACH = 7
"""Pixels to each side within which noise may be correlated; what lies beyond is left out."""

RESEMBLES = 0.1
"""Neighbours whose correlation with a pixel exceeds this in size tell what its noise is."""

SIDE = 192
LEVELS = np.linspace(0.1, 0.9, 5)
MID_GREY = 0.4


@dataclass(frozen=True)
class KnownNoise:
    """Noise of zero mean whose variance is ``gain x + floor``, in [0, 1] units, and that may be correlated.

    Attributes:
        noise: the model that it is made of.
        gain, floor: (C, 1, 1).
        kernel: (K, K) with K odd, sum of squares 1: what makes such noise of white noise.
        correlation: (2 REACH + 1, 2 REACH + 1), 1 in the middle: of a pixel with those around it.
        mixing: (C, C), rows of norm 1: makes channels that resemble each other of independent ones.
        tails: excess kurtosis of a pixel's noise on mid-grey: 0 for normal noise, large for impulses.
    """

    noise: Noise
    gain: Tensor
    floor: Tensor
    kernel: Tensor
    correlation: Tensor
    mixing: Tensor
    tails: float = 0.0

    @classmethod
    def of(cls, noise: Noise, channels: int, between_channels: np.ndarray | None = None) -> KnownNoise:
        """What a noise model says.

        Args:
            noise: the model; of ranges, the mean variance counts.
            channels: of the images.
            between_channels: (C, C), correlation of the noise of two channels at one place; none where ``None``.
        """
        flat = [np.full((channels, 32, 32), level, np.float32) for level in LEVELS]
        variances = np.stack([noise.variance(image).mean(axis=(-2, -1)) for image in flat])
        gain, floor = np.polyfit(LEVELS, variances, 1)
        gain = np.maximum(gain, 0)
        floor = np.maximum(variances.mean(axis=0) - gain * LEVELS.mean(), 1e-10)
        residual = _on_grey(noise, channels)
        correlation = _correlation(residual)
        mixing = np.eye(channels) if between_channels is None else _root(between_channels)
        column = (np.reshape(values, (-1, 1, 1)) for values in (gain, floor))
        tensors = [torch.tensor(part, dtype=torch.float32) for part in (*column, _kernel(correlation))]
        around, mixed = (torch.tensor(part, dtype=torch.float32) for part in (correlation, mixing))
        return cls(noise, tensors[0], tensors[1], tensors[2], around, mixed, _tails(residual))

    @property
    def near(self) -> Tensor:
        """Bool, of the shape of `correlation`: neighbours whose noise resembles a pixel's, and the pixel itself."""
        return self.correlation.abs() > RESEMBLES

    @property
    def reach(self) -> int:
        """How far away, in rows or columns, the noise of a neighbour still resembles a pixel's; 0 for white noise."""
        rows, columns = torch.nonzero(self.near, as_tuple=True)
        return int(torch.maximum((rows - REACH).abs(), (columns - REACH).abs()).max())

    @property
    def joint(self) -> bool:
        """Whether the noise of one channel tells something of that of another."""
        return bool((self.mixing @ self.mixing.T - torch.eye(len(self.mixing))).abs().max() > RESEMBLES)

    def variance(self, noisy: Tensor) -> Tensor:
        """Variance of the noise at each pixel of (B, C, H, W), from the brightness of its neighbourhood."""
        gain, floor = self.gain.to(noisy.device), self.floor.to(noisy.device)
        if not bool((self.gain > 0).any()):
            return floor.expand_as(noisy)
        smooth = functional.avg_pool2d(functional.pad(noisy, (2, 2, 2, 2), mode="replicate"), 5, stride=1)
        return gain * smooth.clamp_min(0) + floor

    def sample(self, noisy: Tensor, generator: torch.Generator) -> Tensor:
        """New noise such as (B, C, H, W) has, independent of it."""
        margin = self.kernel.shape[-1] // 2
        batch, channels, height, width = noisy.shape
        white = torch.randn(batch, channels, height + 2 * margin, width + 2 * margin, generator=generator)
        if margin:
            white = functional.conv2d(white.flatten(0, 1)[:, None], self.kernel[None, None])
        noise = white.reshape(noisy.shape)
        if self.joint:
            noise = torch.einsum("cd,bdhw->bchw", self.mixing, noise)
        return noise.to(noisy.device) * self.variance(noisy).sqrt()

    @property
    def level(self) -> float:
        """A typical variance, by which losses are divided so that the learning rate suits any strength."""
        return float((self.gain * MID_GREY + self.floor).mean())


def _on_grey(noise: Noise, channels: int) -> np.ndarray:
    """Noise on mid-grey, (C, SIDE, SIDE), without its mean."""
    flat = np.full((channels, SIDE, SIDE), MID_GREY, np.float32)
    residual = (noise.sample(flat, np.random.default_rng(0)) - flat).astype(np.float64)
    centred: np.ndarray = residual - residual.mean(axis=(-2, -1), keepdims=True)
    return centred


def _correlation(residual: np.ndarray) -> np.ndarray:
    """Correlation of a pixel's noise with that of its neighbours."""
    power = (np.abs(np.fft.fft2(residual)) ** 2).mean(axis=0)
    shifts = np.fft.fftshift(np.fft.ifft2(power).real)
    middle = SIDE // 2
    around = shifts[middle - REACH : middle + REACH + 1, middle - REACH : middle + REACH + 1]
    return np.asarray(around / max(shifts[middle, middle], 1e-30))


def _tails(residual: np.ndarray) -> float:
    """The largest excess kurtosis of a channel."""
    fourth, second = ((residual**power).mean(axis=(-2, -1)) for power in (4, 2))
    return float((fourth / np.maximum(second**2, 1e-30)).max()) - 3


def _kernel(correlation: np.ndarray) -> np.ndarray:
    """A window whose response to white noise has this correlation; what chance made of white noise is left out."""
    kept = np.where(np.abs(correlation) > RESEMBLES / 3, correlation, 0)
    if np.count_nonzero(kept) == 1:
        return np.ones((1, 1))
    wide = np.pad(kept, REACH)
    spectrum = np.fft.fft2(np.fft.ifftshift(wide)).real
    window = np.fft.fftshift(np.fft.ifft2(np.sqrt(np.maximum(spectrum, 0))).real)
    window = window[REACH:-REACH, REACH:-REACH]
    return np.asarray(window / np.sqrt((window**2).sum()))


def _root(correlation: np.ndarray) -> np.ndarray:
    values, vectors = np.linalg.eigh(correlation)
    root = vectors * np.sqrt(np.maximum(values, 0))
    return np.asarray(root / np.linalg.norm(root, axis=1, keepdims=True))
