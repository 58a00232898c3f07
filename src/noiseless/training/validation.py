"""Validation: the averaged network on images it does not learn from, with the same noise every time.

Without clean images the PSNR is estimated as `noiseless evaluate --noisy` does: see `noiseless.evaluation.risk`. That
chooses the best weights of a run that has no clean images, and stops it early.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import nn

from noiseless.bundle import NetworkSpec
from noiseless.calibration import Calibration
from noiseless.data.augment import to_channels
from noiseless.data.parts import spread
from noiseless.data.store import as_unit_float
from noiseless.errors import DataError
from noiseless.evaluation.pooling import mean_variance
from noiseless.evaluation.risk import Risk, block_means, error_to_another_view, variance_of_views
from noiseless.metrics import psnr, ssim
from noiseless.noise import Noise
from noiseless.training.config import MEASURED
from noiseless.training.known import KnownNoise
from noiseless.training.objectives import apply
from noiseless.training.patches import pair_levels

Restore = Callable[[np.ndarray], np.ndarray]
Estimator = Callable[[Restore], tuple[np.ndarray, np.ndarray, float]]

MOST_IMAGES = 48
PICTURES = 4
PERFECT = 100.0
"""PSNR in dB that counts for two equal images; infinity would swallow the others in a mean."""

TOLD_APART = 0.02
"""Share of the noise that is left below which an estimate tells no difference: by chance it may be below 0."""

SURE, SUREST = 2.0, 3.0
"""Standard errors by which an estimated error must be smaller, lest it be by chance; and where the best of many is
taken, as of the weights of a run."""


@dataclass(frozen=True)
class Example:
    """One image to validate on; float32 arrays (C, H, W) in [0, 1] units, sigma as the network is told it.

    Attributes:
        noisy: the network's input.
        clean: what it is compared with, where that is known.
        sigma: what the network is told.
        estimate: tells the squared error of each pixel without `clean`, from the network as a function of such arrays,
            of which only means say anything; what it is more by, but for what is the same for all networks, where the
            noise is as strong as it may be, and less where as weak; and the mean error of the noisy image.
    """

    noisy: np.ndarray
    clean: np.ndarray | None
    sigma: np.ndarray | None
    estimate: Estimator | None = None


@dataclass(frozen=True)
class Scores:
    """Means over the validation images; PSNR in dB, and the first images for a look.

    Attributes:
        psnr: of the restored images; an estimate where there is no clean image.
        ssim: likewise; nan where there is no clean image.
        noisy_psnr: of the noisy images.
        pictures: noisy, restored and, where there is one, clean.
        blocks: where there is no clean image: mean squared errors of blocks of pixels, as estimated, over that of the
            noisy image.
        doubt: what they are more by, and less, at the ends of the interval of the noise: see `Example`.
        counts: whether they may be the best of a run: not where they surpass what it started from by chance.
    """

    psnr: float
    ssim: float
    noisy_psnr: float
    pictures: list[tuple[np.ndarray, ...]]
    blocks: np.ndarray = field(default_factory=lambda: np.zeros(0))
    doubt: np.ndarray | float = 0.0
    counts: bool = True

    @property
    def estimated(self) -> bool:
        """Whether there was no clean image."""
        return bool(self.blocks.size)

    def surely_above(self, other: Scores, errors: float = SURE) -> bool:
        """Whether the estimated errors on the same images are smaller than others, by so many standard errors.

        However strong the noise is within its interval: where that is overrated, whatever removes more looks better.
        What holds at both ends holds between them, for the gain is linear in the variance, and its deviation convex.
        """
        ends = (other.blocks - self.blocks + end * (other.doubt - self.doubt) for end in (-1, 1))
        return all(float(gain.mean()) > errors * float(gain.std()) / math.sqrt(gain.size) for gain in ends)


@dataclass(frozen=True)
class Rival:
    """The weights that a run without clean images started from, which it keeps unless it surely surpasses them.

    By chance an estimate prefers others, and what suits the few images that are kept to validate on may harm the rest.
    Of images that were learned from an estimate says too much good, so that there the least is asked: no loss.

    Attributes:
        unseen: their scores on the images to validate on.
        seen: and on some that are learned from.
    """

    unseen: Scores
    seen: Scores

    def judge(self, unseen: Scores, seen: Callable[[], Scores]) -> Scores:
        """The scores of other weights, which count if they surpass these."""
        surer = unseen.surely_above(self.unseen, SUREST)
        return replace(unseen, counts=surer and seen().psnr >= self.seen.psnr)


def noisy_examples(
    images: Sequence[np.ndarray], noise: Noise, spec: NetworkSpec, *, size: int, seed: int
) -> list[Example]:
    """The middles of clean images with noise that depends on the seed and the image's number alone."""
    examples = []
    for number in spread(len(images), MOST_IMAGES):
        clean = _middle(images[number], spec, size)
        generator = np.random.default_rng([seed, number])
        drawn = noise.draw(generator)
        noisy = drawn.sample(clean, generator)
        examples.append(Example(noisy, clean, drawn.told_map(noisy)))
    return examples


def pair_examples(
    noisy: Sequence[np.ndarray], clean: Sequence[np.ndarray], spec: NetworkSpec, *, size: int, told: str = MEASURED
) -> list[Example]:
    """The middles of noisy / clean pairs, with what the network is told of their noise: see `pair_levels`."""
    numbers = spread(len(clean), MOST_IMAGES)
    middles = [_middle(noisy[number], spec, size) for number in numbers]
    levels = pair_levels(middles, spec, told)
    return [
        Example(middle, _middle(clean[number], spec, size), None if levels is None else levels[position](middle))
        for position, (number, middle) in enumerate(zip(numbers, middles, strict=True))
    ]


def unreferenced_examples(
    views: Sequence[Sequence[np.ndarray]],
    noise: KnownNoise | None,
    spec: NetworkSpec,
    *,
    size: int,
    seed: int,
    told: str = MEASURED,
    measured: Calibration | None = None,
) -> list[Example]:
    """The middles of noisy images, with a way to estimate the error: another view of each, or the known noise.

    Args:
        views: noisy images, and where there are any, second views of the same scenes.
        noise: that they have; needed where there is no second view.
        spec: of the network.
        size: largest side.
        seed: of what the estimate draws.
        told: see `pair_levels`.
        measured: where the noise was, with what is not known of it.
    """
    ready = [[_middle(side[number], spec, size) for side in views] for number in spread(len(views[0]), MOST_IMAGES)]
    levels = pair_levels([sides[0] for sides in ready], spec, told)
    examples = []
    for number, (noisy, *others) in enumerate(ready):
        if others:
            estimate = _by_another_view(noisy, others[0])
        else:
            assert noise is not None
            estimate = by_noise(noisy, noise, seed + number, measured)
        examples.append(Example(noisy, None, None if levels is None else levels[number](noisy), estimate))
    return examples


def by_noise(noisy: np.ndarray, noise: KnownNoise, seed: int, measured: Calibration | None = None) -> Estimator:
    """By Stein's formula."""
    risk = Risk.of(noisy, noise.noise, seed, noise.mixing.numpy() if noise.joint else None)
    share = 0.0 if measured is None else _share_in_doubt(noisy, measured)

    def estimate(restore: Restore) -> tuple[np.ndarray, np.ndarray, float]:
        restored, beside = restore(noisy), restore(risk.beside)
        return risk.error(restored, beside), 2 * share * risk.left(restored, beside), risk.level

    return estimate


def _share_in_doubt(noisy: np.ndarray, measured: Calibration) -> float:
    """Half the 95% interval of the variance in an image, over it."""
    variance, half = mean_variance(noisy, measured, growing=measured.kind == "poisson-gaussian")
    return min(half / variance, 1.0) if variance else 1.0


def _by_another_view(noisy: np.ndarray, other: np.ndarray) -> Estimator:
    level = float(variance_of_views(noisy, other).mean())

    def estimate(restore: Restore) -> tuple[np.ndarray, np.ndarray, float]:
        return error_to_another_view(restore(noisy), noisy, other), np.zeros_like(noisy), level

    return estimate


def validate(network: nn.Module, examples: Sequence[Example], device: torch.device, bf16: bool) -> Scores:
    """PSNR and SSIM of a network over the examples, the result clipped to [0, 1]; the network is left in eval mode."""
    network.eval()
    rows: list[tuple[float, float, float]] = []
    blocks: list[np.ndarray] = []
    doubts: list[np.ndarray] = []
    pictures: list[tuple[np.ndarray, ...]] = []
    for example in examples:
        restore = _as_function(network, example.sigma, device, bf16)
        noisy, restored = example.noisy.clip(0, 1), restore(example.noisy)
        if example.clean is not None:
            sides: tuple[np.ndarray, ...] = (noisy, restored, example.clean)
            rows.append((psnr(restored, example.clean), ssim(restored, example.clean), psnr(noisy, example.clean)))
        else:
            assert example.estimate is not None
            error, doubt, before = example.estimate(restore)
            sides = (noisy, restored)
            rows.append((_decibels(max(float(error.mean()), TOLD_APART * before)), math.nan, _decibels(before)))
            blocks.append(block_means(error).ravel() / before)
            doubts.append(block_means(doubt).ravel() / before)
        if len(pictures) < PICTURES:
            pictures.append(sides)
    means = np.minimum(rows, PERFECT).mean(axis=0)
    found, doubt = (np.concatenate([np.zeros(0), *each]) for each in (blocks, doubts))
    return Scores(float(means[0]), float(means[1]), float(means[2]), pictures, found, doubt)


def _as_function(network: nn.Module, sigma: np.ndarray | None, device: torch.device, bf16: bool) -> Restore:
    """The network as a function of arrays (C, H, W), told one noise level; what it makes is clipped to [0, 1]."""
    told = None if sigma is None else torch.from_numpy(sigma)[None].to(device)

    def restore(noisy: np.ndarray) -> np.ndarray:
        batch = torch.from_numpy(noisy)[None].to(device, memory_format=torch.channels_last)
        with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            restored: np.ndarray = apply(network, batch, told).float()[0].clamp(0, 1).cpu().numpy()
        return restored

    return restore


def _decibels(squared_error: float) -> float:
    return -10 * math.log10(max(squared_error, 1e-12))


def _middle(image: np.ndarray, spec: NetworkSpec, size: int) -> np.ndarray:
    """The middle of an image as a network takes it, at most `size` pixels wide and high; float32 (C, H, W)."""
    multiple = max(spec.multiple_of, spec.minimum_size)
    sides = [min(size, side) // multiple * multiple for side in image.shape[-2:]]
    if not all(sides):
        raise DataError(
            "an image is too small to validate on",
            got=f"{image.shape[-1]}x{image.shape[-2]}",
            expected=f"at least {multiple}x{multiple} pixels",
        )
    top, left = ((have - want) // 2 for have, want in zip(image.shape[-2:], sides, strict=True))
    return to_channels(as_unit_float(image[..., top : top + sides[0], left : left + sides[1]]), spec.channels)
