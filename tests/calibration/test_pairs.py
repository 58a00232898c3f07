"""The noise between noisy images and clean ones: found whatever texture there is."""

from __future__ import annotations

import numpy as np
import pytest

from noiseless.calibration.pairs import noise_of_pairs
from noiseless.noise import parse
from noiseless.noise.poisson_gaussian import PoissonGaussian
from noiseless.noise.speckle import Speckle


def pairs(spec: str) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Pictures that are nothing but texture, of which no estimate from one image could tell the noise."""
    generator = np.random.default_rng(0)
    clean = [generator.random((1, 96, 96), dtype=np.float32) ** 2 for _ in range(3)]
    return [parse(spec).sample(one, generator) for one in clean], clean


@pytest.mark.parametrize(("gain", "read"), [(0.02, 0.03), (0.0, 0.1), (0.01, 0.0)])
def test_photon_and_read_noise(gain: float, read: float) -> None:
    found = noise_of_pairs(*pairs(f"poisson-gaussian:gain={gain},read={read}" if gain else f"gaussian:{255 * read}"))
    assert isinstance(found, PoissonGaussian)
    assert found.gain == pytest.approx(gain, rel=0.05, abs=5e-4)
    assert found.read == pytest.approx(read, rel=0.05, abs=5e-3)


def test_speckle() -> None:
    found = noise_of_pairs(*pairs("speckle:looks=10"))
    assert isinstance(found, Speckle)
    assert found.looks == pytest.approx(10, rel=0.05)


def test_images_without_noise_or_of_one_pixel() -> None:
    clean = [np.full((1, 1, 1), 0.5, np.float32)]
    found = noise_of_pairs(clean, clean)
    assert found.told_map(clean[0]).max() < 1e-4
