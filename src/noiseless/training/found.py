"""Which noise is in the noisy images of a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from noiseless.calibration import noise_level
from noiseless.data.augment import to_channels
from noiseless.data.store import as_unit_float
from noiseless.errors import DataError
from noiseless.noise import Correlated, Gaussian, Noise, PoissonGaussian

MOST_IMAGES = 12
MOST_PIXELS = 1 << 20
BLOCK = 16
FLATTEST = 0.05
"""Share of the blocks that are taken for flat."""

CORRELATED = 0.15
"""White noise has a smaller correlation of neighbours than this, as measured in flat blocks."""

BINS = 8


@dataclass(frozen=True)
class Found:
    """What was measured.

    Attributes:
        noise: the model.
        between_channels: (C, C), correlation of the noise of two channels at one place.
        neighbours: correlation of the noise of neighbouring pixels, the larger of rows and columns.
    """

    noise: Noise
    between_channels: np.ndarray
    neighbours: float


def find_noise(images: Sequence[np.ndarray], channels: int) -> Found:
    """Measure the noise of some images, pooled.

    Args:
        images: arrays (C, H, W).
        channels: that the network has.

    Raises:
        DataError: the images are constant or too small to hold noise.
    """
    numbers = sorted(set(np.linspace(0, len(images) - 1, min(len(images), MOST_IMAGES)).round().astype(int).tolist()))
    chosen = [to_channels(as_unit_float(_middle(images[number])), channels) for number in numbers]
    blocks, means = (np.concatenate(parts) for parts in zip(*map(_blocks, chosen), strict=True))
    spread = blocks.var(axis=(-2, -1))
    if not len(blocks) or spread.max() == 0:
        raise DataError("there is no noise in the images", got="constant images", expected="noisy images")
    flat = blocks[_flattest(spread.mean(axis=1) / (means.mean(axis=1) + 0.05), FLATTEST)]
    neighbours = [_similarity(flat, axis) for axis in (-2, -1)]
    levels = np.array([noise_level(image) for image in chosen])
    if max(neighbours) > CORRELATED:
        noise: Noise = _correlated(flat.var(axis=(-2, -1)).mean(), max(neighbours))
    else:
        noise = _white(blocks, means, levels)
    return Found(noise, _between(flat), max(neighbours))


def _middle(image: np.ndarray) -> np.ndarray:
    side = int(np.sqrt(MOST_PIXELS))
    top, left = (max(length - side, 0) // 2 for length in image.shape[-2:])
    return image[:, top : top + side, left : left + side]


def _blocks(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Blocks (n, C, BLOCK, BLOCK) without their slope, and the mean of each, (n, C)."""
    side = min(BLOCK, *image.shape[-2:])
    windows = np.lib.stride_tricks.sliding_window_view(image, (side, side), axis=(-2, -1))[
        :, :: side // 2, :: side // 2
    ]
    blocks = windows.transpose(1, 2, 0, 3, 4).reshape(-1, len(image), side, side).astype(np.float64)
    means = blocks.mean(axis=(-2, -1))
    ramp = np.arange(side) - (side - 1) / 2
    energy = side * (ramp**2).sum()
    slopes = [np.einsum("ncyx,x->nc", blocks, ramp) / energy, np.einsum("ncyx,y->nc", blocks, ramp) / energy]
    plain = means[..., None, None] + slopes[0][..., None, None] * ramp + slopes[1][..., None, None] * ramp[:, None]
    return blocks - plain, means


def _flattest(score: np.ndarray, share: float) -> np.ndarray:
    count = max(int(share * len(score)), min(16, len(score)))
    return np.argsort(score)[:count]


def _similarity(blocks: np.ndarray, axis: int) -> float:
    """Correlation of neighbours along an axis, over all blocks."""
    moved = np.moveaxis(blocks, axis, -1)
    return float((moved[..., 1:] * moved[..., :-1]).mean()) / max(float((moved**2).mean()), 1e-30)


def _correlated(variance: float, neighbours: float) -> Noise:
    """Correlated noise whose flat blocks, without their slope, have this variance and correlation of neighbours."""
    length, share = _length(neighbours), 1.0
    for _ in range(3):
        sample = Correlated(sigma=1.0, length=length).sample(np.full((1, 256, 256), 0.5, np.float32), _generator())
        blocks, _ = _blocks(sample)
        share = float(blocks.var(axis=(-2, -1)).mean())
        length *= _length(neighbours) / _length(_similarity(blocks, -1))
    return Correlated(sigma=float(np.sqrt(variance / share)), length=length)


def _length(neighbours: float) -> float:
    return float(np.sqrt(-1 / (2 * np.log(min(max(neighbours, 0.01), 0.97)))))


def _generator() -> np.random.Generator:
    return np.random.default_rng(0)


def _between(blocks: np.ndarray) -> np.ndarray:
    pixels = np.moveaxis(blocks, 1, 0).reshape(blocks.shape[1], -1)
    covariance = pixels @ pixels.T
    spread = np.sqrt(np.maximum(np.diag(covariance), 1e-30))
    return np.asarray(covariance / np.outer(spread, spread))


def _white(blocks: np.ndarray, means: np.ndarray, levels: np.ndarray) -> Noise:
    """White noise: of one strength, or growing with brightness where the flat blocks of each brightness say so."""
    diagonal = np.diff(np.diff(blocks, axis=-1), axis=-2)  # hardly any texture is left, and white noise fourfold
    variance = (diagonal**2).mean(axis=(-2, -1)).ravel() / 4
    brightness, score = means.ravel(), blocks.var(axis=(-2, -1)).ravel()
    edges = np.quantile(brightness, np.linspace(0, 1, BINS + 1))
    rows = []
    for low, high in pairwise(edges):
        inside = np.flatnonzero((brightness >= low) & (brightness <= high))
        flat = inside[_flattest(score[inside], 2 * FLATTEST)]
        rows.append((brightness[flat].mean(), np.median(variance[flat])))
    x, y = np.array(rows).T
    level = float(np.median(levels.mean(axis=1)))
    weights = 1 / np.maximum(y, 1e-12)
    gain, floor = np.polyfit(x, y, 1, w=weights) if np.ptp(x) > 0.1 else (0.0, level**2)
    floor = max(floor, 0.05 * float(y.min()))
    if gain * 0.5 > 0.25 * floor and gain <= 1:
        return PoissonGaussian(gain=float(gain), read=float(np.sqrt(floor)))
    return Gaussian(sigma=level if level > 0 else float(np.sqrt(max(np.median(y), 1e-12))))
