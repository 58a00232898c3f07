"""What a network that is told the noise level is told of pairs: what is measured in each image, or what they show."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import nn

from noiseless.bundle import NetworkSpec
from noiseless.calibration.pairs import noise_of_pairs
from noiseless.data.augment import to_channels
from noiseless.data.store import as_unit_float
from noiseless.noise import Noise
from noiseless.training.config import MEASURED, RunConfig
from noiseless.training.images import TrainingImages
from noiseless.training.validation import pair_examples, validate

LOOKED_AT = 8
"""Pairs on which both are tried, those to validate on first."""

FITTED_FROM = 16
"""Pairs that the noise is fitted to, at most."""

SIDE = 256
ALIKE = 1.5
"""By how much the variance of the noise of a pair may differ from that of all, as a factor; 22% in level."""

SMALLEST = 1e-10
"""Variances below this count as this."""

CLEARLY = 0.1
"""How many dB more the noise of the pairs must give before the noise of an image is no longer measured."""


def settle_told(config: RunConfig, images: TrainingImages, network: nn.Module, say: Callable[[str], None]) -> RunConfig:
    """The settings with `told` settled, by what gives the weights that the run starts from the higher PSNR.

    An estimate from a single image can be far off, where all of it is texture or most of it black; pairs show the noise
    itself. But where the images have several noises only a measurement in each tells them apart, however much a few
    gain: for lost pixels in some all others would be told too much, or too little where their noise is correlated.

    Args:
        config: of the run, starting from weights.
        images: of the run.
        network: with those weights; left in eval mode.
        say: told of the noise of the pairs where that is taken.
    """
    spec: NetworkSpec = network.spec  # type: ignore[assignment]
    roles = {"noisy", "clean"}
    if spec.conditioning == "none" or not (set(images.train) == set(images.validation) == roles):
        return replace(config, told=MEASURED)
    noisy, clean = ([*images.validation[role], *images.train[role]][:LOOKED_AT] for role in ("noisy", "clean"))
    pairs = [_units(images.train[role][:FITTED_FROM], spec) for role in ("noisy", "clean")]
    noise = noise_of_pairs(*pairs)
    if not _is_of_all(noise, *pairs) or not _is_of_all(noise, _units(noisy, spec), _units(clean, spec)):
        return replace(config, told=MEASURED)
    fitted = noise.spec
    size, multiple = min(config.training.validation_size, SIDE), max(spec.multiple_of, spec.minimum_size)

    def score(told: str) -> float:
        examples = pair_examples(noisy, clean, spec, size=size, multiple=multiple, told=told)
        return validate(network, examples, torch.device("cpu"), False).psnr

    measured, shown = score(MEASURED), score(fitted)
    if shown < measured + CLEARLY:
        return replace(config, told=MEASURED)
    say(
        f"The pairs show {fitted}: the model is told that from now on, which gives {shown:.2f} dB, where "
        f"what is measured in each image gives {measured:.2f}"
    )
    return replace(config, told=fitted)


def _is_of_all(noise: Noise, noisy: Sequence[np.ndarray], clean: Sequence[np.ndarray]) -> bool:
    """Whether a noise is about as strong as what lies between the two sides of each pair."""
    for one, other in zip(noisy, clean, strict=True):
        seen, expected = np.mean((one - other) ** 2), np.mean(noise.variance(np.maximum(other, 0)))
        ratio = max(float(seen), SMALLEST) / max(float(expected), SMALLEST)
        if not 1 / ALIKE <= ratio <= ALIKE:
            return False
    return True


def _units(images: Sequence[np.ndarray], spec: NetworkSpec) -> list[np.ndarray]:
    return [to_channels(as_unit_float(image), spec.channels) for image in images]
