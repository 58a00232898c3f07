"""Magnitudes, as of MRI, are told from other dark pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import noiseless
from noiseless.calibration import examine_planes
from noiseless.calibration.magnitudes import magnitude_level
from noiseless.data import NoisyImages, samples
from noiseless.errors import DataError
from noiseless.evaluation import estimate
from noiseless.noise import parse
from noiseless.training.found import find_noise


def phantom(side: int = 192) -> np.ndarray:
    """A head in air, (side, side)."""
    down, across = np.mgrid[:side, :side] / side - 0.5
    radius = np.hypot(down, across)
    head = np.where(radius < 0.38, 0.5, 0.0) + np.where(radius < 0.2, 0.3, 0.0)
    return np.asarray(head - 0.2 * (np.hypot(down, across - 0.1) < 0.05), np.float32)


def rician(level: float, *, stored: bool) -> np.ndarray:
    noisy = parse(f"rician:sigma={level}").sample(phantom()[None], np.random.default_rng(0))
    return np.asarray(np.rint(noisy.clip(0, 1) * 255) / 255 if stored else noisy, np.float32)


@pytest.mark.parametrize("level", [0.01, 0.04, 0.1])
@pytest.mark.parametrize("stored", [False, True])
def test_the_level_of_magnitudes_is_measured_and_said(level: float, stored: bool) -> None:
    noisy = rician(level, stored=stored)
    assert magnitude_level(list(noisy)) == pytest.approx(level, rel=0.03)
    assert any("rician:sigma=" in warning for warning in examine_planes([noisy]).warnings)
    assert find_noise([noisy], 1).noise.name == "rician"


@pytest.mark.parametrize(
    "dark",
    [
        lambda clean, normal, _: (clean + 0.06 * normal).clip(0, 1),  # clipped
        lambda clean, normal, _: np.abs(clean + 0.06 * normal),
        lambda clean, normal, _: clean + 0.06 * 1.91 + 0.06 * normal,  # above a black level
        lambda clean, _, generator: generator.poisson(3.66 + 30 * clean) / 64,  # photons, dark areas alike
        lambda clean, *_: clean,
    ],
)
def test_other_dark_areas_are_no_magnitudes(dark: object) -> None:
    generator, clean = np.random.default_rng(0), phantom()
    assert callable(dark)
    assert (
        magnitude_level([np.asarray(dark(clean, generator.standard_normal(clean.shape), generator), np.float32)]) == 0
    )


@pytest.mark.parametrize("spec", ["gaussian:15", "poisson-gaussian:gain=0.01,read=0.01"])
def test_photographs_are_no_magnitudes(spec: str) -> None:
    for path in (path for kind in ("train", "validation", "test") for path in samples(kind)):
        clean = noiseless.read(path).planes()[0][1:2]
        noisy = parse(spec).sample(clean, np.random.default_rng(0)).clip(0, 1)
        assert magnitude_level(list(noisy)) == 0


def test_no_error_is_estimated_where_noise_moves_the_mean(tmp_path: Path) -> None:
    noiseless.write(tmp_path / "head.tif", noiseless.Image.from_array(rician(0.06, stored=False)[0]))
    with pytest.raises(DataError, match="Rician and moves the mean"):
        estimate("gray-nano", NoisyImages.find(str(tmp_path / "head.tif")))
