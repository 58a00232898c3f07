"""What a network that is told the noise level is told: what is measured in each image, or what pairs or views show."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import nn

from noiseless.bundle import NetworkSpec
from noiseless.calibration import Calibration, examine_planes
from noiseless.calibration.pairs import noise_of_pairs
from noiseless.data.augment import to_channels
from noiseless.data.store import as_unit_float
from noiseless.evaluation.pooling import is_alike
from noiseless.evaluation.unreferenced import Known, judged
from noiseless.networks import spec_of
from noiseless.noise import Noise
from noiseless.noise.correlated import Correlated
from noiseless.training.config import MEASURED, RunConfig
from noiseless.training.images import TrainingImages
from noiseless.training.known import RESEMBLES, KnownNoise
from noiseless.training.validation import (
    Estimator,
    Example,
    Scores,
    by_noise,
    pair_examples,
    unreferenced_examples,
    validate,
)

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


def settle_told(
    config: RunConfig,
    images: TrainingImages,
    network: nn.Module,
    say: Callable[[str], None],
    noise: KnownNoise | None = None,
    developed: Noise | None = None,
) -> str:
    """`RunConfig.told`, settled: what gives the weights that the run starts from the higher PSNR.

    An estimate from a single image can be far off, where all of it is texture or most of it black; pairs show the noise
    itself. But where the images have several noises only a measurement in each tells them apart, however much a few
    gain: for lost pixels in some all others would be told too much, or too little where their noise is correlated.

    Args:
        config: of the run, starting from weights.
        images: of the run.
        network: with those weights; left in eval mode.
        say: told of the noise where that is taken.
        noise: of noisy images without a clean side.
        developed: what is told of such images that are developed photographs, of which no estimate says more.
    """
    learned = set(images.train)
    if spec_of(network).conditioning == "none":
        return MEASURED
    if learned == {"noisy"} and developed is not None:
        say(f"The model is told {developed.spec} of these photographs from now on")
        return developed.spec
    if learned != set(images.validation):
        return MEASURED
    if len(learned) > 1:
        return _settle_pairs(config, images, network, say)
    return _settle_alone(config, images, network, say, noise) if noise is not None else MEASURED


def _settle_pairs(config: RunConfig, images: TrainingImages, network: nn.Module, say: Callable[[str], None]) -> str:
    """By the noise between noisy and clean sides, or between two views."""
    spec, views = spec_of(network), "noisy-again" in images.train
    seen = [[*images.validation[role], *images.train[role]][:LOOKED_AT] for role in images.train]
    fitted = [_units(side[:FITTED_FROM], spec) for side in images.train.values()]
    shown = [_units(side, spec) for side in seen]
    if views:
        fitted, shown = _as_pairs(*fitted), _as_pairs(*shown)
    fit = noise_of_pairs(*fitted)
    if not _is_of_all(fit, *fitted) or not _is_of_all(fit, *shown):
        return MEASURED
    size = min(config.training.validation_size, SIDE)

    def score(told: str) -> float:
        if views:
            examples = unreferenced_examples(seen, None, spec, size=size, seed=config.seed, told=told)
        else:
            examples = pair_examples(seen[0], seen[1], spec, size=size, told=told)
        return validate(network, examples, torch.device("cpu"), False).psnr

    candidates = [each.spec for each in (fit, *_correlated_between(*fitted))]
    measured, scores = score(MEASURED), {told: score(told) for told in candidates}
    best = max(candidates, key=scores.__getitem__)
    if scores[best] < measured + CLEARLY:
        return MEASURED
    say(
        f"The pairs show {best}: the model is told that from now on, which gives {scores[best]:.2f} dB, where "
        f"what is measured in each image gives {measured:.2f}"
    )
    return best


def _as_pairs(first: Sequence[np.ndarray], second: Sequence[np.ndarray]) -> list[list[np.ndarray]]:
    """Two noisy views of each scene as noisy and clean ones with the noise of one view between them: their means.

    Half the squared difference of two views is as large as the noise of each, and means have nothing to do with it.
    """
    means = [(one + other) / 2 for one, other in zip(first, second, strict=True)]
    noisy = [mean + (one - other) / math.sqrt(2) for mean, one, other in zip(means, first, second, strict=True)]
    return [noisy, means]


def _correlated_between(noisy: Sequence[np.ndarray], clean: Sequence[np.ndarray]) -> list[Noise]:
    """The noise between such sides as one whose pixels resemble their neighbours, where they do."""
    differences = [one - other for one, other in zip(noisy, clean, strict=True)]
    power = float(np.mean([np.mean(each**2) for each in differences]))
    beside = [np.mean(each[..., 1:] * each[..., :-1]) for each in differences]
    below = [np.mean(each[..., 1:, :] * each[..., :-1, :]) for each in differences]
    likeness = float(np.mean([*beside, *below])) / max(power, SMALLEST)
    if not RESEMBLES < likeness < 1:
        return []
    return [Correlated(sigma=float(f"{math.sqrt(power):.4g}"), length=round(math.sqrt(-0.5 / math.log(likeness)), 3))]


def _settle_alone(
    config: RunConfig, images: TrainingImages, network: nn.Module, say: Callable[[str], None], noise: KnownNoise
) -> str:
    """Without clean images: the noise of all together, where it may be that of most and the estimate prefers it.

    A wrong level flatters those who are told it, so that an image in which another was measured judges by that.
    """
    spec = spec_of(network)
    views = [*images.validation["noisy"], *images.train["noisy"]][:LOOKED_AT]

    def told_of(told: str) -> list[Example]:
        size = min(config.training.validation_size, SIDE)
        return unreferenced_examples([views], noise, spec, size=size, seed=config.seed, told=told)

    together = told_of(noise.noise.spec)
    found = [examine_planes([example.noisy]) for example in together]
    alike = [_may_have(noise.noise, example.noisy, each) for example, each in zip(together, found, strict=True)]
    if 2 * sum(alike) <= len(alike):
        return MEASURED

    def own(example: Example, found: Calibration) -> Estimator:
        return by_noise(example.noisy, KnownNoise.of(found.noise, spec.channels), config.seed)

    def scores(examples: Sequence[Example]) -> Scores:
        ready = [
            example if same else replace(example, estimate=own(example, each))
            for example, each, same in zip(examples, found, alike, strict=True)
            if same or each.kind != "none"
        ]
        return validate(network, ready, torch.device("cpu"), False)

    measured, shown = scores(told_of(MEASURED)), scores(together)
    if not shown.surely_above(measured):
        return MEASURED
    say(
        f"The images together show {noise.noise.spec}: the model is told that from now on, which gives an estimated "
        f"{shown.psnr:.2f} dB, where what is measured in each image gives {measured.psnr:.2f}"
    )
    return noise.noise.spec


def _may_have(noise: Noise, noisy: np.ndarray, found: Calibration) -> bool:
    """Whether an image may have this noise: by what was measured in it, or by what a shipped model leaves of it.

    The latter needs no flat part, and not even the right order of magnitude in what was measured.
    """
    if is_alike(noisy, found, noise):
        return True
    level = float(noise.variance(noisy.clip(0, 1)).mean())
    power = judged(noisy, Known(noise, noise.told_map(noisy), noise.spec, doubt=2 * level)).power
    return power is not None and 1 / ALIKE <= 1 + power.excess / level <= ALIKE


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
