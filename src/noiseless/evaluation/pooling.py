"""The noise of images of one sensor, measured together: what texture and chance do to one image averages out.

Stein's formula is off by as much as the level of the noise is. Where the noise of all is the same, the median over the
images is closer to the truth than each of them; an image takes it only where it lies within its own interval.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from noiseless.calibration import Calibration
from noiseless.calibration.report import Channel, Interval
from noiseless.calibration.whiteness import WHITE
from noiseless.noise import Noise
from noiseless.noise.gaussian import Gaussian
from noiseless.noise.poisson_gaussian import PoissonGaussian
from noiseless.noise.values import Value

INDEPENDENT = 4
"""Images, at most, whose errors count as independent: what texture adds to all of them stays however many they are."""

GROWING = 1 / 3
"""Share of the images in which noise is seen to grow with brightness, from which it does: it takes dark and bright flat
areas to see that, and of noise that does not grow it is said of one in ten."""

TINY = 1e-12


@dataclass(frozen=True)
class Pooled:
    """White noise of several images.

    Attributes:
        noise: the median of what was found; what is surer counts more.
        count: of how many images.
    """

    noise: Noise
    count: int

    def doubt(self, own: float) -> float:
        """Half of the interval of the mean variance of an image, from that of its own measurement."""
        return own / math.sqrt(min(self.count, INDEPENDENT))


def pool(found: Sequence[Calibration]) -> Pooled | None:
    """The noise of images together; None where it is not white in most of them, or their channels differ."""
    white = [each for each in found if each.kind in WHITE]
    if len(white) < 2 or 2 * len(white) <= len(found) or len({len(each.channels) for each in white}) > 1:
        return None
    channels = list(zip(*(each.channels for each in white), strict=True))
    if sum(each.kind == "poisson-gaussian" for each in white) >= GROWING * len(white):
        gains, reads = zip(*map(_line, channels), strict=True)
        return Pooled(PoissonGaussian(_value(gains), _value(reads)), len(white))
    levels = [
        _median([each.sigma for each in channel], [each.sigma_interval for each in channel]) for channel in channels
    ]
    return Pooled(Gaussian(_value(levels)), len(white))


def is_alike(noisy: np.ndarray, found: Calibration, noise: Noise) -> bool:
    """Whether an image may have this noise: its mean variance lies in the 95% interval of what was found there.

    Args:
        noisy: the image, (C, H, W) in [0, 1] units.
        found: what was measured in it.
        noise: of several images.
    """
    variance, half = mean_variance(noisy, found, growing=isinstance(noise, PoissonGaussian))
    return abs(float(noise.variance(noisy.clip(0, 1)).mean()) - variance) <= half


def mean_variance(noisy: np.ndarray, found: Calibration, *, growing: bool) -> tuple[float, float]:
    """Mean variance, and half its 95% interval; of noise that grows with brightness, at that of the image."""
    spans = []
    for plane, channel in zip(noisy, found.channels, strict=True):
        points = [(0.0, channel.sigma, channel.sigma_interval)]
        if growing and channel.curve:
            points = [(point.value, point.sigma, point.interval) for point in channel.curve]
        values, sigmas, intervals = zip(*points, strict=True)
        both = (np.square(sigmas), [_half(interval) for interval in intervals])
        spans.append([float(np.interp(plane, values, each).mean()) for each in both])
    variance, half = np.mean(spans, axis=0).tolist()
    return variance, half


def _half(interval: Interval) -> float:
    """Half of the interval of a variance, from that of its root."""
    return (interval[1] ** 2 - interval[0] ** 2) / 2


def _line(channels: Sequence[Channel]) -> tuple[float, float]:
    """Gain and read noise: the line through the medians of the curves of images, whose relative errors are alike.

    No noise where nothing was found in any of them, as in a channel that is black.
    """
    points = list(zip(*(each.curve for each in channels if each.curve), strict=True))
    if not points:
        return 0.0, 0.0
    values = np.array([each[0].value for each in points])
    sigmas = [_median([point.sigma for point in each], [point.interval for point in each]) for each in points]
    variances = np.maximum(np.square(sigmas), TINY)
    rows = np.stack([values, np.ones_like(values)], axis=1) / variances[:, None]
    gain, floor = np.linalg.lstsq(rows, np.ones_like(values))[0]
    return max(float(gain), 0.0), math.sqrt(max(float(floor), 0.0))


def _median(numbers: Sequence[float], intervals: Sequence[Interval]) -> float:
    """Weighted by how narrow the intervals are."""
    weights = 1 / np.maximum([high - low for low, high in intervals], TINY)
    order = np.argsort(numbers)
    sums = np.cumsum(weights[order])
    return float(np.interp(sums[-1] / 2, sums - weights[order] / 2, np.asarray(numbers)[order]))


def _value(numbers: Sequence[float]) -> Value:
    """Of each channel; four digits are more than is known."""
    rounded = [float(f"{min(number, 1.0):.4g}") for number in numbers]
    return rounded[0] if len(rounded) == 1 else rounded
