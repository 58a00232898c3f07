"""Which noise is in the noisy images of a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy.ndimage import uniform_filter

from noiseless.calibration import Calibration, examine_planes
from noiseless.calibration.magnitudes import magnitude_level
from noiseless.calibration.measuring import FAINT
from noiseless.calibration.whiteness import WHITE
from noiseless.data.augment import to_channels
from noiseless.data.parts import middle, spread
from noiseless.data.store import as_unit_float
from noiseless.errors import DataError
from noiseless.noise import Noise
from noiseless.noise.chain import Chain
from noiseless.noise.rician import Rician
from noiseless.noise.salt_and_pepper import SaltAndPepper

MOST_IMAGES = 12
LARGEST_SIDE = 1024
BLOCK = 16
FLATTEST = 0.05
"""Share of the blocks that are taken for flat."""

FEWEST_IMPULSES, FEWEST_IN_CORRELATED = 1e-3, 1e-2
"""Share of lost pixels below which they may as well be the extremes of other noise; what correlates noise, such as the
development of a photograph, leaves no pixel by itself, so that a few there are texture."""


@dataclass(frozen=True)
class Found:
    """What was measured.

    Attributes:
        noise: the model.
        measured: all that was found of it, where it is white. The interval of correlated noise is too wide to judge by:
            nothing that was learned, and gains a decibel, would be better at both of its ends.
        between_channels: (C, C), correlation of the noise of two channels at one place.
        neighbours: correlation of the noise of neighbouring pixels, the larger of rows and columns.
        faint: it is that of developed photographs, whose strength is a guess.
        told: of faint noise in colour, what a network is told: more than there is. One level for all serves better than
            what is guessed in each; in grey nothing is gained.
    """

    noise: Noise
    measured: Calibration | None
    between_channels: np.ndarray
    neighbours: float
    faint: bool = False
    told: Noise | None = None


def find_noise(images: Sequence[np.ndarray], channels: int) -> Found:
    """Measure the noise of some images, pooled.

    Args:
        images: arrays (C, H, W).
        channels: that the network has.

    Raises:
        DataError: no noise can be told in the images.
    """
    seen = [middle(images[number], LARGEST_SIDE) for number in spread(len(images), MOST_IMAGES)]
    chosen = [to_channels(as_unit_float(image), channels) for image in seen]
    found = examine_planes(chosen, told=False)
    noise = _noise(found)
    if found.kind == "none" and not isinstance(noise, Chain):
        raise DataError("no noise can be told in the images", expected="noisy images", fix="Say it with --noise SPEC.")
    if level := magnitude_level([image[0] for image in chosen]) if channels == 1 else 0.0:
        return Found(Rician(float(f"{level:.4g}")), None, _between(chosen, noise), _neighbours(found))
    faint = FAINT in found.warnings
    told = _noise(examine_planes(chosen)) if faint and channels == 3 else None
    measured = found if found.kind in WHITE else None
    return Found(noise, measured, _between(chosen, noise), _neighbours(found), faint, told)


def _noise(found: Calibration) -> Noise:
    """What was found, without impulses that are too few to be sure of."""
    if not isinstance(found.noise, Chain):
        return found.noise
    fewest = FEWEST_IN_CORRELATED if found.kind == "correlated" else FEWEST_IMPULSES
    parts = [
        part
        for part in found.noise.parts
        if not (isinstance(part, SaltAndPepper) and np.all(np.asarray(part.amount) < fewest))
    ]
    return parts[0] if len(parts) == 1 else Chain(tuple(parts))


def _neighbours(found: Calibration) -> float:
    """The larger of the correlations along rows and columns, in the channel that has most; 0 where none is known."""
    lags = [lag for channel in found.channels for lag in channel.autocorrelation_across[:1]]
    lags += [lag for channel in found.channels for lag in channel.autocorrelation_down[:1]]
    return max(lags, default=0.0)


def _between(images: Sequence[np.ndarray], noise: Noise) -> np.ndarray:
    """Correlation of the channels in the flattest blocks, of differences that leave hardly any texture.

    None is told in images that are smaller than a block. Differences are in standard deviations of the noise: else
    photon noise would have the darkest blocks taken for the flattest, where it is faintest beside the texture, which
    all channels share.
    """
    wide = [image for image in images if min(image.shape[1:]) > BLOCK]
    if not wide:
        return np.eye(len(images[0]))
    blocks = np.concatenate([_details(image / np.sqrt(_variance(noise, image))) for image in wide])
    energy = (blocks**2).mean(axis=(-2, -1))
    blocks, energy = blocks[energy.min(axis=1) > 0], energy[energy.min(axis=1) > 0]
    count = max(int(FLATTEST * len(blocks)), min(16, len(blocks)))
    flat = blocks[np.argsort(energy.mean(axis=1))[:count]]
    pixels = np.moveaxis(flat, 1, 0).reshape(blocks.shape[1], -1)
    covariance = pixels @ pixels.T
    spread = np.sqrt(np.maximum(np.diag(covariance), 1e-30))
    return np.asarray(covariance / np.outer(spread, spread))


def _variance(noise: Noise, image: np.ndarray) -> np.ndarray:
    """Of the noise around each pixel: (C, H, W), smooth, so that dividing by it adds nothing to differences."""
    around = uniform_filter(image.astype(np.float64), (0, 2 * BLOCK, 2 * BLOCK))
    return np.asarray(np.maximum(noise.variance(around.astype(np.float32)), 1e-12), np.float64)


def _details(image: np.ndarray) -> np.ndarray:
    """Differences of differences, down and across, in blocks (n, C, BLOCK, BLOCK), float64."""
    details = np.diff(np.diff(image.astype(np.float64), axis=-1), axis=-2)
    windows = sliding_window_view(details, (BLOCK, BLOCK), axis=(-2, -1))[:, ::BLOCK, ::BLOCK]
    return windows.transpose(1, 2, 0, 3, 4).reshape(-1, len(image), BLOCK, BLOCK)
