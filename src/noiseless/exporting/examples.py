"""Noisy crops of the shipped photographs: what int8 is calibrated on, what it is measured on, and what formats are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from noiseless.bundle import Bundle, NetworkSpec
from noiseless.data import samples
from noiseless.data.augment import to_channels
from noiseless.data.store import as_unit_float
from noiseless.errors import DataError, WorkError
from noiseless.io import read_pixels
from noiseless.noise import Gaussian, Noise, parse
from noiseless.noise.values import is_range
from noiseless.tiling import round_up

Array = npt.NDArray[np.float32]

LEVELS = (5, 15, 25, 50)
"""Of Gaussian noise, on the 0-255 scale, that int8 is measured at."""

WEAKEST = 4.5
"""Noise that is weaker says nothing in dB: there the smallest change is a large share of what little is wrong."""

CALIBRATION_SIDE, CALIBRATION_CROPS, MEASURED_SIDE, DRAWS = 128, 3, 256, 12
UNTOLD = {"sigma": "gaussian:0-75", "none": "camera"}
"""The noise of a model that does not say what it was trained for."""


@dataclass(frozen=True)
class Example:
    """A crop of a photograph.

    Attributes:
        clean: (1, C, H, W) in [0, 1] units.
        noisy: the same with noise.
        sigma: what the network is told, broadcastable to the image; ``None`` for a blind one.
        noise: what the noise is, as text.
        level: its standard deviation on the 0-255 scale.
    """

    clean: Array
    noisy: Array
    sigma: Array | None
    noise: str
    level: float


def calibration_examples(bundle: Bundle) -> list[Example]:
    """Crops of the photographs for training, with noise over the range that the model was trained for."""
    generator = np.random.default_rng(0)
    noise = trained_noise(bundle)
    crops = _crops("train", bundle.spec, CALIBRATION_SIDE, CALIBRATION_CROPS, generator)
    return [_example(crop, noise.draw(generator), bundle.spec, generator) for crop in crops]


def held_out_examples(bundle: Bundle) -> list[Example]:
    """Crops of the photographs for tests, each with every noise of `measured_noises`."""
    generator = np.random.default_rng(1)
    noises = measured_noises(trained_noise(bundle))
    crops = _crops("test", bundle.spec, MEASURED_SIDE, 1, generator)
    examples = (_example(crop, noise, bundle.spec, generator) for noise in noises for crop in crops)
    return [example for example in examples if example.level >= WEAKEST]


def trained_noise(bundle: Bundle) -> Noise:
    """The noise that a model was trained for."""
    if bundle.noise is None:
        return parse(UNTOLD[bundle.spec.conditioning])
    return Noise.from_dict(bundle.noise)


def measured_noises(trained: Noise) -> list[Noise]:
    """`LEVELS` within a Gaussian model's range; else some draws of the model."""
    if isinstance(trained, Gaussian) and isinstance(trained.sigma, tuple) and is_range(trained.sigma):
        low, high = trained.sigma
        within: list[Noise] = [Gaussian(sigma=level / 255) for level in LEVELS if low <= level / 255 <= high]
        if within:
            return within
    generator = np.random.default_rng(2)
    return [trained.draw(generator) for _ in range(DRAWS if trained.ranged else 1)]


def _crops(kind: str, spec: NetworkSpec, side: int, count: int, generator: np.random.Generator) -> list[Array]:
    side = round_up(max(side, spec.minimum_size), spec.multiple_of)
    crops = []
    for path in samples(kind):
        pixels = as_unit_float(read_pixels(path))
        try:
            image = to_channels(pixels, spec.channels)
        except DataError as error:
            raise WorkError("the shipped photographs do not fit this model", got=str(error)) from error
        for _ in range(count):
            top, left = (int(generator.integers(0, length - side + 1)) for length in image.shape[-2:])
            crops.append(image[None, :, top : top + side, left : left + side].astype(np.float32))
    return crops


def _example(clean: Array, noise: Noise, spec: NetworkSpec, generator: np.random.Generator) -> Example:
    noisy = noise.sample(clean, generator)
    sigma = noise.sigma_map(noisy) if spec.conditioning == "sigma" else None
    return Example(clean, noisy, sigma, noise.spec, 255 * float(np.std(noisy - clean)))
