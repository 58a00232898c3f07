"""What a conditioned network is told of an image, from the image alone."""

from __future__ import annotations

import numpy as np
import pytest

from noiseless.calibration import told_level
from noiseless.noise import parse
from shaded_scenes import scene


def planes(spec: str) -> np.ndarray:
    return parse(spec).sample(scene(200)[None], np.random.default_rng(0))


def test_even_noise_gives_a_level_for_each_plane_and_channel() -> None:
    told = told_level(np.concatenate([planes("gaussian:10"), planes("gaussian:30")]))
    assert told.shape == (2, 1, 1, 1)
    assert told.dtype == np.float32
    assert told.ravel() * 255 == pytest.approx([10, 30], rel=0.08)


def test_photon_noise_gives_a_map() -> None:
    noisy = planes("poisson-gaussian:gain=0.02,read=0.01")
    told = told_level(noisy)
    assert told.shape == noisy.shape
    truth = parse("poisson-gaussian:gain=0.02,read=0.01").told_map(noisy)
    assert np.mean(np.abs(told / truth - 1)) < 0.1


def test_correlated_noise_is_told_stronger_than_a_pixel_is() -> None:
    told = float(told_level(planes("correlated:sigma=0.04,length=1.2"))[0, 0, 0, 0])
    assert 0.055 < told < 0.14


@pytest.mark.parametrize(
    "spec", ["gaussian:10+stripes:sigma=0.02,axis=rows", "gaussian:10+salt-and-pepper:amount=0.01"]
)
def test_stripes_and_impulses_do_not_raise_it(spec: str) -> None:
    noisy = np.clip(planes(spec), 0, 1)
    assert float(told_level(noisy).mean()) * 255 == pytest.approx(10, rel=0.15)


def test_a_constant_plane_has_none() -> None:
    np.testing.assert_array_equal(told_level(np.full((1, 3, 20, 20), 0.4, np.float32)), 0)


def test_a_large_image_is_measured_in_parts() -> None:
    large = np.tile(scene(500), (1, 4, 3))[None]
    noisy = parse("gaussian:10").sample(large, np.random.default_rng(0))
    assert told_level(noisy).ravel() * 255 == pytest.approx([10], rel=0.05)
