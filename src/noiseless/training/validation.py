"""Validation: the averaged network on images it does not learn from, with the same noise every time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from noiseless.bundle import NetworkSpec
from noiseless.data.augment import to_channels
from noiseless.data.store import as_unit_float
from noiseless.errors import DataError
from noiseless.metrics import psnr, ssim
from noiseless.noise import Noise
from noiseless.training.objectives import apply
from noiseless.training.patches import pair_levels

MOST_IMAGES = 48
PERFECT = 100.0
"""PSNR in dB that counts for two equal images; infinity would swallow the others in a mean."""


@dataclass(frozen=True)
class Example:
    """One image to validate on; float32 arrays (C, H, W) in [0, 1] units, sigma as the network is told it."""

    noisy: np.ndarray
    clean: np.ndarray
    sigma: np.ndarray | None


@dataclass(frozen=True)
class Scores:
    """Means over the validation images; PSNR in dB, and the first images for a look."""

    psnr: float
    ssim: float
    noisy_psnr: float
    pictures: list[tuple[np.ndarray, np.ndarray, np.ndarray]]


def noisy_examples(
    images: Sequence[np.ndarray], noise: Noise, channels: int, *, size: int, multiple: int, seed: int
) -> list[Example]:
    """The middles of clean images with noise that depends on the seed and the image's number alone."""
    examples = []
    for number in _spread(len(images)):
        clean = to_channels(as_unit_float(_middle(images[number], size, multiple)), channels)
        generator = np.random.default_rng([seed, number])
        drawn = noise.draw(generator)
        noisy = drawn.sample(clean, generator)
        examples.append(Example(noisy, clean, drawn.sigma_map(noisy)))
    return examples


def pair_examples(
    noisy: Sequence[np.ndarray], clean: Sequence[np.ndarray], spec: NetworkSpec, *, size: int, multiple: int
) -> list[Example]:
    """The middles of noisy / clean pairs, with the estimated noise level where the network is told one."""

    def ready(image: np.ndarray) -> np.ndarray:
        return to_channels(as_unit_float(_middle(image, size, multiple)), spec.channels)

    numbers = _spread(len(clean))
    middles = [ready(noisy[number]) for number in numbers]
    levels = pair_levels(middles, spec)
    return [
        Example(middle, ready(clean[number]), None if levels is None else levels[position])
        for position, (number, middle) in enumerate(zip(numbers, middles, strict=True))
    ]


def validate(network: nn.Module, examples: Sequence[Example], device: torch.device, bf16: bool) -> Scores:
    """PSNR and SSIM of a network over the examples, the result clipped to [0, 1]; the network is left in eval mode."""
    network.eval()
    rows: list[tuple[float, float, float]] = []
    pictures: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    for example in examples:
        noisy = torch.from_numpy(example.noisy)[None].to(device, memory_format=torch.channels_last)
        sigma = None if example.sigma is None else torch.from_numpy(example.sigma)[None].to(device)
        with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            restored = apply(network, noisy, sigma).float().clamp(0, 1)[0].cpu().numpy()
        clipped = example.noisy.clip(0, 1)
        rows.append((psnr(restored, example.clean), ssim(restored, example.clean), psnr(clipped, example.clean)))
        if len(pictures) < 4:
            pictures.append((clipped, restored, example.clean))
    means = np.minimum(rows, PERFECT).mean(axis=0)
    return Scores(float(means[0]), float(means[1]), float(means[2]), pictures)


def _spread(count: int) -> list[int]:
    return sorted(set(np.linspace(0, count - 1, min(count, MOST_IMAGES)).round().astype(int).tolist()))


def _middle(image: np.ndarray, size: int, multiple: int) -> np.ndarray:
    sides = [min(size, side) // multiple * multiple for side in image.shape[-2:]]
    if not all(sides):
        raise DataError(
            "an image is too small to validate on",
            got=f"{image.shape[-1]}x{image.shape[-2]}",
            expected=f"at least {multiple}x{multiple} pixels",
        )
    top, left = ((have - want) // 2 for have, want in zip(image.shape[-2:], sides, strict=True))
    return image[..., top : top + sides[0], left : left + sides[1]]
